"""A rating from the words of the question and the person's mean: what a policy has to beat."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from tagpr.tasks import task_named
from tagpr.tasks.metrics import HIGHEST_RATING, LOWEST_RATING
from tagpr.types import Record

ALPHAS = tuple(float(alpha) for alpha in np.logspace(-1, 3, 9))
FOLDS = 5
# More train questions than these are thinned evenly: the fit is repeated for every evaluation.
MAX_QUESTIONS = 5000
# The penalty of a column falls with its scale: at this one the person's mean keeps its weight beside rare words.
MEAN_SCALE = 10.0


@final
class RidgeRater:
    """gold = w . tfidf(query) + v * (person's mean - mean of means) + b, squared loss, L2 penalty.

    Ours. Words and word pairs of the train questions that occur twice or more, sublinear counts, unit length. The
    penalty is the one with the least absolute error in a cross-validation over train people; a person is on one side.
    Deterministic. Nothing but train people's questions reaches the fit; of the person asked about it reads the question
    and the ratings in their history.

    Args:
        train: a rating task's records of train people; those without gold are left out.
    """

    def __init__(self, train: Sequence[Record]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import GroupKFold

        known = _thinned([record for record in train if record.gold is not None])
        golds = np.array([float(record.gold or "") for record in known])
        people = [record.user_id for record in known]
        means = [_mean(record) for record in known]
        some = [mean for mean in means if mean is not None]
        self._typical = float(np.mean(some)) if some else float(golds.mean())
        self._vectorizer: Any = TfidfVectorizer(
            ngram_range=(1, 2), min_df=2 if len(known) > 1 else 1, sublinear_tf=True, token_pattern=r"(?u)\w+"
        )
        try:
            self._vectorizer.fit([record.query for record in known])
        except ValueError:  # no word stands in two questions
            self._vectorizer = None
        features = self._features(known)
        num_folds = min(FOLDS, len(set(people)))
        folds = list(GroupKFold(num_folds).split(features, golds, people)) if num_folds > 1 else []

        def error(alpha: float) -> float:
            answers = [
                (Ridge(alpha=alpha).fit(features[fit], golds[fit]).predict(features[held]), golds[held])
                for fit, held in folds
            ]
            return float(sum(np.abs(np.clip(a, LOWEST_RATING, HIGHEST_RATING) - g).sum() for a, g in answers))

        self.alpha = min(ALPHAS, key=error) if folds else ALPHAS[-1]
        self._model = Ridge(alpha=self.alpha).fit(features, golds)

    def rating(self, record: Record) -> float:
        """From 1 to 5, not rounded."""
        (value,) = self._model.predict(self._features([record]))
        return float(min(HIGHEST_RATING, max(LOWEST_RATING, value)))

    def _features(self, records: Sequence[Record]) -> Any:
        from scipy.sparse import csr_matrix, hstack

        means = [_mean(record) for record in records]
        column: NDArray[np.float64] = np.array([[(self._typical if m is None else m) - self._typical] for m in means])
        parts = [csr_matrix(MEAN_SCALE * column)]
        if self._vectorizer is not None:
            parts.append(self._vectorizer.transform([record.query for record in records]))
        return hstack(parts).tocsr()


def fit_ridge(records: Iterable[Record]) -> dict[str, RidgeRater]:
    """Task -> its rater, for rating tasks of real people; simulated people have `bayes`. Only train people are read."""
    by_task: dict[str, list[Record]] = {}
    for record in records:
        known = record.split == "train" and record.gold is not None and record.truth is None
        if known and task_named(record.task).kind == "rating":
            by_task.setdefault(record.task, []).append(record)
    return {task: RidgeRater(of_task) for task, of_task in by_task.items()}


def _thinned(records: list[Record]) -> list[Record]:
    if len(records) <= MAX_QUESTIONS:
        return records
    return [records[i * len(records) // MAX_QUESTIONS] for i in range(MAX_QUESTIONS)]


def _mean(record: Record) -> float | None:
    """Of the ratings in the person's whole history; None where it is empty."""
    ratings = [float(entry.response) for entry in record.profile]
    return math.fsum(ratings) / len(ratings) if ratings else None
