"""Rows against a baseline: is the difference more than chance over replicates?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.analysis.panel import (
    GREEDY,
    LEVEL,
    NUM_RESAMPLES,
    RESAMPLING_SEED,
    Estimate,
    Panel,
    same_questions,
    to_estimate,
)
from tagpr.evaluation.statistics import difference, holm, outcome, sign_flip_test

TIE_MARGIN = 0.01  # of the score, chosen before any run


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A row's greedy score minus the baseline's, on the questions that both answered."""

    name: str
    baseline: str
    seeds: tuple[int, ...]
    difference: Estimate
    p: float | None  # None with a single replicate
    adjusted_p: float | None
    outcome: str  # holds, fails, tie or undecided; "" with a single replicate


def contrasts(comparison: Comparison, baseline: ComparedRow, rows: Sequence[ComparedRow]) -> list[Contrast]:
    """Each row against the baseline: difference of mean scores with its interval; with two replicates or more,
    sign-flip p over replicates, adjusted by Holm over all rows given here, and what follows."""
    alike = next(group for group in same_questions(comparison) if baseline in group)
    # Rows that answered what the baseline did share one resampling; each other row is paired with it alone.
    together = [row for row in rows if row in alike]
    panels = [together, *([row] for row in rows if row not in alike)]
    found: dict[str, _Difference] = {}
    for members in panels:
        if members:
            found |= _differences(Panel(comparison, [baseline, *members]), baseline, members)
    tested = {name: one.p for name, one in found.items() if one.p is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True)) if tested else {}
    return [found[row.name].contrast(row.name, baseline.name, adjusted.get(row.name)) for row in rows]


@dataclass(frozen=True, kw_only=True)
class _Difference:
    seeds: tuple[int, ...]
    estimate: Estimate
    interval_90: tuple[float, float] | None
    p: float | None

    def contrast(self, name: str, baseline: str, adjusted_p: float | None) -> Contrast:
        verdict = ""
        if adjusted_p is not None:
            verdict = outcome(
                estimate=self.estimate.value, adjusted_p=adjusted_p, interval_90=self.interval_90, margin=TIE_MARGIN
            )
        return Contrast(
            name=name,
            baseline=baseline,
            seeds=self.seeds,
            difference=self.estimate,
            p=self.p,
            adjusted_p=adjusted_p,
            outcome=verdict,
        )


def _differences(panel: Panel, baseline: ComparedRow, rows: Sequence[ComparedRow]) -> dict[str, _Difference]:
    column = panel.columns
    statistics = [difference(column[row.name, GREEDY, False], column[baseline.name, GREEDY, False]) for row in rows]
    result = {}
    estimates = panel.estimates(statistics, levels=[LEVEL, 0.90])
    for row, statistic, (value, _, bounds) in zip(rows, statistics, estimates, strict=True):
        replicates = panel.per_replicate(statistic)
        p = sign_flip_test(replicates, num_flips=NUM_RESAMPLES, seed=RESAMPLING_SEED) if len(replicates) > 1 else None
        result[row.name] = _Difference(
            seeds=panel.seeds, estimate=to_estimate(value, bounds[0]), interval_90=bounds[1], p=p
        )
    return result
