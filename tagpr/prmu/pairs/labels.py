"""N1_label: other valid labels, for tasks that have labels. Nobody need have given them to this query."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tagpr.markup import escape
from tagpr.prmu.pairs.base import N1_LABEL, Made, hash_share, make_pair
from tagpr.tasks import ALL_TASKS
from tagpr.types import PreferencePair, Record

NUM_FOLDS = 4  # of the user-blind label model: no train question is judged by a model that saw its gold
MIN_RECORDS = 40  # of a task, below which the user-blind model is the frequency of labels


def label_frequencies(records: Sequence[Record]) -> dict[str, Counter[str]]:
    """Golds per task, counted in each label's canonical spelling; text tasks have none."""
    frequencies: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        if record.gold is not None and ALL_TASKS[record.task].labels:
            frequencies[record.task][record.gold] += 1
    return dict(frequencies)


def label_pairs(
    records: Sequence[Record],
    frequencies: Mapping[str, Counter[str]],
    *,
    per_record: int,
    generator: np.random.Generator,
) -> list[PreferencePair]:
    """N1_label where queries are shared: what a random other person would have answered to a random other query.

    Each draw is from all golds of the task, and one that hits the record's own gold makes no pair: so "a preferred to
    b" is as frequent as "b preferred to a", and preferring the popular label wins half of the time. Always drawing
    another label would make the popular one win (.65 of the pairs at frequencies .60, .25, .15).

    Args:
        frequencies: task -> how often train people give each label (as `label_frequencies` counts them).
        per_record: draws; equal ones count once.
    """
    pairs = []
    for record in records:
        counts = frequencies.get(record.task)
        if record.gold is None or not counts:
            continue
        total = sum(counts.values())
        drawn = _draw({label: n / total for label, n in counts.items()}, per_record, generator)
        pairs += [make_pair(record, label, N1_LABEL) for label in dict.fromkeys(drawn) if label != record.gold]
    return pairs


class BlindLabels:
    """p(label | query), by a model that sees no user: logistic regression on the query's words (TF-IDF).

    A train question is judged by a model fitted on the other folds of questions, parted by query; any other question
    by one fitted on all. Tasks with fewer than MIN_RECORDS questions have the frequency of labels instead.

    Args:
        records: train people's, with gold.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._frequencies = label_frequencies(records)
        self._models: dict[tuple[str, int | None], tuple[Any, list[str]] | None] = {}
        self._known = {(record.task, record.record_id) for record in records}
        self._by_task: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            if record.gold is not None and ALL_TASKS[record.task].labels:
                self._by_task[record.task].append(record)

    def chances(self, record: Record) -> dict[str, float]:
        """Label -> probability; labels that nobody gave are absent, and text tasks have none at all."""
        counts = self._frequencies.get(record.task)
        if not counts:
            return {}
        fold = _fold(record) if (record.task, record.record_id) in self._known else None
        if (record.task, fold) not in self._models:
            self._models[record.task, fold] = self._fit(record.task, fold)
        model = self._models[record.task, fold]
        if model is None:
            return {label: n / sum(counts.values()) for label, n in counts.items()}
        pipeline, labels = model
        return dict(zip(labels, map(float, pipeline.predict_proba([escape(record.query)])[0]), strict=True))

    def _fit(self, task: str, without: int | None) -> tuple[Any, list[str]] | None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        used = [record for record in self._by_task[task] if without is None or _fold(record) != without]
        golds = [record.gold for record in used]
        if len(used) < MIN_RECORDS or len(set(golds)) < 2:
            return None
        pipeline = make_pipeline(TfidfVectorizer(token_pattern=r"\w+"), LogisticRegression(max_iter=500))
        pipeline.fit([escape(record.query) for record in used], golds)
        return pipeline, [str(label) for label in pipeline.classes_]


def plausible_label_pairs(
    records: Sequence[Record],
    blind: BlindLabels,
    *,
    per_record: int,
    margin: float,
    generator: np.random.Generator,
) -> Made:
    """N1_label where queries are not shared: labels that only knowing the person rules out.

    Labels are drawn from p(label | query) of the user-blind model, and y' makes a pair where it is not the gold and
    |log p(y' | x) - log p(gold | x)| <= margin. As golds too are draws from p as far as p is right, "a preferred to b"
    is as frequent as "b preferred to a" within any kind of query: the user-blind model wins half of the time.

    Args:
        per_record: draws; equal ones count once.
        margin: >= 0, in nats.
    """
    blocks, dropped = [], Counter[str]()
    for record in records:
        chances = blind.chances(record)
        if record.gold is None or not chances:
            continue
        for label in dict.fromkeys(_draw(chances, per_record, generator)):
            if label == record.gold:
                dropped["agreement"] += 1
            elif abs(_log(chances[label]) - _log(chances.get(record.gold, 0.0))) > margin:
                dropped["margin"] += 1
            else:
                blocks.append([make_pair(record, label, N1_LABEL)])
    return Made(blocks=blocks, dropped=dropped)


def _draw(chances: Mapping[str, float], number: int, generator: np.random.Generator) -> list[str]:
    labels = sorted(chances)
    weights = np.array([chances[label] for label in labels])
    return [labels[i] for i in generator.choice(len(labels), size=number, p=weights / weights.sum())]


def _fold(record: Record) -> int:
    return int(hash_share("label fold", record.task, escape(record.query)) * NUM_FOLDS)


def _log(chance: float) -> float:
    return math.log(chance) if chance > 0 else -math.inf
