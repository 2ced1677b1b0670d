"""LaMP's official metrics as pure functions; a task's reward is made of the same ones, so reward and evaluation agree.

Source of the behaviour: eval/evaluation.py of the LaMP repository (arXiv 2304.11406).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

LOWEST_RATING = 1.0
HIGHEST_RATING = 5.0
RATING_RANGE = HIGHEST_RATING - LOWEST_RATING

_ROUGE_TOKEN = re.compile(r"[a-z0-9]+")


def check_lengths(answers: Sequence[str], golds: Sequence[str]) -> None:
    """Raises ValueError unless there is one gold per answer and at least one of them."""
    if len(answers) != len(golds) or not golds:
        raise ValueError(
            f"{len(answers)} answers and {len(golds)} golds, expected one gold per answer and at least one."
        )


# --- labels ---------------------------------------------------------------------------------------------------


def label_index(answer: str, labels: Sequence[str]) -> int:
    """Position of the stripped answer among the labels; -1 where it is none of them (no lower-casing, no repair)."""
    answer = answer.strip()
    return labels.index(answer) if answer in labels else -1


def accuracy_and_macro_f1(answers: Sequence[str], golds: Sequence[str], labels: Sequence[str]) -> tuple[float, float]:
    """Share of exact matches, and F1 averaged over the whole label list (a class that nobody used counts 0).

    Raises:
        ValueError: a gold that is none of the labels.
    """
    check_lengths(answers, golds)
    predicted = np.array([label_index(answer, labels) for answer in answers])
    expected = np.array([label_index(gold, labels) for gold in golds])
    if (expected < 0).any():
        bad = golds[int(np.argmax(expected < 0))]
        raise ValueError(f"gold {bad!r} is none of the task's labels: {', '.join(labels)}.")
    classes = np.arange(len(labels))[:, None]
    hits = ((predicted == classes) & (expected == classes)).sum(axis=1)
    occurrences = (predicted == classes).sum(axis=1) + (expected == classes).sum(axis=1)
    f1 = np.where(occurrences > 0, 2 * hits / np.maximum(occurrences, 1), 0.0)
    return float((predicted == expected).mean()), float(f1.mean())


# --- ratings ---------------------------------------------------------------------------------------------------------


def parse_rating(answer: str) -> float | None:
    """The number that the answer is, as Python's `float` reads it (4.5 and 7 pass); None where it is not one.

    Ours: nan and inf are not numbers here; the official evaluator would let one of them spoil the mean of all.
    """
    try:
        value = float(answer)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def rating_or_fallback(answer: str, gold: float) -> float:
    """The answer's number; where it has none, the end of the scale farther from gold (5 for gold 3)."""
    value = parse_rating(answer)
    if value is not None:
        return value
    return LOWEST_RATING if abs(LOWEST_RATING - gold) > abs(HIGHEST_RATING - gold) else HIGHEST_RATING


def rating_errors(answers: Sequence[str], golds: Sequence[str]) -> np.ndarray:
    """(N,) answer minus gold in rating units, the official fallback where an answer is not a number."""
    check_lengths(answers, golds)
    expected = [float(gold) for gold in golds]
    return (
        np.array([rating_or_fallback(answer, gold) for answer, gold in zip(answers, expected, strict=True)]) - expected
    )


def mae_and_rmse(answers: Sequence[str], golds: Sequence[str]) -> tuple[float, float]:
    """Mean absolute error, and the root of the mean squared error over all items, in rating units."""
    errors = rating_errors(answers, golds)
    return float(np.abs(errors).mean()), float(np.sqrt((errors**2).mean()))


# --- ROUGE ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def rouge_tokens(text: str) -> tuple[str, ...]:
    """Lower-cased runs of ASCII letters and digits: the tokens of `rouge-score` without a stemmer."""
    return tuple(_ROUGE_TOKEN.findall(text.lower()))


@lru_cache(maxsize=1 << 14)
def _token_counts(text: str) -> Counter[str]:
    return Counter(rouge_tokens(text))


@lru_cache(maxsize=1 << 14)
def _token_positions(text: str) -> dict[str, int]:
    """For each token, an integer whose bit i is set where the token stands at position i."""
    positions: dict[str, int] = {}
    for index, token in enumerate(rouge_tokens(text)):
        positions[token] = positions.get(token, 0) | 1 << index
    return positions


def longest_common_subsequence(first: str, second: str) -> int:
    """Length in ROUGE tokens. Bit-parallel (Hyyro 2004): one row of the usual table is one integer."""
    positions = _token_positions(first)
    full = (1 << len(rouge_tokens(first))) - 1
    row = full
    for token in rouge_tokens(second):
        matches = row & positions.get(token, 0)
        row = ((row + matches) | (row - matches)) & full
    return (row ^ full).bit_count()


def _f1(overlap: int, num_predicted: int, num_expected: int) -> float:
    if overlap == 0:
        return 0.0
    precision, recall = overlap / num_predicted, overlap / num_expected
    return 2 * precision * recall / (precision + recall)


@lru_cache(maxsize=1 << 16)
def rouge_1_and_l(answer: str, gold: str) -> tuple[float, float]:
    """ROUGE-1 and ROUGE-L F1 of one answer, as `rouge-score` gives them without stemming."""
    num_answer, num_gold = len(rouge_tokens(answer)), len(rouge_tokens(gold))
    if not num_answer or not num_gold:
        return 0.0, 0.0
    answer_counts, gold_counts = _token_counts(answer), _token_counts(gold)
    shared = sum(min(count, answer_counts.get(token, 0)) for token, count in gold_counts.items())
    if not shared:
        return 0.0, 0.0
    common = longest_common_subsequence(gold, answer)
    return _f1(shared, num_answer, num_gold), _f1(common, num_answer, num_gold)


def mean_rouge(answers: Sequence[str], golds: Sequence[str]) -> tuple[float, float]:
    """ROUGE-1 and ROUGE-L F1, averaged over items.

    Ours: the plain mean. The official script reports the median of 1,000 unseeded bootstrap means, which differs from
    it in about the fourth decimal and from run to run.
    """
    check_lengths(answers, golds)
    scores = np.array([rouge_1_and_l(answer, gold) for answer, gold in zip(answers, golds, strict=True)])
    rouge_1, rouge_l = scores.mean(axis=0)
    return float(rouge_1), float(rouge_l)
