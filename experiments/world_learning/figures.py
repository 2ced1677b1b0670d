"""Scores, gap closed and differences of answered questions, each with its interval over people (and worlds)."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from experiments.world_learning.read import Answer
from tagpr.analysis.panel import NUM_RESAMPLES, RESAMPLING_SEED, Estimate, to_estimate
from tagpr.errors import UserError
from tagpr.evaluation.spread import spreads
from tagpr.evaluation.statistics import (
    MIN_PEOPLE,
    Array,
    Statistic,
    collect,
    difference,
    gap_closed,
    mean_over_tasks,
    of_task,
)

MEAN = "mean"  # over tasks
SCORE, BLIND, BEST, ABOVE, GAP = "score", "blind", "best", "above blind", "gap closed"

Figures = dict[tuple[str, str], Estimate]  # (figure, task or MEAN)
Values = tuple[Hashable, str, str, Sequence[float]]  # replicate, person, task, quantities


def estimates(rows: Sequence[Values], wanted: Mapping[str, Statistic]) -> Figures:
    """Each statistic over all tasks and on each task alone, from one resampling; people of two replicates differ.

    Raises:
        ValueError: no rows.
    """
    cells = collect(rows, nested=True)
    tasks = sorted({task for _, _, task, _ in rows})  # the order of T in `collect`
    named: dict[tuple[str, str], Statistic] = {}
    for name, statistic in wanted.items():
        named[name, MEAN] = statistic
        named |= {(name, task): of_task(statistic, place) for place, task in enumerate(tasks)}

    def together(means: Array) -> Array:
        return np.stack([statistic(means) for statistic in named.values()], axis=1)

    drawn = spreads(cells, together, num_resamples=NUM_RESAMPLES, seed=RESAMPLING_SEED)
    return dict(zip(named, map(to_estimate, drawn), strict=True))


def scores(answers: Sequence[Answer]) -> Figures:
    """SCORE, BLIND, BEST, ABOVE (score minus blind) and GAP: (score - blind) / (best - blind), of means."""
    rows = [(one.seed, one.user, one.task, (one.score, one.blind, one.best)) for one in answers]
    return estimates(rows, _of_scores())


def _of_scores() -> dict[str, Statistic]:
    return {
        SCORE: mean_over_tasks(0), BLIND: mean_over_tasks(1), BEST: mean_over_tasks(2), ABOVE: difference(0, 1),
        GAP: gap_closed(0, 1, 2),
    }  # fmt: skip


def with_best(answers: Sequence[Answer], yardstick: Sequence[Answer]) -> list[Answer]:
    """The answers measured against the Bayes answers to the same questions in `yardstick`, which saw more."""
    best = {one.key: one.best for one in yardstick}
    return [
        Answer(
            seed=one.seed, user=one.user, task=one.task, record_id=one.record_id, score=one.score, blind=one.blind,
            best=best[one.key],
        )
        for one in answers
    ]  # fmt: skip


def lead(first: Sequence[Answer], second: Sequence[Answer]) -> Figures:
    """SCORE: first minus second, paired by question.

    Raises:
        UserError: they answered other questions.
    """
    other = {one.key: one for one in second}
    own = {one.key for one in first}
    if own != other.keys():
        raise UserError(
            f"the arms answered other questions ({len(own)} and {len(other)}, {len(own & other.keys())} shared): "
            "their difference would compare people, not arms. Run both with the same data settings and seeds."
        )
    if moved := [one.key for one in first if abs(one.blind - other[one.key].blind) > 1e-9]:
        raise UserError(
            f"the arms have questions of the same name with other texts or golds, e.g. {moved[0]}: they come from two "
            "worlds. Run both with the same data settings; a held-out family must be the last of data.families."
        )
    rows = [(one.seed, one.user, one.task, (one.score, other[one.key].score)) for one in first]
    return estimates(rows, {SCORE: difference(0, 1)})


def halves(answers: Sequence[Answer], inside: Callable[[Answer], bool]) -> tuple[Figures, Figures, Figures]:
    """Figures of the questions inside a slice, outside it, and inside minus outside, from one resampling of people.

    Tasks without questions on either side are left out. No intervals where a side has fewer than 20 people. ABOVE and
    SCORE differ in what is asked, too: the difference of GAP takes out how hard either side is.
    """
    sides = {one.key: inside(one) for one in answers}
    asked = [{one.task for one in answers if sides[one.key] is side} for side in (True, False)]
    kept = [one for one in answers if one.task in asked[0] & asked[1]]
    if not kept:
        return {}, {}, {}
    rows = []
    for one in kept:
        quantities = (one.score, one.blind, one.best, 1.0)
        own = quantities if sides[one.key] else (0.0,) * 4
        rest = (0.0,) * 4 if sides[one.key] else quantities
        rows.append((one.seed, one.user, one.task, (*own, *rest)))
    wanted: dict[str, Statistic] = {}
    for name, statistic in _of_scores().items():
        first, second = _part(statistic, 0), _part(statistic, 4)
        wanted |= {f"in {name}": first, f"out {name}": second, f"lead {name}": _minus(first, second)}
    found = estimates(rows, wanted)
    people = [{(one.seed, one.user) for one in kept if sides[one.key] is side} for side in (True, False)]
    few = [len(people[0]) < MIN_PEOPLE, len(people[1]) < MIN_PEOPLE]

    def of(prefix: str, without: bool) -> Figures:
        return {
            (name.removeprefix(prefix), task): Estimate(value=one.value) if without else one
            for (name, task), one in found.items()
            if name.startswith(prefix)
        }

    return of("in ", few[0]), of("out ", few[1]), of("lead ", any(few))


def _part(statistic: Statistic, first: int) -> Statistic:
    """The statistic on the questions that quantity `first + 3` counts."""

    def of(means: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return statistic(means[:, :, first : first + 3] / means[:, :, first + 3 : first + 4])

    return of


def _minus(first: Statistic, second: Statistic) -> Statistic:
    return lambda means: first(means) - second(means)


def text(one: Estimate | None, sign: str = "") -> str:
    """Three decimals and the interval; a dash for what does not exist, such as a gap of nothing."""
    if one is None or not math.isfinite(one.value):
        return "-"
    if one.low is None or one.high is None:
        return f"{one.value:{sign}.3f}"
    return f"{one.value:{sign}.3f} [{one.low:{sign}.3f}, {one.high:{sign}.3f}]"
