"""Rows against rows: is the difference more than chance over replicates and people?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.analysis.panel import (
    GREEDY,
    NUM_RESAMPLES,
    RESAMPLING_SEED,
    Estimate,
    Panel,
    same_questions,
    to_estimate,
)
from tagpr.evaluation.spread import Spread, replicate_p
from tagpr.evaluation.statistics import difference, holm, outcome

TIE_MARGIN = 0.01  # of the score, chosen before any run
WHOLE_METHOD = "full"  # the arm that a row's bare name means where several arms have such a row

Pair = tuple[ComparedRow, ComparedRow]  # a row, and what it is compared with


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A row's greedy score minus another's, on the questions that both answered."""

    name: str
    baseline: str
    seeds: tuple[int, ...]
    difference: Estimate
    p: float | None  # None with a single replicate
    adjusted_p: float | None  # None too where the contrast was not listed before the runs
    outcome: str  # holds, fails, tie or undecided; "" where there is no adjusted p


def listed_pairs(comparison: Comparison) -> tuple[list[Pair], int]:
    """The contrasts of `evaluation.contrasts` whose rows are in the table, and how many were listed in all.

    A table whose runs were started under different lists has none: its list would be chosen after the runs.
    """
    lists = {tuple(run.contrasts.values()) for run in comparison.runs}
    if len(lists) != 1:
        return [], 0
    listed = lists.pop()
    pairs = []
    for names in listed:
        row, against = (_row_named(comparison, name) for name in names)
        if row is not None and against is not None:
            pairs.append((row, against))
    return pairs, len(listed)


def _row_named(comparison: Comparison, name: str) -> ComparedRow | None:
    rows = [row for row in comparison.rows if GREEDY in row.decodings]
    named = [row for row in rows if name in (row.name, f"{row.run_name}/{row.row_name}")]
    named = named or [row for row in rows if (WHOLE_METHOD, name) == (row.run_name, row.row_name)]
    return named[0] if len(named) == 1 else None


def contrasts(comparison: Comparison, pairs: Sequence[Pair], *, num_listed: int) -> list[Contrast]:
    """Per pair the difference of mean scores with its interval; with two replicates or more its p.

    Args:
        num_listed: how many contrasts were listed before the runs: Holm runs over all of them. 0: none was, so that p
            is not adjusted and nothing follows.
    """
    groups = same_questions(comparison)
    found: dict[tuple[str, str], _Difference] = {}
    for baseline in {against.name: against for _, against in pairs}.values():
        rows = [row for row, against in pairs if against is baseline]
        alike = next(group for group in groups if baseline in group)
        # Rows that answered what the baseline did share one resampling; each other row is paired with it alone.
        together = [row for row in rows if row in alike]
        for members in [together, *([row] for row in rows if row not in alike)]:
            if members:
                found |= _differences(Panel(comparison, [baseline, *members]), baseline, members)
    adjusted: Mapping[tuple[str, str], float] = {}
    if num_listed:
        tested = {key: one.p for key, one in found.items() if one.p is not None}
        adjusted = dict(zip(tested, holm(list(tested.values()), num_listed=num_listed), strict=True))
    keys = [(row.name, against.name) for row, against in pairs]
    return [found[key].contrast(*key, adjusted.get(key)) for key in keys]


@dataclass(frozen=True, kw_only=True)
class _Difference:
    seeds: tuple[int, ...]
    spread: Spread
    p: float | None

    def contrast(self, name: str, baseline: str, adjusted_p: float | None) -> Contrast:
        verdict = ""
        if adjusted_p is not None:
            verdict = outcome(
                estimate=self.spread.value,
                adjusted_p=adjusted_p,
                interval_90=self.spread.interval(0.90),
                margin=TIE_MARGIN,
                num_replicates=len(self.seeds),
            )
        return Contrast(
            name=name,
            baseline=baseline,
            seeds=self.seeds,
            difference=to_estimate(self.spread),
            p=self.p,
            adjusted_p=adjusted_p,
            outcome=verdict,
        )


def _differences(
    panel: Panel, baseline: ComparedRow, rows: Sequence[ComparedRow]
) -> dict[tuple[str, str], _Difference]:
    column = panel.columns
    statistics = [difference(column[row.name, GREEDY, False], column[baseline.name, GREEDY, False]) for row in rows]
    result = {}
    for row, statistic, spread in zip(rows, statistics, panel.spreads(statistics), strict=True):
        p = None
        if panel.cells is not None and len(panel.seeds) > 1:
            p = replicate_p(
                panel.per_replicate(statistic), spread, nested=panel.cells.nested, num_flips=NUM_RESAMPLES,
                seed=RESAMPLING_SEED,
            )  # fmt: skip
        result[row.name, baseline.name] = _Difference(seeds=panel.seeds, spread=spread, p=p)
    return result
