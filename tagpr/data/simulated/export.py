"""The simulated world as a folder that `datasets.load_dataset(FOLDER, "S2")` reads without this package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tagpr.data.simulated.files import write_lamp_files
from tagpr.errors import UserError
from tagpr.storage import write_parquet
from tagpr.types import SPLITS, Record

HUB_SPLITS = {"train": "train", "dev": "validation", "test": "test"}


def export_folder(records: Sequence[Record], folder: Path, *, card: str) -> list[Path]:
    """Write `README.md` (card with the folder's configuration), `S2/{train,validation,test}.parquet`, ..., and the same
    questions in LaMP's form under `lamp/`; returns the paths.

    Columns: those of `Record`; `profile` is a list of structs, `truth` a JSON string.

    Raises:
        UserError: the folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: choose a new folder, or empty it first.")
    written: list[Path] = []
    tasks = sorted({record.task for record in records})
    for task in tasks:
        for split, name in HUB_SPLITS.items():
            path = folder / task / f"{name}.parquet"
            write_parquet(path, [r for r in records if r.task == task and r.split == split], Record)
            written.append(path)
    written += write_lamp_files(records, folder / "lamp")
    readme = folder / "README.md"
    readme.write_text(_header(tasks) + card, encoding="utf-8")
    return [*written, readme]


def _header(tasks: Sequence[str]) -> str:
    """What `datasets` and the Hub read of a card."""
    lines = ["---", "license: mit", "language: [en]", "pretty_name: TagPR simulated world", "configs:"]
    for task in tasks:
        lines += [f"- config_name: {task}", "  data_files:"]
        for split in SPLITS:
            name = HUB_SPLITS[split]
            lines += [f"  - split: {name}", f"    path: {task}/{name}.parquet"]
    return "\n".join([*lines, "---", ""])
