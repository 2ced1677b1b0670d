"""What share of its tokens a policy loss clipped: whether runs that differ in their loss have tested it at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.analysis.runs import Artifact
from tagpr.analysis.training_metrics import read_metrics

NOT_TESTED = "0, not tested"
DEFINITION = (
    "Clipped: share of tokens (with gspo of rollouts) whose ratio the loss cut, below and above, mean over the updates "
    "of all RL stages and over replicates; the first update of a window cuts none, its ratios being 1. Without "
    f"clipping most losses differ in their weighting alone: a row with none is marked `{NOT_TESTED}`."
)


@dataclass(frozen=True, kw_only=True)
class ClippedShare:
    """Of one row; each in [0, 1]."""

    low: float  # ratio below the range, advantage negative
    high: float  # ratio above it, advantage positive

    @property
    def text(self) -> str:
        return f"{self.low + self.high:.2%}" if self.low + self.high > 0 else NOT_TESTED


def clipped_shares(comparison: Comparison) -> dict[str, ClippedShare]:
    """Row -> what its RL clipped; empty where no row takes several updates from a window, so that all ratios are 1."""
    stages = {row.name: _rl_stages(row) for row in comparison.rows}
    if all(_updates_per_window(stage) <= 1 for own in stages.values() for stage in own):
        return {}
    found = {}
    for name, own in stages.items():
        updates = [update for stage in own for update in _updates(stage)]
        if updates:
            found[name] = ClippedShare(low=fmean(low for low, _ in updates), high=fmean(high for _, high in updates))
    return found


def _rl_stages(row: ComparedRow) -> list[Artifact]:
    parts = [part for own in row.by_seed.values() for part in (own.folds.values() or [own])]
    return [stage for part in parts for stage in part.rl_stages]


def _updates_per_window(stage: Artifact) -> int:
    rl: Mapping[str, int] = stage.manifest.get("config", {}).get("rl", {})
    return rl.get("updates_per_window", 1)


def _updates(stage: Artifact) -> list[tuple[float, float]]:
    """(below, above) of every optimizer step; none where the stage did not write its metrics."""
    if not (stage.folder / "metrics.csv").is_file():
        return []
    metrics = read_metrics(stage)
    below, above = (metrics.get(f"rl/policy/{name}", []) for name in ("clip_low", "clip_high"))
    return [(low, high) for (_, low), (_, high) in zip(below, above, strict=True)]
