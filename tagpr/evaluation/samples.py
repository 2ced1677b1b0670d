"""Several answers to one question: what one of them is worth on average, the best of them, and how far they spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev


def sample_figures(scores: Sequence[float]) -> dict[str, float]:
    """Of one question's scores: `mean`, `best_of_n` (an oracle picks) and `spread`, their sample standard deviation.

    Raises:
        ValueError: fewer than two.
    """
    if len(scores) < 2:
        raise ValueError(f"{len(scores)} score(s) of one question, expected two or more: set num_samples=2 or more.")
    return {"mean": fmean(scores), "best_of_n": max(scores), "spread": stdev(scores)}


def mean_over_questions(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """`sample_figures`, averaged over questions."""
    figures = [sample_figures(own) for own in scores.values()]
    return {name: fmean(one[name] for one in figures) for name in ("mean", "best_of_n", "spread")}


def mean_of_metrics(per_sample: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What the metrics of one answer per question are on average.

    Pooling all answers would give another macro-F1 and another RMSE than any one answer per question has.
    """
    return {name: fmean(one[name] for one in per_sample) for name in per_sample[0]}
