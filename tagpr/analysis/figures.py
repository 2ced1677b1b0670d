"""What a row is worth: metrics, scores, gap closed, gain; with intervals over people and replicates."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.analysis.metric_intervals import primary_metric_intervals
from tagpr.analysis.panel import BEST, BLIND, GREEDY, Estimate, Panel, same_questions, to_estimate
from tagpr.analysis.runs import NUMBERS_SPENT, Spent
from tagpr.evaluation.references import NAMES
from tagpr.evaluation.statistics import (
    Statistic,
    difference,
    gap_closed,
    mean_of_tasks,
    mean_over_tasks,
    of_task,
)
from tagpr.tasks import task_named
from tagpr.types import Prediction, Reference

MEAN_OF_TASKS = "mean_of_tasks"


@dataclass(frozen=True, kw_only=True)
class TaskFigures:
    """A row's figures on one task, greedy; None where it has none."""

    gap_closed: Estimate | None
    gain: Estimate | None
    relative_gain: float | None


@dataclass(frozen=True, kw_only=True)
class RowFigures:
    """Everything that a table says of one row. Means over replicates."""

    name: str
    run_name: str
    policy: str  # `reference` for rows that are no model
    seeds: tuple[int, ...]
    people: int  # distinct, over all replicates where each has its own
    questions: int
    metrics: Mapping[tuple[str, str], Mapping[str, float]]  # (task, decoding) -> official metrics
    lenient_metrics: Mapping[tuple[str, str], Mapping[str, float]]
    metric_intervals: Mapping[str, tuple[float, float]]  # task -> of its primary metric, greedy; real people
    parse_failures: Mapping[str, float]  # decoding -> share of answers
    scores: Mapping[str, Estimate]  # decoding -> mean over tasks of the task's reward
    lenient_scores: Mapping[str, Estimate]
    gap_closed: Mapping[str, Estimate]
    gain: Estimate | None  # lenient greedy score minus that of the best untrained row
    relative_gain: float | None  # gain / the score of the best untrained row
    by_task: Mapping[str, TaskFigures]  # greedy
    mean_of_tasks: TaskFigures | None  # means over tasks of the figures in `by_task`
    spent: Spent | None


def row_figures(comparison: Comparison) -> list[RowFigures]:
    """Figures of every row, references first and last: history-blind above, best possible below."""
    best_base = best_backbone_row(comparison)
    by_row = {
        figures.name: figures
        for rows in same_questions(comparison)
        for figures in _panel_figures(comparison, rows, best_base)
    }
    own = [by_row[row.name] for row in comparison.rows]
    beside = {figures.name: figures for figures in _reference_figures(comparison)}
    intervals = _metric_intervals(comparison)
    return [
        replace(figures, metric_intervals=intervals.get(figures.name, {}))
        for figures in (
            *(figures for name, figures in beside.items() if name != BEST),
            *own,
            *(figures for name, figures in beside.items() if name == BEST),
        )
    ]


def _metric_intervals(comparison: Comparison) -> dict[str, dict[str, tuple[float, float]]]:
    """Row -> task -> interval of the primary metric. Simulated people have the gap closed instead."""
    if comparison.simulated:
        return {}
    answers: dict[str, dict[int, Sequence[Prediction] | Sequence[Reference]]] = defaultdict(dict)
    for seed, ceiling in comparison.ceilings.items():
        for name in dict.fromkeys(one.name for one in ceiling.reference_answers):
            answers[name][seed] = [one for one in ceiling.reference_answers if one.name == name]
    for row in comparison.rows:
        if GREEDY in row.decodings:
            answers[row.name].update({s: own.evaluations[GREEDY].predictions for s, own in row.by_seed.items()})
    found: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for task in comparison.tasks:
        for name, interval in primary_metric_intervals(task_named(task), answers).items():
            found[name][task] = interval
    return found


def best_backbone_row(comparison: Comparison) -> ComparedRow | None:
    """The untrained row with the highest mean lenient score on dev people: what gains are measured against.

    On the questions shown where dev people's answers are missing: runs of older versions, other settings.
    """
    rows = [row for row in comparison.rows if row.is_backbone and GREEDY in row.decodings]
    on_dev = chosen_on_dev(comparison)
    return max(rows, key=lambda row: _mean_score(row, "lenient_score", on_dev=on_dev), default=None)


def chosen_on_dev(comparison: Comparison) -> bool:
    """Whether dev people's answers choose the best untrained row."""
    rows = [row for row in comparison.rows if row.is_backbone and GREEDY in row.decodings]
    return all(own.dev_evaluations for row in rows for own in row.by_seed.values())


def _mean_score(row: ComparedRow, key: str, *, on_dev: bool) -> float:
    evaluations = [
        one for own in row.by_seed.values() for one in (own.dev_evaluations if on_dev else [own.evaluations[GREEDY]])
    ]
    known = [fmean(task[key] for task in one.tasks.values()) for one in evaluations if _has_golds(one.tasks.values())]
    return fmean(known) if known else -math.inf


def _has_golds(tasks: Iterable[Mapping[str, object]]) -> bool:
    return all("metrics" in task for task in tasks)


def _panel_figures(comparison: Comparison, rows: list[ComparedRow], base: ComparedRow | None) -> list[RowFigures]:
    if base is not None and not all(row.by_seed.keys() <= base.by_seed.keys() for row in rows):
        base = None
    panel = Panel(comparison, rows if base is None or base in rows else [*rows, base])
    column = panel.columns
    wanted: dict[tuple[str, ...], Statistic] = {}

    def want(name: str, figure: str, statistic: Statistic) -> None:
        """A greedy figure over all tasks; for each; and the mean of these."""
        wanted[name, figure] = statistic
        wanted[name, figure, MEAN_OF_TASKS] = mean_of_tasks(statistic, len(panel.tasks))
        for position, task in enumerate(panel.tasks):
            wanted[name, figure, task] = of_task(statistic, position)

    for row in rows:
        for decoding in row.decodings:
            strict, lenient = column[row.name, decoding, False], column[row.name, decoding, True]
            wanted[row.name, decoding, "score"] = mean_over_tasks(strict)
            wanted[row.name, decoding, "lenient_score"] = mean_over_tasks(lenient)
            if comparison.simulated:
                wanted[row.name, decoding, "gap_closed"] = gap_closed(strict, panel.blind, panel.best)
        if GREEDY not in row.decodings:
            continue
        if comparison.simulated:
            want(row.name, "gap_closed", wanted[row.name, GREEDY, "gap_closed"])
        if base is not None and row is not base:
            want(row.name, "gain", difference(column[row.name, GREEDY, True], column[base.name, GREEDY, True]))
    if base is not None:
        want("", "base", mean_over_tasks(column[base.name, GREEDY, True]))
    computed = dict(zip(wanted, panel.spreads(list(wanted.values())), strict=True))
    found = {key: to_estimate(spread) for key, spread in computed.items()}

    def relative(name: str, *task: str) -> float | None:
        gain, of_base = computed.get((name, "gain", *task)), computed.get(("", "base", *task))
        # Within two standard errors of 0 a ratio to it says nothing.
        if gain is None or of_base is None or not of_base.value > 2 * of_base.standard_error:
            return None
        return gain.value / of_base.value

    def on_task(name: str, task: str, relative_gain: float | None) -> TaskFigures:
        return TaskFigures(
            gap_closed=found.get((name, "gap_closed", task)), gain=found.get((name, "gain", task)),
            relative_gain=relative_gain,
        )  # fmt: skip

    result = []
    for row in rows:
        shares = {task: relative(row.name, task) for task in panel.tasks}
        known = [share for share in shares.values() if share is not None]
        spent = [own.spent for own in row.by_seed.values()]
        result.append(
            RowFigures(
                name=row.name, run_name=row.run_name, policy=row.first.policy, seeds=tuple(row.by_seed),
                people=panel.num_people, questions=panel.num_questions // max(len(panel.seeds), 1),
                metrics=_metrics(row, "metrics"), lenient_metrics=_metrics(row, "lenient_metrics"),
                metric_intervals={},
                parse_failures={decoding: _parse_failures(row, decoding) for decoding in row.decodings},
                scores={d: found[row.name, d, "score"] for d in row.decodings},
                lenient_scores={d: found[row.name, d, "lenient_score"] for d in row.decodings},
                gap_closed={d: found[row.name, d, "gap_closed"] for d in row.decodings if comparison.simulated},
                gain=found.get((row.name, "gain")), relative_gain=relative(row.name),
                by_task={task: on_task(row.name, task, share) for task, share in shares.items()},
                # Without the tasks that have none it would be a mean over other tasks than the one beside it.
                mean_of_tasks=on_task(row.name, MEAN_OF_TASKS, fmean(known) if 0 < len(known) == len(shares) else None),
                spent=Spent(
                    **{name: fmean(getattr(one, name) for one in spent) for name in NUMBERS_SPENT},
                    resumed=any(one.resumed for one in spent),
                ),
            )
        )  # fmt: skip
    return result


def _metrics(row: ComparedRow, key: str) -> dict[tuple[str, str], dict[str, float]]:
    result = {}
    for decoding in row.decodings:
        evaluations = [own.evaluations[decoding] for own in row.by_seed.values()]
        for task in evaluations[0].tasks:
            per_seed = [one.tasks[task][key] for one in evaluations if key in one.tasks.get(task, {})]
            if per_seed:
                result[task, decoding] = _mean_of(per_seed)
    return result


def _mean_of(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(one[name] for one in metrics) for name in metrics[0]}


def _parse_failures(row: ComparedRow, decoding: str) -> float:
    tasks = [task for own in row.by_seed.values() for task in own.evaluations[decoding].tasks.values()]
    return sum(task["n"] * task["parse_failures"] for task in tasks) / sum(task["n"] for task in tasks)


def _reference_figures(comparison: Comparison) -> list[RowFigures]:
    result = []
    for name in NAMES:
        metrics, scores = {}, []
        for task in comparison.tasks:
            known = [
                one.tasks[task]["references"][name]
                for one in comparison.ceilings.values()
                if name in one.tasks.get(task, {}).get("references", {})
            ]
            if known:
                metrics[task, GREEDY] = _mean_of([one["metrics"] for one in known])
                scores.append(fmean(one["score"] for one in known))
        if not metrics:
            continue
        # A mean over some of the tasks would stand beside means over all of them.
        everywhere = len(scores) == len(comparison.tasks)
        ends = {BLIND: 0.0, BEST: 1.0}
        questions = [one.references.get(name, {}) for one in comparison.ceilings.values()]
        result.append(
            RowFigures(
                name=name, run_name="", policy="reference", seeds=tuple(comparison.ceilings), people=0,
                questions=round(fmean(map(len, questions))), metrics=metrics, lenient_metrics=metrics,
                metric_intervals={}, parse_failures={},
                scores={GREEDY: Estimate(value=fmean(scores))} if everywhere else {},
                lenient_scores={}, gap_closed={GREEDY: Estimate(value=ends[name])} if name in ends else {}, gain=None,
                relative_gain=None, by_task={}, mean_of_tasks=None, spent=None,
            )
        )  # fmt: skip
    return result


def map_finite(figures: RowFigures, keep: Callable[[str, float], None]) -> None:
    """Hand every finite figure of a row to `keep` under a readable name: `score/greedy`, `S2/greedy/accuracy`, ..."""

    def estimate_of(name: str, one: Estimate | None) -> None:
        if one is None:
            return
        for suffix, value in (("", one.value), ("/low", one.low), ("/high", one.high)):
            if value is not None and math.isfinite(value):
                keep(name + suffix, value)

    for decoding in figures.scores:
        estimate_of(f"score/{decoding}", figures.scores[decoding])
        estimate_of(f"lenient_score/{decoding}", figures.lenient_scores.get(decoding))
        estimate_of(f"gap_closed/{decoding}", figures.gap_closed.get(decoding))
    estimate_of("gain", figures.gain)
    if figures.relative_gain is not None:
        keep("relative_gain", figures.relative_gain)
    on_tasks = dict(figures.by_task) | ({MEAN_OF_TASKS: figures.mean_of_tasks} if figures.mean_of_tasks else {})
    for task, one in on_tasks.items():
        estimate_of(f"{task}/gap_closed", one.gap_closed)
        estimate_of(f"{task}/gain", one.gain)
        if one.relative_gain is not None:
            keep(f"{task}/relative_gain", one.relative_gain)
    for decoding, share in figures.parse_failures.items():
        keep(f"parse_failures/{decoding}", share)
    for kind, by_task in (("", figures.metrics), ("lenient/", figures.lenient_metrics)):
        for (task, decoding), metrics in by_task.items():
            for name, value in metrics.items():
                keep(f"{task}/{decoding}/{kind}{name}", value)
    for task, (low, high) in figures.metric_intervals.items():
        metric = f"{task}/{GREEDY}/{task_named(task).primary_metric}"
        keep(f"{metric}/low", low)
        keep(f"{metric}/high", high)
    if figures.spent is not None:
        for name in NUMBERS_SPENT:
            keep(name, getattr(figures.spent, name))
