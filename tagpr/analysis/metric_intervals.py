"""How far a row's official metric would move with other people: policies and references alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from tagpr.analysis.panel import NUM_RESAMPLES, RESAMPLING_SEED
from tagpr.evaluation.official import quantities
from tagpr.evaluation.statistics import collect
from tagpr.evaluation.uncertainty import Readings, bounds
from tagpr.tasks import Task
from tagpr.types import Prediction, Reference

Answers = Sequence[Prediction] | Sequence[Reference]


def primary_metric_intervals(
    task: Task, answers: Mapping[str, Mapping[int, Answers]]
) -> dict[str, tuple[float, float]]:
    """Row -> 95 % interval of the task's primary metric, the same people in every replicate; rows with fewer than
    MIN_PEOPLE people are left out.

    Rows that answered the same questions share one resampling.

    Args:
        task: whose answers count; others are passed over.
        answers: row -> seed -> what it answered.
    """
    alike: dict[Hashable, list[tuple[str, list[tuple[int, str]], np.ndarray]]] = defaultdict(list)
    for name, by_seed in answers.items():
        own = [
            (seed, one)
            for seed, given in by_seed.items()
            for one in given
            if one.task == task.name and one.gold is not None
        ]
        if own:
            values = quantities(task, [one.answer for _, one in own], [one.gold or "" for _, one in own])
            asked = tuple((seed, one.record_id, one.user_id) for seed, one in own)
            alike[asked].append((name, [(seed, one.user_id) for seed, one in own], values))
    names = list(task.metrics(*[[task.labels[0] if task.labels else "a"]] * 2))
    column = names.index(task.primary_metric)
    found = {}
    for rows in alike.values():
        values = np.concatenate([one for _, _, one in rows], axis=1)
        keys = rows[0][1]
        cells = collect(
            ((seed, person, task.name, row) for (seed, person), row in zip(keys, values, strict=True)), nested=False
        )
        readings = Readings(task=task, cells=cells, num_readings=len(rows))
        samples = readings.resampled(num_resamples=NUM_RESAMPLES, seed=RESAMPLING_SEED)
        if samples is None:
            continue
        low, high = bounds(samples)
        found |= {name: (float(low[i, column]), float(high[i, column])) for i, (name, _, _) in enumerate(rows)}
    return found
