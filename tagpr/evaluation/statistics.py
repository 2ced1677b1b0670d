"""Figures on resampled people and replicates, and tests; numpy only, vectorised over resamples.

A replicate is a new world and a new training run. A person belongs to one replicate (simulated worlds are drawn anew)
or to all of them (real data). `experiments/interval_coverage` shows what intervals cover, and how often tests err.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]  # means (S, T, K) -> one value per resample (S,), or several (S, ...)

MIN_PEOPLE = 20  # fewer than this many people give per-person values, not an interval
MIN_REPLICATES = 10  # fewer than this many replicates decide nothing
ALPHA = 0.05  # an adjusted p up to here decides
_CHUNK_FLOATS = 4_000_000
_CACHED_COUNTERS = 20_000


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Sums of K quantities per replicate, person and task.

    Args:
        sums: (R, U, T, K) sum over a person's questions of a task; 0 where there are none.
        counts: (R, U, T) questions.
        nested: people differ between replicates (each has its own); False: the same people in every replicate.
    """

    sums: Array
    counts: Array
    nested: bool

    @property
    def num_replicates(self) -> int:
        return self.sums.shape[0]

    @property
    def num_people(self) -> int:
        """Distinct people: over all replicates where they differ."""
        present = self.counts.sum(axis=2) > 0
        return int(present.sum()) if self.nested else int(present.any(axis=0).sum())

    def by_person(self) -> Units:
        """People over all replicates; where they differ between replicates, those of every replicate."""
        if self.nested:
            return self.by_cell()
        return Units(sums=self.sums.sum(axis=0), counts=self.counts.sum(axis=0))

    def by_replicate(self) -> Units:
        """Replicates with all their people."""
        return Units(sums=self.sums.sum(axis=1), counts=self.counts.sum(axis=1))

    def by_cell(self) -> Units:
        """Each person in each replicate."""
        present = self.counts.sum(axis=2) > 0
        return Units(sums=self.sums[present], counts=self.counts[present])


@dataclass(frozen=True, kw_only=True)
class Units:
    """What is drawn together in a resample.

    Args:
        sums: (N, T, K) per unit and task.
        counts: (N, T) questions.
    """

    sums: Array
    counts: Array

    def means(self, weights: Array) -> Array:
        """(S, T, K) means over questions with (S, N) weights of units; NaN where a task has no weight."""
        num_units, num_tasks, num_values = self.sums.shape
        sums = (weights @ self.sums.reshape(num_units, -1)).reshape(-1, num_tasks, num_values)
        with np.errstate(divide="ignore", invalid="ignore"):
            return sums / (weights @ self.counts)[:, :, None]


def collect(rows: Iterable[tuple[Hashable, str, str, Sequence[float]]], *, nested: bool) -> Cells:
    """Cells from (replicate, person, task, K values) per question.

    Raises:
        ValueError: no rows.
    """
    rows = list(rows)
    if not rows:
        raise ValueError("no questions to summarise: rows is empty, expected one row per answered question.")
    replicates = {key: i for i, key in enumerate(dict.fromkeys(row[0] for row in rows))}
    tasks = {key: i for i, key in enumerate(sorted({row[2] for row in rows}))}
    people: dict[int, dict[str, int]] = {}
    for replicate, person, _, _ in rows:
        own = people.setdefault(replicates[replicate] if nested else 0, {})
        own.setdefault(person, len(own))
    width = max(len(own) for own in people.values())
    num_values = len(rows[0][3])
    sums = np.zeros((len(replicates), width, len(tasks), num_values))
    counts = np.zeros((len(replicates), width, len(tasks)))
    for replicate, person, task, values in rows:
        r = replicates[replicate]
        u = people[r if nested else 0][person]
        sums[r, u, tasks[task]] += values
        counts[r, u, tasks[task]] += 1
    return Cells(sums=sums, counts=counts, nested=nested)


def mean_over_tasks(column: int) -> Statistic:
    """The mean over tasks of each task's mean of one quantity."""
    return lambda means: means[:, :, column].mean(axis=1)


def difference(first: int, second: int) -> Statistic:
    """Mean over tasks of quantity `first` minus that of `second`."""
    return lambda means: (means[:, :, first] - means[:, :, second]).mean(axis=1)


def gap_closed(score: int, blind: int, best: int) -> Statistic:
    """(M - M_blind) / (M_best - M_blind) of the means over tasks: 0 = knows nothing of the person, 1 = all there is
    to know.

    A ratio of means, not a mean of ratios: a person whose blind and best answers agree would divide by zero.
    """

    def statistic(means: Array) -> Array:
        over_tasks = means.mean(axis=1)
        gap = over_tasks[:, best] - over_tasks[:, blind]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.abs(gap) > 1e-12, (over_tasks[:, score] - over_tasks[:, blind]) / gap, np.nan)

    return statistic


def of_task(statistic: Statistic, task: int) -> Statistic:
    """A statistic on one task's means alone."""
    return lambda means: statistic(means[:, task : task + 1])


def mean_of_tasks(statistic: Statistic, num_tasks: int) -> Statistic:
    """The mean over tasks of a statistic on each task alone: for ratios not the ratio of the means."""
    return lambda means: np.mean([of_task(statistic, task)(means) for task in range(num_tasks)], axis=0)


def estimate(cells: Cells, statistic: Statistic) -> Array:
    """The statistic on the data as they are: a scalar, or as many values as it gives."""
    units = cells.by_replicate()
    return statistic(units.means(np.ones((1, len(units.sums)))))[0]


def _draws(rng: np.random.Generator, num_items: int, size: int) -> Array:
    """(size, num_items) how often each item is drawn in num_items draws with replacement.

    Counting drawn positions takes a ninth of the time of `Generator.multinomial`, which draws a binomial per item; a
    few rows at a time, so that the counters stay in the processor's cache.
    """
    counts = np.empty((size, num_items))
    rows = max(1, _CACHED_COUNTERS // num_items)
    for start in range(0, size, rows):
        block = counts[start : start + rows]
        drawn = rng.integers(num_items, size=block.shape)
        drawn += num_items * np.arange(len(block))[:, None]
        block[:] = np.bincount(drawn.ravel(), minlength=block.size).reshape(block.shape)
    return counts


def bootstrap(units: Units, statistic: Statistic, *, num_resamples: int, seed: int) -> Array:
    """The statistic on units drawn with replacement.

    Returns:
        (num_resamples, ...) values; NaN where a task drew nobody.
    """
    rng = np.random.default_rng(seed)
    num_units = len(units.sums)
    chunk = max(1, _CHUNK_FLOATS // num_units)
    return np.concatenate(
        [
            statistic(units.means(_draws(rng, num_units, min(chunk, num_resamples - start))))
            for start in range(0, num_resamples, chunk)
        ]
    )


def sign_flip_test(differences: Sequence[float], *, num_flips: int, seed: int) -> float:
    """Two-sided p that the mean of paired differences is 0, by flipping signs of replicates: exact up to 14 replicates.

    With R replicates p cannot fall below 2 / 2^R: five can never reach .05.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) == 0:
        raise ValueError("no replicates: differences is empty, expected one difference per replicate.")
    if len(values) <= 14:
        signs = 1.0 - 2 * (np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1)
    else:
        signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(num_flips, len(values)))
        signs[0] = 1.0  # the data as they are count among the flips, so p is never 0
    means = np.abs(signs @ values) / len(values)
    # Rounding must not decide whether a flip that equals the data counts.
    return float(np.mean(means >= abs(values.mean()) - 1e-12))


def holm(p_values: Sequence[float], *, num_listed: int) -> list[float]:
    """Holm's step-down adjustment: p-values that hold for all listed contrasts together.

    Args:
        p_values: of the contrasts that could be tested.
        num_listed: of all that were listed beforehand; those that could not be tested count as p = 1, or leaving rows
            out of a table would make the others look better.
    """
    order = np.argsort(p_values)
    adjusted = np.empty(len(order))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, (num_listed - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return adjusted.tolist()


def outcome(
    *,
    estimate: float,
    adjusted_p: float,
    interval_90: tuple[float, float] | None,
    margin: float,
    num_replicates: int,
) -> str:
    """`holds`, `fails`, `tie` or `undecided` for the claim that a difference is positive.

    With fewer than MIN_REPLICATES replicates always `undecided`; holds or fails with adjusted_p <= ALPHA.
    A tie is shown, not inferred from a large p: both one-sided tests against the margin pass, that is the 90 %
    interval lies inside it (TOST, Schuirmann 1987).
    """
    if num_replicates < MIN_REPLICATES:
        return "undecided"
    if adjusted_p <= ALPHA:
        return "holds" if estimate > 0 else "fails"
    if interval_90 is not None and -margin < interval_90[0] and interval_90[1] < margin:
        return "tie"
    return "undecided"
