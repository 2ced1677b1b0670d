"""Artifacts are whole or absent, and one process at a time makes them."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tagpr.context import StopRequested
from tagpr.errors import UserError
from tagpr.pipeline.cache import ArtifactCache
from tagpr.storage import read_json, write_json


def finish(cache: ArtifactCache, text: str) -> Path:
    output, _ = cache.open_work("sft", "ab12")
    (output / "policy").mkdir(exist_ok=True)
    (output / "policy" / "weights").write_text(text)
    return cache.finish("sft", "ab12", {"seconds": 1.0, "counts": {"steps": 3}})


def test_a_finished_artifact_has_a_manifest_and_no_work_folder(tmp_path):
    cache = ArtifactCache(tmp_path)
    assert cache.manifest("sft", "ab12") is None
    folder = finish(cache, "one")
    manifest = cache.manifest("sft", "ab12")
    assert manifest is not None
    assert manifest["counts"] == {"steps": 3}
    assert list(manifest["files"]) == ["policy/weights"]
    assert not cache.work_folder("sft", "ab12").exists()
    assert cache.damaged_files("sft", "ab12") == []
    (folder / "policy" / "weights").write_text("bad!")
    assert cache.damaged_files("sft", "ab12") == ["policy/weights"]


def test_finishing_again_replaces_the_artifact(tmp_path):
    cache = ArtifactCache(tmp_path)
    finish(cache, "one")
    assert (finish(cache, "two") / "policy" / "weights").read_text() == "two"


def test_output_of_a_killed_stage_survives_only_beside_a_checkpoint(tmp_path):
    cache = ArtifactCache(tmp_path)
    output, checkpoints = cache.open_work("sft", "ab12")
    (output / "metrics.csv").write_text("half")
    assert not cache.is_resumable("sft", "ab12")
    output, checkpoints = cache.open_work("sft", "ab12")
    assert list(output.iterdir()) == []
    (output / "metrics.csv").write_text("half")
    (checkpoints / "step_5.ckpt").write_text("x")
    assert cache.is_resumable("sft", "ab12")
    output, _ = cache.open_work("sft", "ab12")
    assert (output / "metrics.csv").read_text() == "half"
    assert cache.manifest("sft", "ab12") is None


def test_an_artifact_of_another_schema_is_named(tmp_path):
    cache = ArtifactCache(tmp_path)
    path = finish(cache, "one") / "manifest.json"
    write_json(path, {**read_json(path), "schema": 99})
    with pytest.raises(UserError, match=r"has schema 99, this version reads 1.*Remove"):
        cache.manifest("sft", "ab12")
    assert cache.manifests("sft") == []


def _hold(root: Path, started: Path) -> None:
    with ArtifactCache(root).lock("sft", "ab12"):
        started.write_text("")
        time.sleep(60)


def test_who_waits_for_a_lock_leaves_when_asked_to_stop(tmp_path):
    stop = threading.Event()
    with (
        ArtifactCache(tmp_path).lock("sft", "ab12"),
        pytest.raises(StopRequested, match="sft was being computed by another run"),
        ArtifactCache(tmp_path).lock("sft", "ab12", on_wait=stop.set, stop=stop),
    ):
        pytest.fail("both hold the lock")


def test_a_dead_holder_frees_its_lock_and_a_living_one_is_waited_for(tmp_path):
    started = tmp_path / "started"
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(tmp_path, started))
    holder.start()
    while not started.exists():
        time.sleep(0.01)
    waited = []

    def on_wait() -> None:
        waited.append(True)
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGKILL)

    with ArtifactCache(tmp_path).lock("sft", "ab12", on_wait=on_wait):
        assert waited == [True]
    holder.join()
