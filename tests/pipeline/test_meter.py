"""A stage's cost counts every process and every run that worked on it."""

import multiprocessing
import time
from pathlib import Path

import pytest

from tagpr.context import StopRequested
from tagpr.pipeline import meter as meter_module
from tagpr.pipeline.meter import NAME, Meter
from tagpr.storage import read_json, write_json


def work_for(seconds: float) -> None:
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass


def work_and_wait(seconds: float, ready) -> None:
    work_for(seconds)
    ready.set()
    time.sleep(60)


def test_a_helper_counts_while_it_works_and_when_it_has_ended(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    with Meter(tmp_path) as meter:
        helper = fork.Process(target=work_and_wait, args=(0.5, ready), daemon=True)
        helper.start()
        assert ready.wait(30)
        assert meter.read()["cpu_seconds"] >= 0.45  # the system counts in ticks of a hundredth
        helper.kill()
        helper.join()
        assert meter.read()["cpu_seconds"] >= 0.45


def test_a_stage_that_goes_on_has_cost_what_both_runs_did(tmp_path: Path) -> None:
    with Meter(tmp_path):
        work_for(0.2)
    noted = read_json(tmp_path / NAME)
    assert noted["cpu_seconds"] >= 0.2
    assert noted["peak_rss"] > 1e6
    with Meter(tmp_path) as second:
        work_for(0.1)
        spent = second.read()
    assert spent["cpu_seconds"] >= noted["cpu_seconds"] + 0.09
    assert spent["seconds"] >= noted["seconds"] + 0.09
    assert (noted["runs"], spent["runs"]) == (1, 2)


def test_what_was_spent_is_noted_before_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_module, "SECONDS_BETWEEN_NOTES", 0.01)
    with Meter(tmp_path):
        deadline = time.monotonic() + 30
        while not (tmp_path / NAME).is_file():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_damaged_note_counts_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with Meter(tmp_path) as meter:
        assert meter.read()["seconds"] < 30


def test_the_manifest_of_a_resumed_stage_counts_both_runs(room, watched, make_stage) -> None:
    def stop_half_way(call):
        (call["context"].checkpoints / "step_00000005.ckpt").write_text("5")
        raise StopRequested

    room.act = stop_half_way
    sft = make_stage("sft", sft={"steps": 10})
    with pytest.raises(StopRequested):
        watched.executor.run(sft, force=False)
    note = watched.cache.work_folder("sft", sft.fingerprint) / NAME
    write_json(note, {**read_json(note), "cpu_seconds": 100.0})
    room.act = lambda call: {}
    manifest = watched.executor.run(sft, force=False).manifest
    assert 100.0 <= manifest["cpu_seconds"] < 130.0
    assert manifest["files"].keys() == {"result.txt"}  # the note is no part of the artifact
