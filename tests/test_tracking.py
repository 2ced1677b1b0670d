"""Weights & Biases: offline, one run per computed stage and one per `tagpr` run; nothing at all when disabled."""

import sys
from types import SimpleNamespace

import pytest

from tagpr.pipeline.execute import Outcome
from tagpr.pipeline.graph import Stage
from tagpr.tracking import Tracker


class FakeRun:
    def __init__(self, settings):
        self.settings = settings
        self.summary: dict = {}
        self.logged: list = []
        self.exit_code = None

    def log(self, values):
        self.logged.append(values)

    def finish(self, exit_code=0):
        self.exit_code = exit_code


@pytest.fixture
def opened(monkeypatch) -> list[FakeRun]:
    """What `wandb.init` was called with, without wandb."""
    runs: list[FakeRun] = []

    def init(**settings):
        runs.append(FakeRun(settings))
        return runs[-1]

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Settings=lambda **values: values))
    return runs


def tracker(tmp_path, mode="offline") -> Tracker:
    return Tracker(mode=mode, project="tagpr", group="demo", folder=tmp_path)


def outcome(tmp_path) -> Outcome:
    stage = Stage(kind="rl", name="rl_guided", label="rl_guided", groups={}, inputs={}, seed=1)
    manifest = {
        "counts": {"steps": 4}, "seconds": 1.5, "cpu_seconds": 1.2, "peak_rss": 7, "fingerprint": stage.fingerprint,
    }  # fmt: skip
    return Outcome(stage=stage, folder=tmp_path, computed=True, resumed=False, manifest=manifest)


def test_a_stage_without_a_trainer_gets_its_run_when_it_is_done(opened, tmp_path):
    done = outcome(tmp_path)
    tracker(tmp_path).stage_done(done)
    (run,) = opened
    assert {k: run.settings[k] for k in ("mode", "project", "group", "job_type")} == {
        "mode": "offline", "project": "tagpr", "group": "demo", "job_type": "rl_guided",
    }  # fmt: skip
    assert run.settings["name"] == f"rl_guided {done.stage.fingerprint[:8]}"
    assert run.summary["rl_guided/steps"] == 4
    assert (run.summary["seconds"], run.summary["fingerprint"]) == (1.5, done.stage.fingerprint)
    assert run.exit_code == 0


def test_a_stage_that_trains_has_one_run_and_the_next_another(opened, tmp_path):
    watch, done = tracker(tmp_path), outcome(tmp_path)
    watch._open = watch._start(name="as stage_loggers does", job_type="rl_guided", config={})
    watch.stage_done(done)
    assert len(opened) == 1
    watch.stage_done(done)
    assert [run.exit_code for run in opened] == [0, 0]


def test_a_run_logs_its_final_metrics_and_what_it_used(opened, tmp_path):
    tracker(tmp_path).run_done(name="full", config={"seed": 3}, metrics={"final/sft": 0.5}, artifacts={"sft": "ab12"})
    (run,) = opened
    assert run.settings["job_type"] == "run"
    assert run.settings["config"] == {"seed": 3, "artifacts": {"sft": "ab12"}}
    assert run.logged == [{"final/sft": 0.5}]
    assert run.summary == {"final/sft": 0.5}


def test_an_interrupted_stages_run_is_closed_as_failed(opened, tmp_path):
    watch = tracker(tmp_path)
    watch.abandon()
    watch._open = watch._start(name="sft", job_type="sft", config={})
    watch.abandon()
    assert [run.exit_code for run in opened] == [1]


def test_nothing_of_the_machine_leaves_with_a_run(opened, tmp_path):
    tracker(tmp_path).stage_done(outcome(tmp_path))
    settings = opened[0].settings["settings"]
    assert settings["disable_git"]
    assert settings["x_disable_machine_info"]
    assert not settings["x_save_requirements"]


def test_disabled_opens_nothing_and_does_not_import_wandb(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would raise
    watch, done = tracker(tmp_path, mode="disabled"), outcome(tmp_path)
    assert watch.stage_loggers(done.stage, tmp_path) == []
    watch.stage_done(done)
    watch.run_done(name="full", config={}, metrics={}, artifacts={})
    watch.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_real_offline_run_needs_no_account_and_writes_into_the_given_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    watch, done = tracker(tmp_path), outcome(tmp_path)
    (logger,) = watch.stage_loggers(done.stage, tmp_path)
    logger.log_metrics({"rl/reward": 0.5}, step=1)
    watch.stage_done(done)
    watch.run_done(name="full", config={}, metrics={"final/sft": 0.5}, artifacts={})
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 2
