"""How far a system's metrics, and its lead over another system, would move with other people.

A person's questions are drawn together: they share an author, so they are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from tagpr.evaluation.official import metrics_of_means
from tagpr.evaluation.statistics import MIN_PEOPLE, Array, Cells, bootstrap, collect
from tagpr.tasks import Task

LEVEL = 0.95
MAX_EXACT = 14  # with this many people all 2^n swaps are tried
_CHUNK_FLOATS = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Several answers to each of N questions, summed by person, with the metrics of each reading.

    Args:
        task: whose metrics they are.
        cells: one replicate, one task; the K quantities of the B readings beside one another.
        num_readings: B.
    """

    task: Task
    cells: Cells
    num_readings: int

    @property
    def num_people(self) -> int:
        return self.cells.num_people

    def metrics(self, means: Array) -> Array:
        """(S, B, M) metrics of each reading from (S, B * K) means."""
        return metrics_of_means(self.task, means.reshape(len(means), self.num_readings, -1))

    def resampled(self, *, num_resamples: int, seed: int) -> Array | None:
        """(S, B, M) metrics on resampled people, the same people for every reading; None under MIN_PEOPLE people."""
        if self.num_people < MIN_PEOPLE:
            return None
        return bootstrap(
            self.cells.by_person(),
            lambda means: self.metrics(means[:, 0]),
            num_resamples=num_resamples,
            seed=seed,
        )


def gather(task: Task, people: Sequence[str], quantities: Sequence[Array]) -> Readings:
    """Readings of N questions from each one's person and from (N, K) quantities per reading."""
    values = np.concatenate(quantities, axis=1)
    rows = ((0, person, task.name, row) for person, row in zip(people, values, strict=True))
    return Readings(task=task, cells=collect(rows, nested=False), num_readings=len(quantities))


def bounds(samples: Array) -> tuple[Array, Array]:
    """Lower and upper end of the percentile interval at LEVEL, over the first axis."""
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def swap_test(readings: Readings, first: int, second: int, *, num_swaps: int, seed: int) -> Array:
    """(M,) two-sided p that readings `first` and `second` are exchangeable within each person.

    Per person a coin decides whose answers are whose; p is the share of such swaps whose metrics differ at least as
    much as the data's (approximate randomisation, Noreen 1989). For a mean this is the sign-flip test over people; for
    macro-F1 and RMSE it swaps what they are made of. Exact where at most MAX_EXACT people have different answers.
    """
    sums = readings.cells.sums[0, :, 0].reshape(readings.cells.sums.shape[1], readings.num_readings, -1)
    num_questions = readings.cells.counts.sum()
    moved = sums[:, second] - sums[:, first]
    moved = moved[np.any(moved != 0, axis=1)]
    totals = sums.sum(axis=0)

    def differences(swapped: Array) -> Array:
        change = swapped @ moved
        one = metrics_of_means(readings.task, np.maximum(totals[first] + change, 0) / num_questions)
        other = metrics_of_means(readings.task, np.maximum(totals[second] - change, 0) / num_questions)
        return np.abs(one - other)

    # Rounding must not decide whether a swap that equals the data counts: a root makes 1e-8 of its last places.
    observed = differences(np.zeros((1, len(moved))))[0] - 1e-7
    if len(moved) == 0:
        return np.ones(len(observed))
    if len(moved) <= MAX_EXACT:
        swaps = np.array(list(product((0.0, 1.0), repeat=len(moved))))
        return np.mean(differences(swaps) >= observed, axis=0)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_FLOATS // len(moved))
    count = np.ones(len(observed))  # the data as they are count among the swaps, so p is never 0
    for start in range(1, num_swaps, chunk):
        coins = rng.integers(2, size=(min(chunk, num_swaps - start), len(moved)), dtype=np.uint8)
        count += np.sum(differences(coins.astype(np.float64)) >= observed, axis=0)
    return count / num_swaps
