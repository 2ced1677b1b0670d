"""Stages are computed once, taken from the cache after that, and leave nothing behind when they fail."""

import threading

import pytest
from omegaconf import OmegaConf

from tagpr.context import StopRequested
from tagpr.errors import UserError
from tagpr.pipeline import execute


def test_a_stage_is_computed_once(room, watched, make_stage):
    records = make_stage("records", data={"size": "demo"})
    first = watched.executor.run(records, force=False)
    second = watched.executor.run(records, force=False)
    assert (first.computed, second.computed) == (True, False)
    assert first.folder == second.folder == watched.cache.folder("records", records.fingerprint)
    assert first.manifest == second.manifest
    assert watched.said == [("records", "running"), ("records", "cached")]
    assert len(room.calls) == 1


def test_the_manifest_says_how_the_result_came_about(room, watched, make_stage):
    records = make_stage("records", data={"size": "demo"})
    chains = make_stage("chains", {"records": records}, teacher={"habit": 0.3}, seed=11)
    watched.executor.run(records, force=False)
    manifest = watched.executor.run(chains, force=False).manifest
    assert manifest["config"] == {"teacher": {"habit": 0.3}}
    assert manifest["inputs"] == {"records": records.fingerprint}
    assert (manifest["seed"], manifest["counts"], manifest["resumed"]) == (11, {"steps": 3}, False)
    assert manifest["files"].keys() == {"result.txt"}
    assert manifest["seconds"] >= 0
    assert manifest["cpu_seconds"] >= 0
    assert manifest["peak_rss"] > 1e6


def test_a_stage_gets_its_inputs_folders_and_its_groups_built(room, watched, make_stage):
    records = make_stage("records", data={"size": "demo"})
    folder = watched.executor.run(records, force=False).folder
    groups = {"size": {"_target_": "datetime.timedelta", "days": 2}, "plain": {"mode": "offline"}}
    watched.executor.run(make_stage("chains", {"records": records}, **groups), force=False)
    call = room.calls[-1]
    assert call["inputs"] == {"records": folder}
    assert (call["size"].days, call["plain"]) == (2, {"mode": "offline"})
    assert (call["context"].seed, call["context"].stage) == (7, "chains")
    assert call["context"].replies == watched.cache.root / "replies"  # of all runs


def test_force_computes_a_finished_stage_again(room, watched, make_stage):
    records = make_stage("records", data={"size": "demo"})
    watched.executor.run(records, force=False)
    assert watched.executor.run(records, force=True).computed
    assert len(room.calls) == 2


def test_another_job_that_computes_the_same_is_waited_for(room, watched, make_stage):
    records = make_stage("records", data={"size": "demo"})
    started, waiting = threading.Event(), threading.Event()

    def compute_slowly(call):
        started.set()
        assert waiting.wait(20)
        return {}

    room.act = compute_slowly
    other = threading.Thread(target=watched.executor.run, args=(records,), kwargs={"force": False})
    other.start()
    assert started.wait(20)
    announce = watched.executor.announce

    def announce_and_release(stage, state):
        announce(stage, state)
        if state == "waiting":
            waiting.set()

    watched.executor.announce = announce_and_release
    outcome = watched.executor.run(records, force=False)
    other.join()
    assert not outcome.computed
    assert watched.said == [("records", "running"), ("records", "waiting"), ("records", "cached")]
    assert len(room.calls) == 1


@pytest.mark.parametrize("error", [UserError("no records"), RuntimeError("ours"), StopRequested()])
def test_a_failing_stage_leaves_nothing_behind(error, room, watched, make_stage):
    def fail(call):
        raise error

    room.act = fail
    records = make_stage("records", data={"size": "demo"})
    with pytest.raises(type(error)):
        watched.executor.run(records, force=False)
    assert watched.cache.manifest("records", records.fingerprint) is None
    assert not watched.cache.work_folder("records", records.fingerprint).exists()
    room.act = lambda call: {}
    assert watched.executor.run(records, force=False).computed


def test_a_stage_that_left_a_checkpoint_is_resumed(room, watched, make_stage):
    def stop_half_way(call):
        (call["context"].checkpoints / "step_00000005.ckpt").write_text("5")
        raise StopRequested

    room.act = stop_half_way
    sft = make_stage("sft", sft={"steps": 10})
    with pytest.raises(StopRequested):
        watched.executor.run(sft, force=False)
    assert watched.cache.manifest("sft", sft.fingerprint) is None
    found = []
    room.act = lambda call: found.extend(p.name for p in call["context"].checkpoints.iterdir()) or {}
    outcome = watched.executor.run(sft, force=False)
    assert (outcome.resumed, outcome.manifest["resumed"], found) == (True, True, ["step_00000005.ckpt"])
    assert watched.said[-1] == ("sft", "resuming")
    assert not watched.cache.work_folder("sft", sft.fingerprint).exists()


def test_a_stage_that_fails_on_a_damaged_input_names_it(room, watched, make_stage):
    records = make_stage("records", data={"size": "demo"})
    folder = watched.executor.run(records, force=False).folder
    (folder / "result.txt").write_text("cut off")

    def fail(call):
        raise RuntimeError("invalid header")

    room.act = fail
    with pytest.raises(UserError, match=r"chains failed because .* is damaged: result.txt changed .*force=records"):
        watched.executor.run(make_stage("chains", {"records": records}), force=False)


def test_values_are_checked_before_anything_runs(room, watched, make_stage):
    bad = {"_target_": "tagpr.data.prompts.QuestionStyle", "thinking": False, "query_tokens": 0}
    stages = [make_stage("records", data={"size": "demo"}), make_stage("chains", prompt=bad)]
    with pytest.raises(UserError, match=r"prompt\.query_tokens=0, expected 1 or more"):
        watched.executor.check(stages)
    assert room.calls == []


def test_a_mistake_of_ours_in_a_constructor_keeps_its_own_type(room, watched, make_stage):
    with pytest.raises(Exception, match="'weeks_' is an invalid keyword argument") as caught:
        execute._build(OmegaConf.create({"_target_": "datetime.timedelta", "weeks_": 2}))
    assert not isinstance(caught.value, UserError)
