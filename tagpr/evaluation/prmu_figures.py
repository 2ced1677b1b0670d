"""A mean with its interval over people, as PRMU's diagnosis prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tagpr.evaluation.statistics import MIN_PEOPLE, Array

NUM_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A mean. Filled by `mean_figure`."""

    value: float  # NaN without any value
    interval: tuple[float, float] | None  # 95 %; None with fewer than MIN_PEOPLE people
    count: int  # values
    people: int


def mean_figure(values: Sequence[float] | Array, people: Sequence[Sequence[str]], *, seed: int = 0) -> Figure:
    """Mean and 95 % percentile interval, resampling people.

    A value of two people counts as often as the product of their draws (pigeonhole bootstrap, Owen 2007, Annals of
    Applied Statistics 1(2): conservative).

    Args:
        values: (N,).
        people: one or two lists of N person keys.
    """
    numbers = np.asarray(values, dtype=float)
    index = {person: i for i, person in enumerate(dict.fromkeys(p for column in people for p in column))}
    if not len(numbers):
        return Figure(value=float("nan"), interval=None, count=0, people=0)
    mean = float(numbers.mean())
    if len(index) < MIN_PEOPLE:
        return Figure(value=mean, interval=None, count=len(numbers), people=len(index))
    columns = [np.array([index[person] for person in column]) for column in people]
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(index), np.full(len(index), 1 / len(index)), size=NUM_RESAMPLES)
    weights = np.prod([draws[:, column] for column in columns], axis=0).astype(float)
    totals = weights.sum(axis=1)
    means = (weights @ numbers)[totals > 0] / totals[totals > 0]
    low, high = np.percentile(means, [2.5, 97.5])
    return Figure(value=mean, interval=(float(low), float(high)), count=len(numbers), people=len(index))
