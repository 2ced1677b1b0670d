"""Means of quantities that exist for some of the questions only, with intervals by person, resampled once for all."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tagpr.evaluation.spread import spreads
from tagpr.evaluation.statistics import MIN_PEOPLE, Array, collect

NUM_RESAMPLES = 10_000
LEVEL = 0.95
SEED = 20250928  # of the resampling: the same answers give the same table


@dataclass(frozen=True, kw_only=True, slots=True)
class PartialMean:
    """A mean over tasks of the tasks' means, and how far it would move with other people."""

    value: float
    low: float | None  # ends of the 95 % interval; None with fewer than 20 people
    high: float | None
    questions: int  # that have the quantity
    people: int


def partial_means(
    rows: Iterable[tuple[Hashable, str, str, Mapping[str, float]]], *, nested: bool
) -> dict[str, PartialMean]:
    """Every quantity's mean.

    A task counts where some question of it has the quantity; a resample in which such a task drew nobody with it is
    left out of that quantity's interval.

    Args:
        rows: (replicate, person, task, {quantity: value}) per question; what a question lacks is left out.
        nested: people differ between replicates.
    """
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row[3]))
    if not names:
        return {}
    cells = collect(
        ((replicate, person, task, _columns(values, names)) for replicate, person, task, values in rows), nested=nested
    )
    counts = cells.sums[..., len(names) :]  # (R, U, T, K) questions that have the quantity
    has = counts.sum(axis=(0, 1)) > 0  # (T, K)

    def statistic(means: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            of_tasks = means[:, :, : len(names)] / means[:, :, len(names) :]
        # (S, K): NaN where a task that has the quantity drew nobody with it.
        return np.where(has, of_tasks, 0.0).sum(axis=1) / has.sum(axis=0)

    values = statistic(cells.sums.sum(axis=(0, 1))[None])[0]
    per_person = counts.sum(axis=2) > 0  # (R, U, K)
    people = per_person.sum(axis=(0, 1)) if nested else per_person.any(axis=0).sum(axis=0)
    known = people.max() >= MIN_PEOPLE
    drawn = spreads(cells, statistic, num_resamples=NUM_RESAMPLES, seed=SEED) if known else []
    result = {}
    for k, name in enumerate(names):
        low, high = (drawn[k].interval(LEVEL) if people[k] >= MIN_PEOPLE else None) or (None, None)
        result[name] = PartialMean(
            value=float(values[k]), low=low, high=high, questions=int(counts[..., k].sum()), people=int(people[k])
        )
    return result


def _columns(values: Mapping[str, float], names: Sequence[str]) -> list[float]:
    return [values.get(name, 0.0) for name in names] + [float(name in values) for name in names]
