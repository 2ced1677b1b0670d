"""Every time that test people are asked leaves one line, whoever asks; nothing else does."""

import json
import multiprocessing
import shutil
from dataclasses import replace

import pytest

from tagpr.pipeline.graph import ROOMS
from tagpr.pipeline.ledger import NAME, Ledger, read_ledger

GREEDY = {"temperature": 0.0, "max_new_tokens": 80, "num_samples": 1}


@pytest.fixture
def asking(room, make_stage):
    """Makes a stage that asks 5 people 8 questions: of `splits`, the backbone or what SFT made."""
    room.act = lambda call: {"records": 8, "people": 5, "predictions": 16}

    def make(kind="evaluate", splits=("test",), trained=True, **settings):
        records = make_stage("records")
        inputs = {"records": records} | ({"policy": make_stage("sft", {"records": records})} if trained else {})
        groups = {"backbone": {"dtype": "float32"}, "evaluation": {"splits": list(splits)}, **settings}
        return replace(make_stage(kind, inputs, **groups), label=f"{kind} sft")

    return make


def run(watched, stage, *, force=False):
    for source in stage.inputs.values():
        watched.executor.run(source, force=False)
    return watched.executor.run(stage, force=force)


def lines(watched):
    place = watched.executor.ledger.place
    return read_ledger(place)[0] if place.exists() else []


def test_a_look_at_test_people_is_one_line_that_says_who_asked_whom(watched, asking):
    stage = asking(decoding=GREEDY)
    run(watched, stage)
    (line,) = lines(watched)
    assert line.pop("time") <= watched.cache.manifest("evaluate", stage.fingerprint)["finished_at"]
    assert line == {
        "stage": "evaluate", "label": "evaluate sft", "fingerprint": stage.fingerprint,
        "policy": f"sft/{stage.inputs['policy'].fingerprint}", "experiment": "demo", "run_name": "full", "seed": 3,
        "splits": ["test"], "people": 5, "questions": 8, "decoding": GREEDY,
    }  # fmt: skip


def test_reuse_is_no_look_and_computing_again_is(watched, asking):
    stage = asking(decoding=GREEDY)
    run(watched, stage)
    run(watched, stage)
    assert len(lines(watched)) == 1
    shutil.rmtree(watched.cache.folder("evaluate", stage.fingerprint))
    run(watched, stage)
    assert len(lines(watched)) == 2
    run(watched, stage, force=True)
    assert [line["fingerprint"] for line in lines(watched)] == [stage.fingerprint] * 3


def test_diagnoses_ask_test_people_too(watched, asking):
    for kind in ("swap", "attribution"):
        run(watched, asking(kind, **{kind: {"max_new_tokens": 96}}))
    assert [line["stage"] for line in lines(watched)] == ["swap", "attribution"]
    assert {json.dumps(line["decoding"]) for line in lines(watched)} == {
        json.dumps({"temperature": 0.0, "max_new_tokens": 96, "num_samples": 1})
    }


@pytest.mark.parametrize("splits, entered", [(["dev"], 0), (["train", "dev"], 0), (["dev", "test"], 1)])
def test_people_of_other_splits_are_not_entered(splits, entered, watched, asking):
    run(watched, asking(splits=splits, decoding=GREEDY))
    assert len(lines(watched)) == entered


def test_a_stage_that_had_nothing_to_ask_is_not_entered(room, watched, asking):
    stage = asking("attribution", attribution={"max_new_tokens": 96})
    room.act = lambda call: {"records": 0, "people": 0, "answers": 0}
    run(watched, stage)
    assert watched.cache.manifest("attribution", stage.fingerprint) is not None
    assert lines(watched) == []


def test_the_backbone_is_one_policy_under_every_decoding_and_another_base_another(watched, asking):
    greedy = asking(trained=False, decoding=GREEDY)
    sampled = asking(trained=False, decoding={**GREEDY, "temperature": 1.0})
    other = replace(greedy, files={"model.safetensors": "ab"})
    for stage in (greedy, sampled, other):
        run(watched, stage)
    first, second, third = (line["policy"] for line in lines(watched))
    assert first == second != third
    assert first.startswith("backbone/")


def test_what_cannot_be_entered_is_not_published(watched, asking, tmp_path):
    (tmp_path / NAME).mkdir()
    stage = asking(decoding=GREEDY)
    with pytest.raises(OSError):
        run(watched, stage)
    assert watched.cache.manifest("evaluate", stage.fingerprint) is None


def test_no_fingerprint_depends_on_the_ledger():
    assert not [room for rooms in ROOMS.values() for room in rooms if room.startswith("pipeline")]


def test_half_a_line_costs_no_other(watched, asking):
    place = watched.executor.ledger.place
    place.write_text('{"time": "2026-0')  # a power cut
    run(watched, asking(decoding=GREEDY))
    found, damaged = read_ledger(place)
    assert (len(found), damaged) == (1, 1)
    assert found[0]["questions"] == 8


def _enter_many(place, stage, run_name):
    ledger = Ledger(place=place, experiment="demo", run_name=run_name, seed=0)
    for _ in range(40):
        ledger.enter(stage, {"records": 8, "people": 5})


def test_two_processes_enter_into_one_ledger(tmp_path, asking):
    stage, place = asking(decoding=GREEDY), tmp_path / NAME
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=_enter_many, args=(place, stage, name)) for name in ("one", "two")]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    found, damaged = read_ledger(place)
    assert damaged == 0
    assert sorted(line["run_name"] for line in found) == ["one"] * 40 + ["two"] * 40
