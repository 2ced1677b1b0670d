"""Digests of this package's own sources, remembered between processes: a plan would otherwise parse two hundred files,
which takes longer than everything else that it does after reading the configuration.

An entry counts only for the very bytes that it was made from and for what made it, so none can be out of date.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path


class CodeMemory:
    """What was digested before.

    Args:
        place: a JSON file {name of a source: [SHA-256 of its bytes, its digest]}; created when missing, ignored when
        damaged or made by something else.
        maker: what the digests depend on beside the source: who makes them, with which Python.
    """

    def __init__(self, place: Path, *, maker: str) -> None:
        self.place, self.maker = place, maker
        self.changed = False
        try:
            found = json.loads(place.read_text())
            self.known: dict[str, list[str]] = found["digests"] if found["maker"] == maker else {}
        except (OSError, ValueError, KeyError, TypeError):
            self.known = {}

    def digest(self, name: str, source: bytes, make: Callable[[str], str]) -> str:
        """`make` of the source, taken from memory where it was made of the same bytes."""
        stamp = hashlib.sha256(source).hexdigest()
        known = self.known.get(name)
        if known is None or known[0] != stamp:
            self.known[name] = known = [stamp, make(source.decode("utf-8"))]
            self.changed = True
        return known[1]

    def save(self) -> None:
        """Keep what is new, unless Python is to leave nothing beside its sources."""
        if not self.changed or sys.dont_write_bytecode:
            return
        self.changed = False
        temporary = self.place.with_suffix(f".{os.getpid()}")
        try:
            self.place.parent.mkdir(exist_ok=True)
            temporary.write_text(json.dumps({"maker": self.maker, "digests": self.known}))
            temporary.replace(self.place)
        except OSError:
            pass  # a read-only place costs time, not correctness


def beside_bytecode(package: Path) -> Path:
    """Where Python keeps what it made of this package's sources, and we too."""
    return Path(importlib.util.cache_from_source(str(package / "code_digests.py"))).with_suffix(".json")
