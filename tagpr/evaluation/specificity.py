"""Is it personal? Gain and Specificity from the scores of one question under different histories.

Gain = M(own) - M(none); Specificity = M(own) - M(nearest-topic other); M is the mean over tasks of a task's mean
score. On simulated people the Bayes observer, who reads the same histories, says how specific one can be. Source: O.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tagpr.evaluation.spread import Spread, spreads
from tagpr.evaluation.statistics import MIN_PEOPLE, Array, Cells, collect
from tagpr.evaluation.swap import CONDITIONS, NEAREST, NONE, OWN, RANDOM, SHUFFLED

MEAN = "mean"  # over tasks
LEVEL = 0.95
BAYES = "bayes_"  # before a column's name: the same of the observer
FOLLOWED = "on_other"  # the answer scored on what the nearest other says


@dataclass(frozen=True, kw_only=True, slots=True)
class SwappedAnswer:
    """A policy's greedy answer to one question with one history: what swap.parquet holds."""

    record_id: str
    user_id: str
    task: str
    condition: str  # one of tagpr.evaluation.swap.CONDITIONS
    other_user_id: str  # whose history the prompt shows; "" where it is nobody else's
    exact: bool  # that history has the size of the own one
    entries: int  # shown
    characters: int  # of the entries shown
    completion: str
    answer: str
    parsed: bool
    truncated: bool
    gold: str | None
    score: float  # NaN without gold
    bayes_answer: str  # of the observer who reads the same history; "" for real people
    bayes_score: float
    other_answer: str  # what the other says to the question; where nobody else's history is shown, the nearest other
    other_answer_from: str  # gold, rule (a simulated person's preferred answer), or "" where it is not known
    other_score: float  # the answer scored on that
    bayes_other_score: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure with its 95 % interval; None with fewer than 20 people."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Personal:
    """What the swap says of one policy on one task, or in the mean over tasks."""

    people: int
    questions: int
    figures: Mapping[str, Figure]  # those of `_scores` and `_followed` that are known

    @property
    def formatting_only(self) -> bool:
        """Examples help, but anybody's do: the gain's interval is above 0, the Specificity's is not."""
        gain, specific = self.figures.get("gain"), self.figures.get("specificity")
        if gain is None or specific is None or gain.low is None or specific.low is None:
            return False
        return gain.low > 0 >= specific.low


def specificity(
    answers: Iterable[tuple[int, SwappedAnswer]], *, nested: bool, num_resamples: int, seed: int
) -> dict[str, Personal]:
    """Task -> what the swap says, and MEAN; intervals over people and replicates (evaluation/spread.py).

    Args:
        answers: (replicate, answer) of one policy, every question under every condition.
        nested: people differ between replicates.
    """
    questions: dict[tuple[int, str, str], dict[str, SwappedAnswer]] = {}
    for replicate, one in answers:
        if one.gold is not None:
            questions.setdefault((replicate, one.task, one.record_id), {})[one.condition] = one
    scored = []
    followed = []
    for (replicate, task, _), by in questions.items():
        own = by[OWN]
        values = [by[c].score for c in CONDITIONS] + [by[c].bayes_score for c in CONDITIONS]
        scored.append((replicate, own.user_id, task, values))
        if by[NEAREST].other_answer_from:
            values = [one.other_score for one in (own, by[NEAREST])]
            values += [one.bayes_other_score for one in (own, by[NEAREST])]
            followed.append((replicate, own.user_id, task, values))
    if not scored:
        return {}
    result = _personal(scored, _scores, nested=nested, num_resamples=num_resamples, seed=seed)
    if followed:
        more = _personal(followed, _followed, nested=nested, num_resamples=num_resamples, seed=seed)
        for task, one in more.items():
            # A mean over some of the tasks would stand beside means over all of them.
            if task != MEAN or more.keys() == result.keys():
                both = {**result[task].figures, **one.figures}
                result[task] = Personal(people=result[task].people, questions=result[task].questions, figures=both)
    return result


def _scores(means: Array) -> dict[str, Array]:
    """(S, T + 1, 2 C) means -> figures (S, T + 1): scores per condition, differences, the observer's, the share."""
    by = {name: means[:, :, i] for i, name in enumerate([*CONDITIONS, *(BAYES + c for c in CONDITIONS)])}
    found = dict(by)
    for prefix in ("", BAYES):
        own = by[prefix + OWN]
        found[prefix + "gain"] = own - by[prefix + NONE]
        found[prefix + "specificity"] = own - by[prefix + NEAREST]
        found[prefix + "own_minus_random"] = own - by[prefix + RANDOM]
        found[prefix + "own_minus_shuffled"] = own - by[prefix + SHUFFLED]
    best = found[BAYES + "specificity"]
    with np.errstate(divide="ignore", invalid="ignore"):
        # A ratio of means: single questions on which the observer loses nothing would divide by zero.
        found["share"] = np.where(np.abs(best) > 1e-12, found["specificity"] / best, np.nan)
    return found


def _followed(means: Array) -> dict[str, Array]:
    """(S, T + 1, 4) means -> what the answers are worth to the other person, with the own and with their history."""
    names = (f"{FOLLOWED}_{OWN}", f"{FOLLOWED}_{NEAREST}", f"{BAYES}{FOLLOWED}_{OWN}", f"{BAYES}{FOLLOWED}_{NEAREST}")
    return {name: means[:, :, i] for i, name in enumerate(names)}


def _personal(
    rows: Sequence[tuple[int, str, str, Sequence[float]]],
    derive: Callable[[Array], dict[str, Array]],
    *,
    nested: bool,
    num_resamples: int,
    seed: int,
) -> dict[str, Personal]:
    cells = collect(rows, nested=nested)
    tasks = [*sorted({row[2] for row in rows}), MEAN]
    names = [*derive(np.zeros((1, 1, len(rows[0][3]))))]

    def statistic(means: Array) -> Array:
        """(S, T, K) -> (S, (T + 1) * F): every figure of every task, then of their mean."""
        with_mean = np.concatenate([means, means.mean(axis=1, keepdims=True)], axis=1)
        return np.stack([*derive(with_mean).values()], axis=-1).reshape(len(means), -1)

    counts = cells.counts.sum(axis=(0, 1))
    people = [*_people_per_task(cells), cells.num_people]
    questions = [*counts.astype(int).tolist(), int(counts.sum())]
    found = spreads(cells, statistic, num_resamples=num_resamples, seed=seed)
    return {
        task: Personal(
            people=people[t],
            questions=questions[t],
            figures={
                name: _figure(spread, people=people[t])
                for name, spread in zip(names, found[t * len(names) : (t + 1) * len(names)], strict=True)
                if math.isfinite(spread.value)
            },
        )
        for t, task in enumerate(tasks)
    }


def _people_per_task(cells: Cells) -> list[int]:
    present = cells.counts > 0
    return (present.sum(axis=(0, 1)) if cells.nested else present.any(axis=0).sum(axis=0)).tolist()


def _figure(spread: Spread, *, people: int) -> Figure:
    low, high = (spread.interval(LEVEL) if people >= MIN_PEOPLE else None) or (None, None)
    return Figure(value=spread.value, low=low, high=high)
