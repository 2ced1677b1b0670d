"""What identifies a stage's result: its settings, its inputs, the code that makes it, the files it reads, library
versions.

Two runs that agree on all of these share one artifact, so nothing that changes a number may be left out of the hash,
and nothing that does not (paths, logging, comments) may get in.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from tagpr.errors import UserError
from tagpr.pipeline.code_memory import CodeMemory, beside_bytecode

PACKAGE = Path(__file__).resolve().parent.parent

# Libraries whose releases have moved numbers; the rest of the environment is recorded in a run's folder, not hashed.
NUMERIC_LIBRARIES = (
    "torch", "transformers", "tokenizers", "pytorch-lightning", "peft", "numpy", "scipy", "scikit-learn",
    "rouge-score",
)  # fmt: skip


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _strip_docstrings(tree: ast.Module) -> None:
    # Only statements hold statements: a walk over every expression would take most of a plan's time.
    statements: list[Any] = [tree]
    while statements:
        statement = statements.pop()
        if isinstance(statement, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = statement.body[0] if statement.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and type(first.value.value) is str:
                del statement.body[0]
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            statements += getattr(statement, block, ())


def code_digest(source: str) -> str:
    """Hash of what a Python source does: comments, docstrings and layout do not count."""
    tree = ast.parse(source)
    _strip_docstrings(tree)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache
def _code_memory() -> CodeMemory:
    maker = f"{file_sha256(Path(__file__))} {sys.version}"
    return CodeMemory(beside_bytecode(PACKAGE), maker=maker)


@cache
def _file_code_digest(path: Path) -> str:
    return _code_memory().digest(str(path.relative_to(PACKAGE)), path.read_bytes(), code_digest)


@cache
def room_digest(room: str) -> str:
    """Hash of a room's sources: a module (`markup`) or a folder (`chains`) of the package, shipped weights not
    included."""
    place = PACKAGE / room
    files = [PACKAGE / f"{room}.py"] if not place.is_dir() else sorted(p for p in place.rglob("*.py"))
    return digest([[str(path.relative_to(PACKAGE)), _file_code_digest(path)] for path in files])


def code_fingerprint(rooms: Sequence[str]) -> dict[str, str]:
    """Room -> short hash of its sources, for the rooms that can change a stage's result."""
    found = {room: room_digest(room)[:16] for room in rooms}
    _code_memory().save()
    return found


@cache
def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that change numbers; read from metadata, nothing is imported."""
    versions = {}
    for name in NUMERIC_LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FileHashes:
    """SHA-256 of source files, remembered by (size, time of change) so that a plan does not read 400 MB again.

    Args:
        memory: a JSON file that holds what was hashed before; created when missing, ignored when damaged.
    """

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        try:
            self.known: dict[str, list[Any]] = json.loads(memory.read_text())
        except (OSError, ValueError):
            self.known = {}

    def sha256(self, path: Path) -> str:
        """Hash of one file. Raises UserError where it cannot be read."""
        try:
            return self._sha256(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}). Make it readable, or give another.") from None

    def _sha256(self, path: Path) -> str:
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns]
        found = self.known.get(str(path))
        if found and found[:2] == stamp:
            return found[2]
        value = file_sha256(path)
        self.known[str(path)] = [*stamp, value]
        try:
            self.memory.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.memory.with_suffix(".tmp")
            temporary.write_text(json.dumps(self.known))
            temporary.replace(self.memory)
        except OSError:
            pass  # a read-only place costs time, not correctness
        return value

    def folder(self, root: Path, patterns: Sequence[str]) -> dict[str, str]:
        """Relative name -> hash of the files under `root` that match any of the patterns; empty where there is no
        folder."""
        files = sorted({path for pattern in patterns for path in root.rglob(pattern) if path.is_file()})
        return {str(path.relative_to(root)): self.sha256(path) for path in files}


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Readable `key: old -> new` lines between two nested mappings."""
    lines = []
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(before, after, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key}: {_short(before)} -> {_short(after)}")
    return lines


def _short(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 40 else f"{text[:37]}..."
