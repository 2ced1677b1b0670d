"""Checkpoint files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tagpr.training.checkpoints import (
    DamagedCheckpoint,
    checkpoint_path,
    checkpoint_step,
    keep_last,
    list_checkpoints,
    newest_sound,
    write_atomically,
)


def write(folder: Path, *steps: int) -> None:
    for step in steps:
        write_atomically(checkpoint_path(folder, step), lambda path, step=step: torch.save({"step": step}, path))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def disk_full(temporary: Path) -> None:
        temporary.write_text("ne")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, disk_full)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_newest_by_number_not_by_date(tmp_path: Path) -> None:
    write(tmp_path, 100, 9)
    newest = newest_sound(tmp_path)
    assert newest is not None
    assert checkpoint_step(newest) == 100


def test_nothing_there(tmp_path: Path) -> None:
    assert newest_sound(tmp_path) is None
    assert newest_sound(tmp_path / "missing") is None


def test_all_damaged_starts_from_the_beginning(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    for path in list_checkpoints(tmp_path):
        path.write_bytes(b"")
    with pytest.warns(DamagedCheckpoint) as warned:
        assert newest_sound(tmp_path) is None
    assert "going on from step 1" in str(warned[0].message)
    assert "starting from the beginning" in str(warned[1].message)


def test_last_ones_are_kept(tmp_path: Path) -> None:
    write(tmp_path, 1, 2, 30)
    keep_last(tmp_path, 2)
    assert [checkpoint_step(path) for path in list_checkpoints(tmp_path)] == [2, 30]
