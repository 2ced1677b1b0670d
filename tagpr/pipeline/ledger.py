"""The ledger of a runs folder: one line for each time that test people were asked, so that looks at them are counted.

A finished stage that is taken from the cache is no new look; one that is computed again is.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from tagpr.pipeline.diagnoses import DIAGNOSES
from tagpr.pipeline.fingerprint import digest
from tagpr.pipeline.graph import Stage

NAME = "ledger.jsonl"
ASKING = ("evaluate", *DIAGNOSES)  # kinds of stages that put questions to a policy


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Where a run enters its looks at test people.

    Args:
        place: the file; created with its first line.
        experiment, run_name, seed: of the run that asks.
    """

    place: Path
    experiment: str
    run_name: str
    seed: int

    def enter(self, stage: Stage, counts: Mapping[str, int | float]) -> None:
        """One line where the stage has asked test people; nothing elsewhere.

        Called before a stage is published: a stage that is killed in between is entered twice, none is left out.

        Raises:
            OSError: the line could not be written; the file is as it was.
        """
        if not asked_test_people(stage, counts):
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"), "stage": stage.name, "label": stage.label,
            "fingerprint": stage.fingerprint, "policy": _policy(stage), "experiment": self.experiment,
            "run_name": self.run_name, "seed": self.seed, "splits": stage.settings["evaluation"]["splits"],
            "people": counts["people"], "questions": counts["records"], "decoding": _decoding(stage),
        }  # fmt: skip
        _append(self.place, json.dumps(line))


def asked_test_people(stage: Stage, counts: Mapping[str, int | float]) -> bool:
    """Whether a stage put questions to test people: dev people are asked too, and chains without tags leave attribution
    nothing to ask."""
    return stage.kind in ASKING and "test" in stage.groups["evaluation"].splits and counts["records"] > 0


def _policy(stage: Stage) -> str:
    """`<stage>/<fingerprint>` of what was asked; the backbone's settings and files stand for its fingerprint."""
    source = stage.inputs.get("policy")
    if source is None:
        return f"backbone/{digest([stage.settings['backbone'], dict(stage.files)])[:24]}"
    return f"{source.name}/{source.fingerprint}"


def _decoding(stage: Stage) -> dict[str, Any]:
    if stage.kind == "evaluate":
        return stage.settings["decoding"]
    # Diagnoses are greedy, one answer each.
    return {"temperature": 0.0, "max_new_tokens": stage.settings[stage.kind]["max_new_tokens"], "num_samples": 1}


def _append(place: Path, line: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_name(f".{place.name}.lock")), place.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        whole = size == 0 or os.pread(file.fileno(), 1, size - 1) == b"\n"
        text = ("" if whole else "\n") + line + "\n"  # a power cut left half a line
        data = text.encode()
        try:
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def read_ledger(place: Path) -> tuple[list[dict[str, Any]], int]:
    """Its lines, and how many more cannot be read (cut off by a power failure)."""
    lines: list[dict[str, Any]] = []
    texts = place.read_text(encoding="utf-8", errors="replace").splitlines()
    for text in texts:
        with suppress(ValueError):
            lines.append(json.loads(text))
    return lines, len(texts) - len(lines)
