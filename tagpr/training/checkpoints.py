"""Checkpoint files on disk: written whole or not at all, checked before use, the last few kept."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

_NAME = re.compile(r"step_(\d{8})\.ckpt")


class DamagedCheckpoint(UserWarning):
    """A checkpoint could not be read and an older one is used."""


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / f"step_{step:08d}.ckpt"


def checkpoint_step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match, path
    return int(match[1])


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints in a folder, oldest first."""
    return sorted(path for path in folder.glob("step_*.ckpt") if _NAME.fullmatch(path.name))


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it: a kill or a full disk leaves the old state."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def keep_last(folder: Path, number: int) -> None:
    for path in list_checkpoints(folder)[:-number]:
        path.unlink()


def newest_sound(folder: Path) -> Path | None:
    """The newest checkpoint whose checksums hold; damaged ones are removed with a DamagedCheckpoint warning."""
    checkpoints = list_checkpoints(folder)
    while checkpoints:
        path = checkpoints.pop()
        problem = _problem(path)
        if not problem:
            return path
        instead = (
            f"going on from step {checkpoint_step(checkpoints[-1])}" if checkpoints else "starting from the beginning"
        )
        warnings.warn(f"Checkpoint {path} is damaged ({problem}): {instead}.", DamagedCheckpoint, stacklevel=2)
        path.unlink(missing_ok=True)  # another rank may have found it too
    return None


def _problem(path: Path) -> str:
    """Why a checkpoint cannot be used; "" where it can. torch writes zip archives, so each part carries a checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        return str(error)
    return f"wrong checksum of {part}" if part else ""
