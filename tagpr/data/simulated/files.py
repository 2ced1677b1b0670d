"""The simulated world as files in LaMP's own form, readable by any LaMP code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tagpr.tasks import ALL_TASKS
from tagpr.types import SPLITS, Record


def write_lamp_files(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write `{task}/{split}/{split}_questions.json` and `{split}_outputs.json` under the folder; returns the paths.

    Same records, same bytes. Questions carry `user_id`, as LaMP's time-based files do; truth and purposes are left out.
    """
    written: list[Path] = []
    for task in sorted({record.task for record in records}):
        for split in SPLITS:
            chosen = [record for record in records if record.task == task and record.split == split]
            questions = [
                {
                    "id": record.record_id,
                    "user_id": record.user_id,
                    "input": record.question,
                    "profile": [ALL_TASKS[task].write_entry(entry) for entry in record.profile],
                }
                for record in chosen
            ]
            golds = [{"id": record.record_id, "output": record.gold} for record in chosen]
            target = folder / task / split
            target.mkdir(parents=True, exist_ok=True)
            for name, content in (("questions", questions), ("outputs", {"task": task, "golds": golds})):
                path = target / f"{split}_{name}.json"
                path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
                written.append(path)
    return written
