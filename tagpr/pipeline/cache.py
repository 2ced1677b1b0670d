"""Finished stages on disk: `runs/cache/<stage>/<fingerprint>/`, written whole or not at all, one writer at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tagpr.context import StopRequested
from tagpr.errors import UserError
from tagpr.pipeline.fingerprint import file_sha256
from tagpr.storage import read_json, write_json

SCHEMA = 1  # of the manifest and the artifacts' files; raise it when an older artifact can no longer be read


class ArtifactCache:
    """Artifacts by stage and fingerprint.

    Args:
        root: the `cache` folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, stage: str, fingerprint: str) -> Path:
        """Where the finished artifact stands, or will stand."""
        return self.root / stage / fingerprint

    def work_folder(self, stage: str, fingerprint: str) -> Path:
        """Where an unfinished stage keeps its output and checkpoints."""
        return self.root / stage / f".{fingerprint}.work"

    def manifest(self, stage: str, fingerprint: str) -> dict[str, Any] | None:
        """The manifest of a finished artifact; None where there is none.

        Raises:
            UserError: the artifact was written by another version of the format.
        """
        path = self.folder(stage, fingerprint) / "manifest.json"
        if not path.exists():
            return None
        try:
            manifest = read_json(path)
        except ValueError as error:
            raise UserError(f"{path} is damaged ({error}). Remove {path.parent}; it will be computed again.") from None
        if manifest.get("schema") != SCHEMA:
            raise UserError(
                f"{path} has schema {manifest.get('schema')!r}, this version reads {SCHEMA}. "
                f"Remove {path.parent} (it will be computed again) or use the version that wrote it."
            )
        return manifest

    def manifests(self, stage: str) -> list[dict[str, Any]]:
        """Manifests of every finished artifact of a stage."""
        found = []
        for path in sorted((self.root / stage).glob("[0-9a-f]*/manifest.json")):
            with contextlib.suppress(ValueError):  # a damaged one is named where it is needed
                manifest = read_json(path)
                if manifest.get("schema") == SCHEMA:
                    found.append(manifest)
        return found

    def is_resumable(self, stage: str, fingerprint: str) -> bool:
        """Whether a killed run left a checkpoint to go on from."""
        checkpoints = self.work_folder(stage, fingerprint) / "checkpoints"
        return checkpoints.is_dir() and any(checkpoints.iterdir())

    @contextmanager
    def lock(
        self, stage: str, fingerprint: str, on_wait: Any = None, stop: threading.Event | None = None
    ) -> Iterator[None]:
        """Hold the right to compute one fingerprint; others wait. The kernel frees it when its holder dies.

        Raises:
            StopRequested: `stop` was set while waiting.
        """
        path = self.root / stage / f".{fingerprint}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if on_wait is not None:
                on_wait()
            while not lock.is_locked:
                if stop is not None and stop.is_set():
                    raise StopRequested(f"{stage} was being computed by another run") from None
                with contextlib.suppress(Timeout):
                    lock.acquire(timeout=0.2)
        try:
            yield
        finally:
            lock.release()

    def open_work(self, stage: str, fingerprint: str) -> tuple[Path, Path]:
        """(output, checkpoints) of a stage about to run: what a killed run left is kept only if it can be resumed."""
        work = self.work_folder(stage, fingerprint)
        self.drop_unresumable(stage, fingerprint)
        output, checkpoints = work / "output", work / "checkpoints"
        output.mkdir(parents=True, exist_ok=True)
        checkpoints.mkdir(exist_ok=True)
        return output, checkpoints

    def drop_unresumable(self, stage: str, fingerprint: str) -> None:
        """Remove what a failed stage wrote, unless it left a checkpoint to go on from."""
        if not self.is_resumable(stage, fingerprint):
            shutil.rmtree(self.work_folder(stage, fingerprint), ignore_errors=True)

    def finish(self, stage: str, fingerprint: str, manifest: Mapping[str, Any]) -> Path:
        """Make the work folder's output the finished artifact: hash its files, write the manifest, sync, rename.

        Raises:
            OSError: the disk is full or not writable; the work folder stays and nothing counts as finished.
        """
        work = self.work_folder(stage, fingerprint)
        output, final = work / "output", self.folder(stage, fingerprint)
        files = sorted(path for path in output.rglob("*") if path.is_file())
        hashes = {str(path.relative_to(output)): file_sha256(path) for path in files}
        for path in files:
            _sync(path)
        full = {
            "schema": SCHEMA, "stage": stage, "fingerprint": fingerprint, **manifest, "files": hashes,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        write_json(output / "manifest.json", full)
        if final.exists():  # `force=` computes a finished fingerprint again
            shutil.rmtree(final)
        output.rename(final)
        _sync(final.parent)
        shutil.rmtree(work, ignore_errors=True)
        return final

    def damaged_files(self, stage: str, fingerprint: str) -> list[str]:
        """Files of a finished artifact that are gone or changed since its manifest was written."""
        folder = self.folder(stage, fingerprint)
        manifest = self.manifest(stage, fingerprint) or {"files": {}}
        return [
            name
            for name, value in manifest["files"].items()
            if not (folder / name).is_file() or file_sha256(folder / name) != value
        ]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
