"""Finding a trained PRMU, and what it was trained on, from whatever folder a person has at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagpr.errors import BadInputError
from tagpr.storage import read_json


@dataclass(frozen=True, kw_only=True, slots=True)
class PrmuFolder:
    """A finished prmu stage."""

    folder: Path  # holds model/, calibration.json, gate.json; where the model was copied by itself, its parent
    model: Path

    def manifest(self) -> dict[str, Any]:
        """The stage's manifest. Raises BadInputError where the model stands alone."""
        path = self.folder / "manifest.json"
        if not path.is_file() or not isinstance(found := read_json(path), dict) or found.get("stage") != "prmu":
            raise BadInputError(
                f"{self.folder} is not a finished prmu stage: its manifest.json is missing or another stage's. Give "
                "the folder runs/cache/prmu/<fingerprint> as a run wrote it, or the run's own folder."
            )
        return found

    def input(self, name: str) -> Path:
        """The folder of one of the stage's inputs: `records` or `pairs`.

        Raises:
            BadInputError: it does not stand beside the stage, as in a run's cache.
        """
        fingerprint = self.manifest()["inputs"][name]
        found = self.folder.resolve().parent.parent / name / fingerprint
        if not found.is_dir():
            raise BadInputError(
                f"The {name} that {self.folder} was trained on are gone: expected {found}. Run the same `tagpr` "
                "command again, or copy the whole runs/cache."
            )
        return found


def find_prmu(place: Path) -> PrmuFolder:
    """The PRMU of a run's folder, of a prmu stage's folder, or the folder that `save_pretrained` wrote.

    Raises:
        BadInputError: there is none.
    """
    for folder in (place / "artifacts" / "prmu", place):
        if (folder / "model" / "prmu.json").is_file():
            return PrmuFolder(folder=folder, model=folder / "model")
    if (place / "prmu.json").is_file():
        return PrmuFolder(folder=place.resolve().parent, model=place)
    raise BadInputError(
        f"{place} {'holds no PRMU' if place.is_dir() else 'is not a folder'}: expected model/prmu.json in it. Give a "
        "run's folder, the folder of a prmu stage (runs/cache/prmu/<fingerprint>), or its `model` folder."
    )
