"""The Bayes observer: what can be known of a person from the entries shown, and the best answer that follows from it.

It knows the world (rules, population prior, noise) and reads the shown texts; it never looks at the person's rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from tagpr.data.simulated.grammar import read_keywords, read_meanings, read_title, split_words
from tagpr.data.simulated.lexicon import PRIORS, SCORE_LABELS
from tagpr.data.simulated.people import RULE_PARTS, part_noise
from tagpr.types import ProfileEntry, Record

SCORE_RANGE = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceAnswers:
    """Best answers to a question, and the score in [0, 1] that each may expect, noise of the gold included."""

    bayes: str  # given the shown history
    bayes_expected: float
    blind: str  # given the population alone
    blind_expected: float


@lru_cache(maxsize=1 << 16)
def read_facts(task: str, text: str) -> Mapping[str, str]:
    """What an item text says: {aspect: label}, or {"a": keyword, "b": keyword}."""
    if task == "S5":
        return dict(zip("ab", read_keywords(text), strict=False))
    return {aspect: label for aspect, (_, label) in read_meanings(task, text).items()}


def posterior(record: Record, history: Sequence[ProfileEntry]) -> dict[str, np.ndarray]:
    """Belief about each part of the person's rule after the history, in the order of RULE_PARTS.

    S2, S3: p(aspect | history) ~ p(aspect) prod_i [1 - noise if the answer is the aspect's own label, else noise / 2].
    S5: the parts of a title are independent, each with p(part | history) ~ p(part) prod_i [1 - n if the title has that
    value, else n / (number of values - 1)], n = part_noise(noise). An entry whose answer is none of its item's
    three labels, or no title of this world, says nothing about any rule.
    """
    noise = _noise(record)
    beliefs = {part: np.array(PRIORS[part]) for part in RULE_PARTS[record.task]}
    for entry in history:
        observed = _observed(record.task, entry)
        for part, values in RULE_PARTS[record.task].items():
            if part in observed:
                own = np.array([value == observed[part] for value in values])
                beliefs[part] = beliefs[part] * np.where(own, 1.0 - noise, noise / (len(values) - 1))
    return {part: belief / belief.sum() for part, belief in beliefs.items()}


def reference_answers(record: Record, history: Sequence[ProfileEntry]) -> ReferenceAnswers:
    """Bayes answer for the task's score given the shown entries, and the best answer that ignores them.

    S2: the mode; S3: the median, which is best for 1 - |error| / 4; S5: of the titles listed by `_best_title`
    the one with the highest expected mean of ROUGE-1 and ROUGE-L, a reference rather than a proven optimum.
    """
    bayes, bayes_expected = best_answer(record, posterior(record, history))
    blind, blind_expected = best_answer(record, posterior(record, ()))
    return ReferenceAnswers(bayes=bayes, bayes_expected=bayes_expected, blind=blind, blind_expected=blind_expected)


def best_answer(record: Record, beliefs: Mapping[str, np.ndarray]) -> tuple[str, float]:
    """The answer with the highest expected score under a belief about the person's rule, and that score."""
    noise = _noise(record)
    # What the person writes next: their rule, blurred by the noise.
    next_parts = {
        part: belief * (1.0 - noise) + (1.0 - belief) * noise / (len(belief) - 1) for part, belief in beliefs.items()
    }
    return _BEST[record.task](read_facts(record.task, record.query), next_parts)


def latent_style(record: Record, answer: str) -> float:
    """Share of the answer that the person's rule would have written: words and punctuation marks, place by place.

    matches / max(length of either), in [0, 1]. Sees what ROUGE drops: the ending of a title.
    """
    wanted = split_words(_truth(record)["preferred"])
    written = split_words(answer)
    matches = sum(one == other for one, other in zip(wanted, written, strict=False))
    return matches / max(len(wanted), len(written))


def _truth(record: Record) -> Mapping:
    if record.truth is None:
        raise ValueError(f"Record {record.record_id} has no truth: only simulated people have a known rule.")
    return record.truth


def _noise(record: Record) -> float:
    noise = _truth(record)["noise"]
    return part_noise(noise) if record.task == "S5" else noise


def _observed(task: str, entry: ProfileEntry) -> dict[str, str]:
    """{part: the value that this answer speaks for}; empty where it speaks for none."""
    if task == "S5":
        title = read_title(entry.response)
        return {} if title is None else title._asdict()
    (part,) = RULE_PARTS[task]
    decided_by = [aspect for aspect, label in read_facts(task, entry.input).items() if label == entry.response]
    return {part: decided_by[0]} if decided_by else {}


def _best_label(facts: Mapping[str, str], parts: Mapping[str, np.ndarray]) -> tuple[str, float]:
    chances = {
        facts[aspect]: chance for aspect, chance in zip(RULE_PARTS["S2"]["aspect"], parts["aspect"], strict=True)
    }
    best = max(chances, key=chances.__getitem__)
    return best, float(chances[best])


def _best_score(facts: Mapping[str, str], parts: Mapping[str, np.ndarray]) -> tuple[str, float]:
    levels = np.array([float(facts[attribute]) for attribute in RULE_PARTS["S3"]["attribute"]])
    errors = np.abs(np.array([float(score) for score in SCORE_LABELS])[:, None] - levels) @ parts["attribute"]
    best = int(errors.argmin())
    return SCORE_LABELS[best], float(1.0 - errors[best] / SCORE_RANGE)


def _best_title(facts: Mapping[str, str], parts: Mapping[str, np.ndarray]) -> tuple[str, float]:
    """Listed: both keywords in order; the likeliest opener or none; the likeliest joiner or none; the likeliest ending.

    A gold title has 4 ROUGE words, and those that a listed title shares with it stand in the same order, so ROUGE-1 and
    ROUGE-L agree: F1 = 2 (2 + shared parts) / (4 + words of the candidate).
    """
    likeliest = {part: RULE_PARTS["S5"][part][int(parts[part].argmax())] for part in parts}
    chances = {part: float(parts[part].max()) for part in parts}
    candidates = []
    for with_opener, with_joiner in product((True, False), repeat=2):
        shared = 2 + with_opener * chances["opener"] + with_joiner * chances["joiner"]
        expected = 2 * shared / (4 + 2 + with_opener + with_joiner)
        words = [likeliest["opener"] * with_opener, facts["a"], likeliest["joiner"] * with_joiner, facts["b"]]
        candidates.append((expected, " ".join(word for word in words if word) + likeliest["ending"]))
    expected, text = max(candidates, key=lambda candidate: candidate[0])
    return text, expected


_BEST: dict[str, Callable[[Mapping[str, str], Mapping[str, np.ndarray]], tuple[str, float]]] = {
    "S2": _best_label,
    "S3": _best_score,
    "S5": _best_title,
}
