"""One row of metrics per step, in a file that survives a kill: after a resume no row is double and none is missing."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path


class MetricsLog:
    """Rows go to a JSON-lines file beside the checkpoints as they come, and to a CSV at the end.

    Args:
        path: the JSON-lines file.
        last_step: rows after it, which the resumed run makes again, are dropped.
        writes: this process writes the file; of several ranks one does.
    """

    def __init__(self, path: Path, *, last_step: int, writes: bool) -> None:
        self.path = path
        self.writes = writes
        if not writes:
            return
        rows = [row for row in _read(path) if row["step"] <= last_step] if path.exists() else []
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.replace(temporary, path)

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        if not self.writes:
            return
        with open(self.path, "a") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")

    def flush(self) -> None:
        """Onto the disk, before a checkpoint claims that these steps are done."""
        if not self.writes:
            return
        with open(self.path, "a") as file:
            os.fsync(file.fileno())

    def final(self) -> dict[str, float]:
        """The last value of each metric."""
        return {name: value for row in _read(self.path) for name, value in row.items() if name != "step"}

    def write_csv(self, path: Path) -> None:
        rows = _read(self.path)
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _read(path: Path) -> list[dict[str, float]]:
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break  # the line that was being written when the process died; its step is made again
    return rows
