"""A plan says what is there, what runs and why, and for how long; it computes nothing and imports nothing heavy."""

import subprocess
import sys
from dataclasses import replace

import pytest

from tagpr.pipeline.plan import REFERENCES, plan, work
from tagpr.storage import read_json, write_json


def sft(make_stage, records, **values):
    return make_stage("sft", {"records": records}, sft={"steps": 10, "batch_size": 4, **values})


@pytest.fixture
def records(room, watched, make_stage):
    stage = make_stage("records", data={"size": "demo"})
    watched.executor.run(stage, force=False)
    return stage


def took(watched, stage, seconds: float, peak: int) -> None:
    path = watched.cache.folder(stage.name, stage.fingerprint) / "manifest.json"
    write_json(path, {**read_json(path), "seconds": seconds, "peak_rss": peak})


def test_what_is_finished_costs_nothing(watched, records):
    (line,) = plan([records], watched.cache)
    assert (line.state, line.seconds, line.peak_bytes, line.changes) == ("cached", 0.0, 0, ())


def test_what_never_ran_is_estimated_from_the_demo_by_its_work(watched, records, make_stage):
    (line,) = plan([sft(make_stage, records)], watched.cache)
    assert (line.state, line.changes) == ("to run", ())
    # 10 steps of 4 against the demo's.
    demo = REFERENCES["sft"]
    assert line.seconds == pytest.approx(demo.seconds * 40 / demo.work)
    assert line.peak_bytes == demo.peak_bytes


def test_a_backbone_that_does_not_ship_has_no_estimate_before_it_ran(watched, records, make_stage, monkeypatch):
    stage = sft(make_stage, records)
    monkeypatch.setitem(stage.settings, "backbone", {"_target_": "tagpr.lm.backbone.PretrainedBackbone"})
    (line,) = plan([stage], watched.cache)
    assert (line.state, line.seconds, line.peak_bytes) == ("to run", None, None)


def test_a_teacher_of_another_kind_or_model_says_nothing_of_the_time(watched, records, make_stage):
    def chains(target: str, **teacher: object):
        return make_stage("chains", {"records": records}, teacher={"_target_": target, **teacher})

    first, second = "collections.Counter", "collections.OrderedDict"  # anything that can be built
    scripted, local = chains(first, habit=0.3), chains(second, path="a", top_k=1)
    for stage, seconds in ((scripted, 7.0), (local, 900.0)):
        watched.executor.run(stage, force=False)
        took(watched, stage, seconds, 5_000_000)
    asked = [
        chains(first, habit=0.6), chains(second, path="a", top_k=2), chains(second, path="b", top_k=1),
        chains(first, habit=0.3, path="a"),
    ]  # fmt: skip
    assert [line.seconds for line in plan(asked, watched.cache)] == [7.0, 900.0, None, None]


def test_a_teacher_that_generates_has_no_estimate_before_it_ran(watched, records, make_stage):
    stage = replace(make_stage("chains", {"records": records}), kind="generated_chains")
    (line,) = plan([stage], watched.cache)
    assert (line.state, line.seconds, line.peak_bytes) == ("to run", None, None)


@pytest.mark.parametrize("group", ["teacher", "tagger"])
def test_a_model_behind_an_endpoint_has_no_estimate_but_from_itself(group, watched, records, make_stage):
    stage, other = (make_stage("chains", {"records": records}, **{group: {"model": name}}) for name in ("m", "n"))
    (line,) = plan([stage], watched.cache)
    assert (line.seconds, line.peak_bytes) == (None, None)
    watched.executor.run(stage, force=False)
    took(watched, stage, 900.0, 5_000_000)
    again = make_stage("chains", {"records": records}, **{group: {"model": "m", "temperature": 0.1}})
    assert [line.seconds for line in plan([again, other], watched.cache)] == [900.0, None]


def test_time_is_scaled_from_the_nearest_finished_one_and_the_change_is_named(watched, records, make_stage):
    near, far = sft(make_stage, records), sft(make_stage, records, steps=1000, batch_size=64, chunk=5)
    for stage, seconds in ((near, 8.0), (far, 999.0)):
        watched.executor.run(stage, force=False)
        took(watched, stage, seconds, 5_000_000)
    (line,) = plan([sft(make_stage, records, steps=25)], watched.cache)
    # 25 steps of 4 against 10 steps of 4 in 8 s.
    assert line.seconds == pytest.approx(20.0)
    assert line.peak_bytes == 5_000_000
    assert line.changes == ("config.sft.steps: 10 -> 25",)


def test_a_checkpoint_makes_a_stage_resumable(watched, records, make_stage):
    stage = sft(make_stage, records)
    _, checkpoints = watched.cache.open_work("sft", stage.fingerprint)
    (checkpoints / "step_00000005.ckpt").write_text("5")
    assert plan([stage], watched.cache)[0].state == "resumable"


@pytest.mark.parametrize(
    "kind, settings, expected",
    [
        ("sft", {"sft": {"steps": 10, "batch_size": 4}}, 40),
        ("prmu", {"prmu": {"steps": 10, "blocks_per_step": 3}}, 30),
        (
            "rl",
            {"rl_stage": {"share": 0.5}, "rl": {"steps": 10, "prompts_per_window": 3, "rollouts_per_prompt": 4}},
            60,
        ),
        ("evaluate", {"decoding": {"num_samples": 3}}, 3),
        ("records", {}, 1),
    ],
)
def test_work_is_proportional_to_what_a_stage_does(kind, settings, expected):
    assert work(kind, settings) == expected


def test_a_plan_and_the_help_import_nothing_heavy(tmp_path):
    heavy = ("torch", "transformers", "pytorch_lightning", "pandas", "pyarrow", "wandb", "numpy")
    program = (
        "import sys; from tagpr.run import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print('imported:', *(name for name in {heavy} if name in sys.modules))"
    )
    for arguments in (["plan=true", f"paths.runs={tmp_path}"], ["--help"]):
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].strip() == "imported:"
    assert not (tmp_path / "cache" / "records").exists()


def test_what_another_backbone_took_is_no_estimate(watched, records, make_stage, monkeypatch):
    watched.executor.run(sft(make_stage, records), force=False)
    stage = sft(make_stage, records, steps=25)
    monkeypatch.setitem(stage.settings, "backbone", {"_target_": "tagpr.lm.backbone.PretrainedBackbone"})
    (line,) = plan([stage], watched.cache)
    assert (line.state, line.seconds, line.peak_bytes) == ("to run", None, None)
    assert any("backbone" in change for change in line.changes)
