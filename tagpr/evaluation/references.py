"""Answers that every policy is measured against: trivial ones, and on simulated data the best that can be known.

`blind` and `bayes` exist for simulated people alone. `blind` is the best answer that ignores the person; `bayes` is
the best answer given the history that the prompt shows, by an observer who knows the world but not the person.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tagpr.data.simulated.observer import reference_answers
from tagpr.evaluation.ridge import RidgeRater
from tagpr.tasks import Task, task_named
from tagpr.types import Prompt, Record, Reference

NAMES: Mapping[str, str] = {
    "blind": "the best answer that knows nothing of the person (simulated people)",
    "population_mode": "the answer that train people give most often",
    "profile_mode": "the answer that the person's own history holds most often",
    "profile_mean": "the rounded mean of the person's own ratings",
    "ridge": "ridge regression on the question's words and the person's mean, fitted on train people, not rounded",
    "ridge_rounded": "the same, rounded to a rating that people can give",
    "bayes": "the best answer given the shown history (simulated people)",
}


def population_modes(train: Iterable[Record]) -> dict[str, str]:
    """Task -> the most frequent gold of train people, for tasks with a closed set of answers; ties go to the first
    label."""
    counts: dict[str, Counter[str]] = {}
    for record in train:
        if record.gold is not None and task_named(record.task).kind != "text":
            counts.setdefault(record.task, Counter())[record.gold] += 1
    return {task: _mode(counter) for task, counter in counts.items()}


def references(prompt: Prompt, modes: Mapping[str, str], raters: Mapping[str, RidgeRater]) -> list[Reference]:
    """Every reference answer to one prompt's record.

    Args:
        modes: task -> what `population_modes` found among train people.
        raters: task -> what `fit_ridge` made of train people.
    """
    record, task = prompt.record, task_named(prompt.record.task)
    answers: dict[str, str] = {}
    if record.task in modes:
        answers["population_mode"] = modes[record.task]
    answers |= _from_profile(task, [entry.response for entry in record.profile])
    if record.task in raters:
        rating = raters[record.task].rating(record)
        answers |= {"ridge": f"{rating:.4f}", "ridge_rounded": _rounded(rating)}
    if record.truth is not None:
        best = reference_answers(record, prompt.history)
        answers |= {"blind": best.blind, "bayes": best.bayes}
    return [
        Reference(
            record_id=record.record_id, user_id=record.user_id, task=record.task, name=name, answer=answers[name],
            gold=record.gold, score=math.nan if record.gold is None else task.score(answers[name], record.gold),
        )
        for name in NAMES
        if name in answers
    ]  # fmt: skip


def _from_profile(task: Task, responses: Sequence[str]) -> dict[str, str]:
    # Citations are answered by [1] or [2], but an author's history is titles.
    responses = [response for response in responses if task.is_valid(response)]
    if task.kind == "text" or not responses:
        return {}
    answers = {"profile_mode": _mode(Counter(responses))}
    if task.kind == "rating":
        answers["profile_mean"] = _rounded(sum(float(response) for response in responses) / len(responses))
    return answers


def _rounded(rating: float) -> str:
    # Half goes up: Python's own rounding would send 2.5 and 3.5 to even neighbours.
    return str(math.floor(rating + 0.5))


def _mode(counter: Counter[str]) -> str:
    return min(counter, key=lambda answer: (-counter[answer], answer))
