"""What could be won on a set of pairs without reading anybody's taste: two rules, fitted on train, judged on dev."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from tagpr.markup import escape
from tagpr.types import PreferencePair

Feature = Callable[[PreferencePair, str], float]


def shortcut_report(train: Sequence[PreferencePair], dev: Sequence[PreferencePair], *, limit: float) -> dict[str, Any]:
    """Accuracy of each shortcut by negative type, and where it is above `limit`.

    length: prefers the longer or the shorter answer, whichever wins on train. majority: prefers the answer that more
        train
    people give, for the query where it is known, else in the task. Both see no user, so that on N1 with its two
    directions they are at .5 unless pairs have lost their mirrors.
    """
    by_query, by_task = _popularity(train)

    def length(pair: PreferencePair, answer: str) -> float:
        return float(len(escape(answer)))

    def majority(pair: PreferencePair, answer: str) -> float:
        query = by_query.get((pair.task, escape(pair.query)), Counter())
        return query[escape(answer)] + by_task[pair.task][escape(answer)] / (1 + sum(by_task[pair.task].values()))

    report: dict[str, Any] = {"limit": limit, "accuracy": {}, "exceeded": []}
    for name, feature in (("length", length), ("majority", majority)):
        accuracies = _accuracies(feature, train, dev)
        report["accuracy"][name] = accuracies
        report["exceeded"] += [f"{name} on {kind}: {a:.3f}" for kind, a in accuracies.items() if a > limit]
    return report


def _popularity(
    train: Sequence[PreferencePair],
) -> tuple[dict[tuple[str, str], Counter[str]], dict[str, Counter[str]]]:
    by_query: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    by_task: dict[str, Counter[str]] = defaultdict(Counter)
    # A record counts once, however many pairs it is in.
    for task, query, _, chosen in {(p.task, escape(p.query), p.record_id, escape(p.chosen)) for p in train}:
        by_query[task, query][chosen] += 1
        by_task[task][chosen] += 1
    return by_query, by_task


def _accuracies(feature: Feature, train: Sequence[PreferencePair], dev: Sequence[PreferencePair]) -> dict[str, float]:
    """Per negative type, with the direction that wins on train; ties count 1/2."""
    accuracies = {}
    for kind in sorted({pair.negative_type for pair in dev}):
        fitted = _wins(feature, [pair for pair in train if pair.negative_type == kind])
        judged = _wins(feature, [pair for pair in dev if pair.negative_type == kind])
        accuracies[kind] = judged if fitted >= 0.5 else 1.0 - judged
    return accuracies


def _wins(feature: Feature, pairs: Sequence[PreferencePair]) -> float:
    total = 0.0
    for pair in pairs:
        difference = feature(pair, pair.chosen) - feature(pair, pair.rejected)
        total += 0.5 if difference == 0 else float(difference > 0)
    return total / len(pairs) if pairs else 0.5
