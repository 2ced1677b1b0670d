"""Rows that answered the same questions, as one array that is resampled once for all figures."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.evaluation.spread import Spread, spreads
from tagpr.evaluation.statistics import Statistic, collect

GREEDY, SAMPLE = "greedy", "sample"
BLIND, BEST = "blind", "bayes"
NUM_RESAMPLES = 10_000
LEVEL = 0.95
RESAMPLING_SEED = 20250928  # of the resampling: the same runs give the same table

Column = tuple[str, str, bool]  # row, decoding, lenient


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure and its interval; no interval where there are too few people for one."""

    value: float
    low: float | None = None
    high: float | None = None


class Panel:
    """Rows that answered the same questions, as one array: a single resampling serves all their figures, paired.

    Args:
        comparison: where the rows come from.
        rows: at least one; only questions that all of them answered count.
    """

    def __init__(self, comparison: Comparison, rows: Sequence[ComparedRow]) -> None:
        self.columns: dict[Column, int] = {}
        sources = []
        for row in rows:
            for decoding in row.decodings:
                for lenient in (False, True):
                    self.columns[row.name, decoding, lenient] = len(sources)
                    sources.append((row, decoding, lenient))
        self.blind, self.best = len(sources), len(sources) + 1
        self.seeds = tuple(seed for seed in comparison.seeds if all(seed in row.by_seed for row in rows))
        values: list[tuple[Hashable, str, str, Sequence[float]]] = []
        for seed in self.seeds:
            answers = [row.by_seed[seed].evaluations[decoding].questions for row, decoding, _ in sources]
            beside = comparison.ceilings[seed].references
            shared = set(answers[0]).intersection(*answers[1:])
            # In the order of the first row's file, so that the same runs give the same resamples.
            for key in (key for key in answers[0] if key in shared):
                own = [
                    questions[key].lenient_score if lenient else questions[key].score
                    for questions, (_, _, lenient) in zip(answers, sources, strict=True)
                ]
                known = [beside.get(name, {}).get(key, math.nan) for name in (BLIND, BEST)]
                values.append((seed, answers[0][key].user_id, key[0], [*own, *known]))
        self.tasks = sorted({task for _, _, task, _ in values})  # the order of T in `collect`
        self.cells = collect(values, nested=comparison.simulated) if values else None

    @property
    def num_questions(self) -> int:
        return 0 if self.cells is None else int(self.cells.counts.sum())

    @property
    def num_people(self) -> int:
        return 0 if self.cells is None else self.cells.num_people

    def spreads(self, statistics: Sequence[Statistic]) -> list[Spread]:
        """Each figure's value, and how far it would move with other people and other replicates."""
        if self.cells is None or not statistics:
            return [Spread(value=math.nan, variances=(), samples=None, num_people=0) for _ in statistics]
        return spreads(
            self.cells,
            lambda means: np.stack([one(means) for one in statistics], axis=1),
            num_resamples=NUM_RESAMPLES,
            seed=RESAMPLING_SEED,
        )

    def per_replicate(self, statistic: Statistic) -> list[float]:
        """The statistic in each replicate alone."""
        if self.cells is None:
            return []
        units = self.cells.by_replicate()
        return statistic(units.means(np.eye(len(units.sums)))).tolist()


def same_questions(comparison: Comparison) -> list[list[ComparedRow]]:
    """Rows in groups that answered the very same questions in the same replicates and decodings."""
    groups: dict[Hashable, list[ComparedRow]] = {}
    for row in comparison.rows:
        answered = frozenset(
            (seed, decoding, frozenset(one.questions))
            for seed, own in row.by_seed.items()
            for decoding, one in own.evaluations.items()
        )
        groups.setdefault(answered, []).append(row)
    return list(groups.values())


def to_estimate(spread: Spread) -> Estimate:
    """With its interval where there is one."""
    low, high = spread.interval(LEVEL) or (None, None)
    return Estimate(value=spread.value, low=low, high=high)
