"""Scores by kind of person: whether they answer as most people would, and how long their histories are.

From predictions alone; nothing is generated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.analysis.panel import (
    BLIND,
    GREEDY,
    NUM_RESAMPLES,
    RESAMPLING_SEED,
    Estimate,
    same_questions,
    to_estimate,
)
from tagpr.analysis.runs import Question
from tagpr.evaluation.spread import spreads
from tagpr.evaluation.statistics import MIN_PEOPLE, Array, collect

MAJORITY, PROFILE, SHOWN = "as the majority", "entries in profile", "entries shown"
BINS = ((0, 0), (1, 2), (3, 4), (5, 8), (9, 16))  # and more
MEAN = "mean"  # over the slice's tasks
HEADINGS = ("slice", "value", "tasks", "people", "questions")

SliceName = tuple[str, str]  # one of MAJORITY, PROFILE, SHOWN; its value
Asked = tuple[int, Question]  # seed, question


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Greedy scores of every row on some of the questions, all on the same ones."""

    kind: str
    value: str
    task: str  # MEAN: the mean over the tasks that have such questions
    tasks: tuple[str, ...]
    people: int
    questions: int
    scores: Mapping[str, Estimate]  # row -> score; no interval with fewer than 20 people


def slices(comparison: Comparison) -> list[Slice]:
    """Each slice with a line per task and one for their mean; rows that answered other questions have their own."""
    found = []
    for rows in same_questions(comparison):
        rows = [row for row in rows if GREEDY in row.decodings]
        if rows:
            for name, asked in _members(comparison, rows).items():
                found += _of_slice(comparison, rows, name, asked)
    return found


def bin_of(count: int) -> str:
    """The range of BINS that a number of entries falls into."""
    for low, high in BINS:
        if low <= count <= high:
            return str(low) if low == high else f"{low}-{high}"
    return f"{BINS[-1][1] + 1}+"


def _members(comparison: Comparison, rows: Sequence[ComparedRow]) -> dict[SliceName, list[Asked]]:
    """Slice -> its questions. History is that of the row whose prompts show most of it, so that slices are the same for
    all rows; the majority's answer is the best one that ignores the person where that is known, else the most frequent
    one among train people."""
    values = ["yes", "no"]
    ranges = [bin_of(count) for count in (*(low for low, _ in BINS), BINS[-1][1] + 1)]
    found: dict[SliceName, list[Asked]] = {(MAJORITY, value): [] for value in values}
    found |= {(kind, value): [] for kind in (PROFILE, SHOWN) for value in ranges}
    for seed in sorted(set.intersection(*(set(row.by_seed) for row in rows))):
        ceiling = comparison.ceilings[seed]
        majority = ceiling.references.get(BLIND) or ceiling.references.get("population_mode") or {}
        for question in rows[0].by_seed[seed].evaluations[GREEDY].questions:
            if question in majority:
                # A score of 1: the same label or rating, a title of the same words.
                found[MAJORITY, "yes" if majority[question] >= 1.0 else "no"].append((seed, question))
            if question in ceiling.shown:
                for kind, count in zip((PROFILE, SHOWN), ceiling.shown[question], strict=True):
                    found[kind, bin_of(count)].append((seed, question))
    return {name: asked for name, asked in found.items() if asked}


def _of_slice(
    comparison: Comparison, rows: Sequence[ComparedRow], name: SliceName, asked: Sequence[Asked]
) -> list[Slice]:
    scored = []
    people: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for seed, question in asked:
        answers = [row.by_seed[seed].evaluations[GREEDY].questions[question] for row in rows]
        user, task = answers[0].user_id, question[0]
        scored.append((seed, user, task, [one.score for one in answers]))
        for key in (task, MEAN):
            people[key].add((seed if comparison.simulated else 0, user))
    cells = collect(scored, nested=comparison.simulated)
    counts = cells.counts.sum(axis=(0, 1))
    tasks = sorted({question[0] for _, question in asked})

    def statistic(means: Array) -> Array:
        """(S, T, rows) -> (S, (T + 1) * rows): each task's scores, then their means over tasks."""
        return np.concatenate([means, means.mean(axis=1, keepdims=True)], axis=1).reshape(len(means), -1)

    drawn = spreads(cells, statistic, num_resamples=NUM_RESAMPLES, seed=RESAMPLING_SEED)
    found = []
    for t, task in enumerate([*tasks, MEAN]):
        own = zip(rows, drawn[t * len(rows) : (t + 1) * len(rows)], strict=True)
        few = len(people[task]) < MIN_PEOPLE
        scores = {row.name: Estimate(value=one.value) if few else to_estimate(one) for row, one in own}
        found.append(
            Slice(
                kind=name[0], value=name[1], task=task, tasks=tuple(tasks) if task == MEAN else (task,),
                people=len(people[task]), questions=int(counts.sum() if task == MEAN else counts[t]), scores=scores,
            )
        )  # fmt: skip
    return found


def cells(one: Slice) -> tuple[str, ...]:
    """HEADINGS, then a score per row."""
    few = f" (fewer than {MIN_PEOPLE})" if one.people < MIN_PEOPLE else ""
    scores = (
        f"{score.value:.3f}" if score.low is None else f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]"
        for score in one.scores.values()
    )
    return (one.kind, one.value, " ".join(one.tasks), f"{one.people}{few}", str(one.questions), *scores)


def csv_rows(one: Slice) -> list[dict[str, str | float]]:
    """A line per row."""
    return [
        {
            "row": row, "slice": one.kind, "value": one.value, "task": one.task, "people": one.people,
            "questions": one.questions, "score": score.value,
            **({} if score.low is None or score.high is None else {"score/low": score.low, "score/high": score.high}),
        }
        for row, score in one.scores.items()
    ]  # fmt: skip


def definitions(comparison: Comparison) -> list[str]:
    """What the slices are."""
    majority = (
        "the best answer that ignores the person"
        if comparison.simulated
        else "the most frequent answer of train people"
    )
    return [
        "Greedy score, mean over the tasks that have such questions (slices.csv: each task); 95 % intervals over "
        f"people and replicates, none with fewer than {MIN_PEOPLE} people.",
        f"`{MAJORITY}`: questions that the person answers, or does not answer, as the majority does ({majority}; tasks "
        "with a known such answer). The slice is chosen by the true answer, so whoever always answers as the majority "
        "has 1 where it says yes: read both.",
        f"`{PROFILE}`, `{SHOWN}`: the length of the person's history, and what the prompts hold of it in the row that "
        "shows most.",
    ]
