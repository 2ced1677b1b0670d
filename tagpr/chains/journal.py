"""Replies of a language model on disk, one line each: what was paid for is never lost and never asked for twice."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What an endpoint said to one request, whether it can be used or not. Filled by `EndpointClient.ask`."""

    text: str
    finish: str  # `stop`, `length`, `content_filter`, ...: why the model ended
    prompt_tokens: int  # as the endpoint bills them; 0 where it does not say
    completion_tokens: int


@final
class Journal:
    """Replies by the key of their request, in the order in which they came.

    A line is on the disk before `add` returns. A last line that a kill tore is cut off; any other line that cannot be
    read counts as never written, so that its request is asked again.

    Args:
        path: JSON lines; made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._replies: dict[str, list[Reply]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        self._file.truncate(whole)
        for line in content[:whole].splitlines():
            if (found := _read(line)) is not None:
                key, reply = found
                self._replies.setdefault(key, []).append(reply)

    def replies(self, key: str) -> list[Reply]:
        return list(self._replies.get(key, ()))

    def add(self, key: str, reply: Reply) -> None:
        """Keep one reply. Raises OSError where the disk is full."""
        self._file.write(json.dumps({"key": key, **asdict(reply)}, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._replies.setdefault(key, []).append(reply)

    def close(self) -> None:
        self._file.close()


def _read(line: bytes) -> tuple[str, Reply] | None:
    try:
        fields: Any = json.loads(line)
        return fields.pop("key"), Reply(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
