"""The one verb: which stages it runs, what it writes, and how it ends. Made-up rooms stand in for the real ones."""

import json
import os
import signal
import sys
from types import ModuleType

import pytest

from tagpr.context import StopRequested
from tagpr.errors import UserError
from tagpr.pipeline import execute
from tagpr.pipeline import graph as graph_module


class Rooms:
    """What every stage does here: note its name, then `act`."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.act = lambda context: None

    def run(self, *, context, output, **parts):
        self.ran.append(context.stage)
        (output / "result.txt").write_text("done")
        self.act(context)
        return {"steps": 1}


@pytest.fixture
def rooms(monkeypatch) -> Rooms:
    made_up = Rooms()
    module = ModuleType("made_up_room")
    module.run = made_up.run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_room", module)
    for kind in graph_module.ENTRIES:
        monkeypatch.setitem(graph_module.ENTRIES, kind, "made_up_room")
    # Building the real parts would import torch.
    monkeypatch.setattr(execute, "_build", lambda node: node)
    return made_up


@pytest.fixture
def smoke(rooms, tmp_path, tagpr):
    def run(*arguments: str):
        rooms.ran = []
        return tagpr("experiment=smoke", f"paths.runs={tmp_path}", "logger=none", *arguments)

    return run


def test_until_runs_what_that_stage_needs_and_only_what_is_missing(smoke, rooms):
    answer = smoke("until=chains")
    assert (answer.code, rooms.ran) == (0, ["records", "chains"])
    assert "2 stages computed, 0 reused" in answer.out
    answer = smoke("until=sft")
    assert rooms.ran == ["sft"]
    assert "1 stages computed, 2 reused" in answer.out


def test_only_runs_one_stage_whose_inputs_are_there(smoke, rooms):
    smoke("until=chains")
    assert smoke("only=sft").code == 0
    assert rooms.ran == ["sft"]
    answer = smoke("only=prmu")
    assert (answer.code, rooms.ran) == (1, [])
    assert "only=prmu needs a finished pairs stage" in answer.err
    assert "Run until=pairs first, or leave only= away." in answer.err


@pytest.mark.parametrize("plan", ["plan=true", "plan=false"])
def test_numbers_that_no_stage_can_work_with_are_refused_before_any_runs(smoke, rooms, plan):
    answer = smoke(plan, "rl.rollouts_per_prompt=1")
    assert (answer.code, rooms.ran) == (1, [])
    assert "Error: rl.rollouts_per_prompt=1, expected 2 or more." in answer.err


def test_force_computes_a_finished_stage_again(smoke, rooms):
    smoke("until=chains")
    assert smoke("until=chains", "force=chains").code == 0
    assert rooms.ran == ["chains"]


def test_a_plan_shows_what_until_would_run_and_runs_nothing(smoke, rooms, tmp_path):
    smoke("until=records")
    answer = smoke("until=chains", "plan=true")
    assert (answer.code, rooms.ran) == (0, [])
    assert [line.split()[:2] for line in answer.out.splitlines()[1:3]] == [["records", "cached"], ["chains", "to"]]
    assert "1 of 2 stages to run" in answer.out


def test_a_users_mistake_ends_with_its_message_alone(smoke, rooms):
    def complain(context):
        raise UserError("the file is empty")

    rooms.act = complain
    answer = smoke("until=records")
    assert (answer.code, answer.err) == (1, "Error: the file is empty\n")


def test_a_mistake_of_ours_keeps_its_traceback(smoke, rooms):
    def break_down(context):
        raise ZeroDivisionError("ours")

    rooms.act = break_down
    with pytest.raises(ZeroDivisionError, match="ours"):
        smoke("until=records")


def test_a_full_disk_is_named(smoke, rooms):
    def fill(context):
        raise OSError(28, "No space left on device", "/disk/file")

    rooms.act = fill
    answer = smoke("until=records")
    assert answer.code == 1
    assert answer.err.startswith("Error: cannot write /disk/file: No space left on device. Nothing half-written")


def test_a_stop_signal_reaches_the_stage_and_ends_the_run(smoke, rooms):
    def stop(context):
        os.kill(os.getpid(), signal.SIGTERM)
        assert context.stop.is_set()
        raise StopRequested

    before = signal.getsignal(signal.SIGTERM)
    rooms.act = stop
    answer = smoke("until=chains")
    assert (answer.code, rooms.ran) == (143, ["records"])
    assert "Stopping after this step" in answer.err
    assert "The same command goes on from there" in answer.err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_comes_too_late_for_a_stage_still_ends_the_run_and_its_sweep(smoke, rooms):
    # The stage is done before it looks; without more ado the sweep would go on to its next run.
    rooms.act = lambda context: os.kill(os.getpid(), signal.SIGTERM)
    answer = smoke("-m", "seed=0,1", "until=records")
    assert (answer.code, rooms.ran) == (143, ["records"])
    assert "Stopped (SIGTERM)" in answer.err


def test_a_signal_between_stages_ends_the_run_at_once(smoke, rooms, monkeypatch):
    monkeypatch.setattr("tagpr.run._check", lambda cfg: os.kill(os.getpid(), signal.SIGINT))
    answer = smoke("until=records")
    assert (answer.code, rooms.ran) == (130, [])
    assert "Stopped (SIGINT): no stage was running." in answer.err


def test_a_stopped_stage_says_what_is_saved(smoke, rooms):
    def stop(context):
        if context.stage == "sft":
            (context.checkpoints / "step_00000007.ckpt").write_bytes(b"")
            raise StopRequested("step 7 of 12")
        if len(rooms.ran) == 1:
            raise StopRequested

    rooms.act = stop
    assert "Stopped (SIGINT): records has no checkpoint yet and begins anew" in smoke("until=sft").err
    rooms.act = lambda context: stop(context) if context.stage == "sft" else None
    assert "sft: step 7 of 12 is saved. The same command goes on from there." in smoke("until=sft").err


def test_work_with_a_progress_bar_leaves_when_asked(smoke, rooms):
    done = []

    def work(context):
        with context.progress("writing", total=5) as advance:
            for i in range(5):
                done.append(i)
                if i == 1:
                    os.kill(os.getpid(), signal.SIGTERM)
                advance()

    rooms.act = work
    assert smoke("until=records").code == 143
    assert done == [0, 1]


@pytest.mark.parametrize(
    "setting, complaint",
    [
        ("trainer.strategy=fsdp", "trainer.strategy=fsdp: expected devices >= 1, and auto or ddp"),
        ("trainer.devices=0", "trainer.devices=0"),
        ("trainer.devices=5", "sft.batch_size=8 cannot be shared evenly by trainer.devices=5"),
    ],
)
def test_what_several_processes_cannot_do_is_refused_before_anything_runs(smoke, rooms, setting, complaint):
    answer = smoke(setting, "until=records")
    assert (answer.code, rooms.ran) == (1, [])
    assert complaint in answer.err


def test_ranks_started_from_outside_are_refused(smoke, rooms, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    answer = smoke("trainer=cpu_ddp", "until=records")
    assert (answer.code, rooms.ran) == (1, [])
    assert "tagpr starts its own processes" in answer.err


def test_a_sweep_goes_on_after_a_failed_run_and_ends_with_failure(smoke, rooms):
    def fail_once(context):
        if len(rooms.ran) == 1:
            raise UserError("the first time")

    rooms.act = fail_once
    answer = smoke("-m", "ablation=full,no_prmu", "until=records")
    assert (answer.code, rooms.ran) == (1, ["records", "records"])
    assert "Error: the first time" in answer.err
    assert "Error executing job" not in answer.err


def test_an_artifact_of_another_format_is_named_before_anything_runs(smoke, rooms, tmp_path):
    smoke("until=records")
    (path,) = tmp_path.glob("cache/records/*/manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    answer = smoke("until=records")
    assert (answer.code, rooms.ran) == (1, [])
    assert "has schema 99, this version reads 1. Remove" in answer.err
    path.write_text("{cut off")
    assert "is damaged" in smoke("until=records").err
