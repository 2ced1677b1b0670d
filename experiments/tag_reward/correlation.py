"""Rank correlation with an interval over people. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
NUM_RESAMPLES = 1000
SEED = 20250928  # of the resampling: the same rollouts give the same table


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's rho; NaN where one side never varies."""

    value: float
    low: float  # 95 %, percentiles over resampled people
    high: float
    chains: int
    groups: int  # that say anything, of `within`; 0 of `overall`


def overall(first: Sequence[float], second: Sequence[float], people: Sequence[Hashable]) -> Correlation:
    """Of all chains, whatever they answer.

    Args:
        first, second, people: one each per chain.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    places = _places(people)

    def of(drawn: Sequence[int]) -> float:
        chosen = np.concatenate([places[person] for person in drawn])
        return spearman(a[chosen], b[chosen])

    low, high = _interval(of, len(places))
    return Correlation(value=spearman(a, b), low=low, high=high, chains=len(a), groups=0)


def within(
    first: Sequence[float], second: Sequence[float], people: Sequence[Hashable], groups: Sequence[Hashable]
) -> Correlation:
    """Mean over prompt groups of Spearman within the group: what the advantage of a rollout can see.

    Groups in which one side never varies say nothing, and are left out.

    Args:
        groups: one per chain; a group belongs to one person.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    values, owners = [], []
    for chosen in _places(groups):
        value = spearman(a[chosen], b[chosen])
        if not np.isnan(value):
            values.append(value)
            owners.append(people[chosen[0]])
    if not values:
        return Correlation(value=np.nan, low=np.nan, high=np.nan, chains=len(a), groups=0)
    rhos = np.asarray(values)
    places = _places(owners)
    low, high = _interval(lambda drawn: float(rhos[np.concatenate([places[p] for p in drawn])].mean()), len(places))
    return Correlation(value=float(rhos.mean()), low=low, high=high, chains=len(a), groups=len(rhos))


def spearman(a: Array, b: Array) -> float:
    """Pearson's correlation of ranks, ties their mean rank; NaN where one side never varies."""
    if len(a) < 2 or (a == a[0]).all() or (b == b[0]).all():
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def _places(names: Sequence[Hashable]) -> list[NDArray[np.int64]]:
    found: dict[Hashable, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name, []).append(place)
    return [np.asarray(places) for places in found.values()]


def _interval(statistic: Callable[[Sequence[int]], float], num_people: int) -> tuple[float, float]:
    rng = np.random.default_rng(SEED)
    samples = [statistic(list(rng.integers(num_people, size=num_people))) for _ in range(NUM_RESAMPLES)]
    known = np.asarray([one for one in samples if not np.isnan(one)])
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
