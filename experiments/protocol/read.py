"""protocol.yaml as an object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from tagpr.errors import BadInputError

PLACE = Path("experiments/protocol/protocol.yaml")  # in the checkout


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What was fixed before the runs; the file says what each means."""

    experiment: str
    replicates: int
    primary: str  # a field of tagpr.analysis.figures.RowFigures
    decoding: Mapping[str, str]  # primary, beside -> a decoding
    contrasts: Mapping[str, tuple[str, str]]  # name -> row and what it is tested against
    alpha: float
    margin: float
    dials: Mapping[str, Any]  # of the arm that changes none
    arms: Mapping[str, Mapping[str, Any]]  # ablation -> what it changes of the dials

    def dials_of(self, arm: str) -> dict[str, Any]:
        """`sft.optimizer.create.learning_rate` and the like -> the arm's value; None: not set, or not there."""
        return dict(_leaves(_merged(self.dials, self.arms[arm])))


def read_protocol(root: Path) -> Protocol:
    """The protocol of a checkout.

    Raises:
        BadInputError: it lacks an entry, or has one that nothing reads; a contrast is not of two rows.
    """
    raw: Any = OmegaConf.to_container(OmegaConf.load(root / PLACE))
    expected, given = {field.name for field in fields(Protocol)}, set(raw)
    if expected != given:
        wrong = [f"no {name}" for name in sorted(expected - given)] + [f"unknown {n}" for n in sorted(given - expected)]
        raise BadInputError(f"{root / PLACE}: {', '.join(wrong)}. Expected exactly {', '.join(sorted(expected))}.")
    contrasts = raw["contrasts"]
    if not isinstance(contrasts, dict) or any(not isinstance(r, list) or len(r) != 2 for r in contrasts.values()):
        raise BadInputError(f"{root / PLACE}: contrasts is {contrasts}, expected name: [row, against] for each.")
    return Protocol(**{**raw, "contrasts": {name: (row, against) for name, (row, against) in contrasts.items()}})


def value_at(settings: Mapping[str, Any], path: str) -> Any:
    """The value of a dotted path; None where it does not lead anywhere."""
    value: Any = settings
    for key in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        before = merged.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(before, value)
        else:
            merged[key] = value
    return merged


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
