"""Intervals and tests over people and replicates; numpy only, vectorised over resamples.

A replicate is a new world and a new training run. A person belongs to one replicate (simulated worlds are drawn anew)
or to all of them (real data); both are resampled, people within what they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]  # means (S, T, K) -> one value per resample (S,), or several (S, ...)

MIN_PEOPLE = 20  # fewer than this many people give per-person values, not an interval
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


def estimate(cells: Cells, statistic: Statistic) -> float:
    """The statistic on the data as they are."""
    weights = np.ones((1, cells.sums.shape[0] * cells.sums.shape[1]))
    return float(statistic(_weighted_means(cells, weights))[0])


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


def bootstrap(cells: Cells, statistic: Statistic, *, num_resamples: int, seed: int) -> Array:
    """The statistic on resampled data: replicates with replacement, and people with replacement.

    Crossed where the same people are in every replicate (Owen 2007, the pigeonhole bootstrap): a cell's weight is the
    product of its replicate's and its person's counts. Nested otherwise: each replicate's people are drawn for
    themselves. A single replicate is not resampled: the interval then covers people, not training.

    Returns:
        (num_resamples, ...) values; NaN where a task drew nobody.
    """
    rng = np.random.default_rng(seed)
    num_replicates, width = cells.counts.shape[:2]
    present = cells.counts.sum(axis=2) > 0
    chunk = max(1, _CHUNK_FLOATS // (num_replicates * width))
    parts = []
    for start in range(0, num_resamples, chunk):
        size = min(chunk, num_resamples - start)
        of_replicate = _draws(rng, num_replicates, size)[:, :, None] if num_replicates > 1 else None
        if cells.nested:
            of_person = np.zeros((size, num_replicates, width))
            for r in range(num_replicates):
                who = np.flatnonzero(present[r])
                of_person[:, r, who] = _draws(rng, len(who), size)
        else:
            # A person of `collect` has a question somewhere: without one there would be no row.
            of_person = _draws(rng, width, size)[:, None, :]
        weights = of_person if of_replicate is None else of_replicate * of_person
        parts.append(statistic(_weighted_means(cells, weights.reshape(size, -1))))
    return np.concatenate(parts)


def _weighted_means(cells: Cells, weights: Array) -> Array:
    num_replicates, width, num_tasks, num_values = cells.sums.shape
    sums = weights @ cells.sums.reshape(num_replicates * width, -1)
    counts = weights @ cells.counts.reshape(num_replicates * width, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums.reshape(-1, num_tasks, num_values) / counts[:, :, None]


def interval(
    cells: Cells, statistic: Statistic, *, level: float, num_resamples: int, seed: int
) -> tuple[float, float] | None:
    """Percentile bootstrap interval; None with fewer than MIN_PEOPLE people, where it would claim more than it
    knows."""
    if cells.num_people < MIN_PEOPLE:
        return None
    samples = bootstrap(cells, statistic, num_resamples=num_resamples, seed=seed)
    samples = samples[np.isfinite(samples)]
    if len(samples) == 0:
        return None
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def sign_flip_test(differences: Sequence[float], *, num_flips: int, seed: int) -> float:
    """Two-sided p that the mean of paired differences is 0, by flipping signs of replicates: exact up to 14 replicates.

    With R replicates p cannot fall below 2 / 2^R: five can never reach .05.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) == 0:
        raise ValueError("no replicates: differences is empty, expected one difference per replicate.")
    if len(values) <= 14:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(values))))
    else:
        signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(num_flips, len(values)))
        signs[0] = 1.0  # the data as they are count among the flips, so p is never 0
    means = np.abs(signs @ values) / len(values)
    # Rounding must not decide whether a flip that equals the data counts.
    return float(np.mean(means >= abs(values.mean()) - 1e-12))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: p-values that hold for all listed contrasts together."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(order))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, (len(order) - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return adjusted.tolist()


def outcome(*, estimate: float, adjusted_p: float, interval_90: tuple[float, float] | None, margin: float) -> str:
    """`holds`, `fails`, `tie` or `undecided` for the claim that a difference is positive.

    A tie is shown, not inferred from a large p: both one-sided tests against the margin pass, that is the 90 %
    interval lies inside it (TOST, Schuirmann 1987).
    """
    if adjusted_p <= 0.05:
        return "holds" if estimate > 0 else "fails"
    if interval_90 is not None and -margin < interval_90[0] and interval_90[1] < margin:
        return "tie"
    return "undecided"
