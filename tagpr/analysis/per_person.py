"""Values per person, for data with too few people to speak of people in general."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tagpr.analysis.comparison import Comparison
from tagpr.analysis.panel import GREEDY
from tagpr.tasks import Task, task_named
from tagpr.types import Prediction, Reference


@dataclass(frozen=True, kw_only=True)
class PersonTable:
    """One task: its primary metric for each person under each row, references included. Means over replicates."""

    task: str
    metric: str
    rows: tuple[str, ...]
    people: tuple[str, ...]
    questions: Mapping[str, int]
    values: Mapping[tuple[str, str], float]  # (person, row)


def per_person(comparison: Comparison) -> list[PersonTable]:
    """A table per task."""
    tables = []
    for name in comparison.tasks:
        task = task_named(name)
        values: dict[tuple[str, str], list[float]] = defaultdict(list)
        questions: dict[str, int] = {}
        for seed, ceiling in comparison.ceilings.items():
            given: dict[str, Sequence[Prediction | Reference]] = {}
            for reference in ceiling.reference_answers:
                given[reference.name] = [*given.get(reference.name, ()), reference]
            for row in comparison.rows:
                if seed in row.by_seed and GREEDY in row.decodings:
                    given[row.name] = row.by_seed[seed].evaluations[GREEDY].predictions
            for row_name, answers in given.items():
                for person, (metric, number) in _metric_by_person(task, answers).items():
                    values[person, row_name].append(metric)
                    questions[person] = max(questions.get(person, 0), number)
        tables.append(
            PersonTable(
                task=name,
                metric=task.primary_metric,
                rows=tuple(dict.fromkeys(row for _, row in values)),
                people=tuple(sorted(questions)),
                questions=questions,
                values={key: fmean(several) for key, several in values.items()},
            )
        )
    return tables


def _metric_by_person(task: Task, answers: Sequence[Prediction | Reference]) -> dict[str, tuple[float, int]]:
    own: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for one in answers:
        if one.task == task.name and one.gold is not None:
            own[one.user_id][0].append(one.answer)
            own[one.user_id][1].append(one.gold)
    return {user: (task.metrics(*pair)[task.primary_metric], len(pair[0])) for user, pair in own.items()}
