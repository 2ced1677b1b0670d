"""The official metrics as functions of means over questions: a resample of people then costs one matrix product.

The per-question numbers are those of `tagpr.tasks.metrics`; at equal weights the results are `Task.metrics` again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tagpr.evaluation.statistics import Array
from tagpr.tasks import Task
from tagpr.tasks.metrics import check_lengths, label_index, rating_errors, rouge_1_and_l


def quantities(task: Task, answers: Sequence[str], golds: Sequence[str]) -> Array:
    """(N, K) what the task's metrics need of each question.

    Labels: per label whether it was hit, then per label how often it stands in answer and gold together (0, 1, 2), so
    that weighted means are weighted confusion counts. Ratings: absolute and squared error. Texts: ROUGE-1, ROUGE-L.
    """
    check_lengths(answers, golds)
    if task.kind == "label":
        classes = np.arange(len(task.labels))
        predicted = np.array([label_index(answer, task.labels) for answer in answers])[:, None] == classes
        expected = np.array([label_index(gold, task.labels) for gold in golds])[:, None] == classes
        return np.concatenate([predicted & expected, predicted.astype(np.float64) + expected], axis=1)
    if task.kind == "rating":
        errors = rating_errors(answers, golds)
        return np.stack([np.abs(errors), errors**2], axis=1)
    return np.array([rouge_1_and_l(answer, gold) for answer, gold in zip(answers, golds, strict=True)])


def metrics_of_means(task: Task, means: Array) -> Array:
    """(..., M) the task's metrics, in the order of `Task.metrics`, from (..., K) weighted means of `quantities`.

    accuracy, macro-F1 over all labels = mean over c of 2 hits_c / (said_c + gold_c), 0 for a label that nobody used;
    mae, rmse = root of the mean square; rouge-1, rouge-L.
    """
    if task.kind == "label":
        hits, occurrences = np.split(means, 2, axis=-1)
        f1 = np.divide(2 * hits, occurrences, out=np.zeros_like(hits), where=occurrences > 0)
        return np.stack([hits.sum(axis=-1), f1.mean(axis=-1)], axis=-1)
    if task.kind == "rating":
        return np.stack([means[..., 0], np.sqrt(means[..., 1])], axis=-1)
    return means
