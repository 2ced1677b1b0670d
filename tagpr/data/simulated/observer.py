"""The Bayes observer: what can be known of a person from the entries shown, and the best answer that follows from it.

It knows the world (rules, population, noise), reads the shown texts, and never looks at the person's rule or manner.
Everything is exact enumeration over the finite rule space of logic.py or the parts of style.py. One thing it knows that
a prompt may not say: where in the whole profile a shown entry stood (a drifter's older or newer half).

p(rule | entries) ~ p(rule) prod_i p(answer_i | rule, item_i), with the noise of logic.py. S4, S5, S7: the parts of a
manner are independent, p(part | entries) ~ p(part) prod_i [1 - n if text i has that value, else n / (values - 1)],
n = part_noise. An entry that cannot be read, or whose answer its item does not allow, says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from tagpr.data.simulated.grammar import Facts, read_facts, read_keywords, split_words
from tagpr.data.simulated.logic import (
    FAMILIES,
    LOGIC_TASKS,
    RULES,
    answers,
    encode,
    possible_codes,
    read_answer,
    rule_prior,
    write_answer,
)
from tagpr.data.simulated.style import (
    INVISIBLE,
    NUM_FIXED_WORDS,
    STYLE_PRIOR,
    STYLE_WORDS,
    part_noise,
    read_style,
    style_parts,
    write_style,
)
from tagpr.types import ProfileEntry, Record

SCORE_RANGE = 4.0
TOP_RULES = 5

Belief = dict[str, np.ndarray]  # {"rule": (P, R)}, or {part: (P, values)}: one row per history


class Seen(NamedTuple):
    """One entry as the observer reads it."""

    input: str
    response: str
    older: bool  # from the older half of the whole profile


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceAnswers:
    """Best answers to a question, and the score in [0, 1] that each may expect, noise of the gold included."""

    bayes: str  # given the shown history
    bayes_expected: float
    blind: str  # given the population alone
    blind_expected: float


# --- beliefs ---------------------------------------------------------------------------------------------------------


def beliefs(task: str, histories: Sequence[Sequence[Seen]], *, families: Sequence[str], noise: float) -> Belief:
    """What P histories tell about their people.

    Args:
        families: of the population, as the observer believes it to be.
        noise: share of answers that are not the person's own.
    Returns:
        {"rule": (P, R)} over RULES[task]; {part: (P, values)} for S4, S5, S7.
    Raises:
        ValueError: a history that no rule can have written (only without noise).
    """
    owners = [owner for owner, history in enumerate(histories) for _ in history]
    entries = [seen for history in histories for seen in history]
    if task in LOGIC_TASKS:
        with np.errstate(divide="ignore"):
            prior = np.log(rule_prior(task, tuple(families)))
        return {"rule": _normalised(prior, owners, _rule_evidence(task, entries, noise), len(histories))}
    chance = part_noise(task, noise)
    written = [read_style(task, seen.response) for seen in entries]
    found: Belief = {}
    for part in style_parts(task):
        prior = np.log(np.array(STYLE_PRIOR[part]))
        own = np.array([-1 if style is None else style[part] for style in written], dtype=int)
        table = np.eye(len(prior)) * (1 - chance) + (1 - np.eye(len(prior))) * chance / (len(prior) - 1)
        with np.errstate(divide="ignore"):
            evidence = np.where(own[:, None] < 0, 0.0, np.log(table)[own])
        found[part] = _normalised(prior, owners, evidence, len(histories))
    return found


def _rule_evidence(task: str, entries: Sequence[Seen], noise: float) -> np.ndarray:
    """(N, R) log p(answer | rule, item); 0 for entries that say nothing."""
    evidence = np.zeros((len(entries), len(RULES[task])))
    facts = [read_facts(task, seen.input) for seen in entries]
    needed = 2 if task == "S2" else 3
    rows = [
        row
        for row, (found, seen) in enumerate(zip(facts, entries, strict=True))
        if all(len(option) >= needed for option in found.aspects) and read_answer(task, seen.response, found) >= 0
    ]
    if not rows:
        return evidence
    codes = answers(encode(task, [facts[row] for row in rows], [entries[row].older for row in rows]))
    given = np.array([read_answer(task, entries[row].response, facts[row]) for row in rows])
    others = np.array([len(possible_codes(task, facts[row])) - 1 for row in rows])
    with np.errstate(divide="ignore"):
        evidence[rows] = np.where(codes == given[:, None], np.log(1 - noise), np.log(noise / others)[:, None])
    return evidence


def _normalised(prior: np.ndarray, owners: Sequence[int], evidence: np.ndarray, num: int) -> np.ndarray:
    logs = np.tile(prior, (num, 1))
    np.add.at(logs, np.array(owners, dtype=int), evidence)
    highest = logs.max(axis=1, keepdims=True)
    if not np.isfinite(highest).all():
        raise ValueError("a history has no possible author: with noise 0, expected answers that follow some rule")
    weights = np.exp(logs - highest)
    return weights / weights.sum(axis=1, keepdims=True)


# --- answers ---------------------------------------------------------------------------------------------------------


def next_answers(task: str, queries: Sequence[str], belief: Belief, *, noise: float) -> np.ndarray:
    """(P, C) chance of each possible answer of the person of row p to query p, noise included.

    Columns: S1 the options, S2 the three aspects, S3 the levels; S4, S5, S7 every way to fill the parts that ROUGE
    sees, in the order of `_outcomes`.
    """
    if task in LOGIC_TASKS:
        facts = [read_facts(task, query) for query in queries]
        codes = answers(encode(task, facts, [False] * len(facts)))
        columns = _codes(task)
        own = np.stack([np.where(codes == code, belief["rule"], 0.0).sum(axis=1) for code in columns], axis=1)
        allowed = np.array([[code in possible_codes(task, found) for code in columns] for found in facts])
        others = allowed.sum(axis=1, keepdims=True) - 1
        return np.where(allowed, own * (1 - noise) + (1 - own) * noise / others, 0.0)
    chance = part_noise(task, noise)
    chances = np.ones((len(queries), 1))
    for part in visible_parts(task):
        own = belief[part]
        blurred = own * (1 - chance) + (1 - own) * chance / (own.shape[1] - 1)
        chances = (chances[:, :, None] * blurred[:, None, :]).reshape(len(queries), -1)
    return chances


def expected_scores(task: str, chances: np.ndarray) -> np.ndarray:
    """(P, A) score that each listed answer may expect; answers as `_score_table` lists them."""
    return chances @ _score_table(task).T


def written(task: str, query: str, answer: int, belief: Belief, row: int) -> str:
    """Listed answer number `answer` to a query, as text."""
    if task in LOGIC_TASKS:
        return write_answer(task, _codes(task)[answer], read_facts(task, query))
    style = dict(zip(visible_parts(task), _candidates(task)[answer], strict=True))
    style |= {part: int(belief[part][row].argmax()) for part in INVISIBLE}
    return write_style(task, style, read_keywords(query))


def visible_parts(task: str) -> tuple[str, ...]:
    """The parts of a manner that ROUGE sees in texts of this task."""
    return tuple(part for part in style_parts(task) if part not in INVISIBLE)


def _codes(task: str) -> tuple[int, ...]:
    return {"S1": (1, 2), "S2": (0, 1, 2), "S3": (1, 2, 3, 4, 5)}[task]


def _outcomes(task: str) -> list[tuple[int, ...]]:
    return list(product(*(range(len(STYLE_WORDS[task][part])) for part in visible_parts(task))))


def _candidates(task: str) -> list[tuple[int | None, ...]]:
    """Every way to fill each visible part with one of its values or to leave it out, keywords in their order."""
    return list(product(*((*range(len(STYLE_WORDS[task][part])), None) for part in visible_parts(task))))


@lru_cache
def _score_table(task: str) -> np.ndarray:
    """(A, C) score of listed answer a where outcome c is the gold.

    S1, S2: 1 if equal; S3: 1 - |error| / 4. Texts: listed words and gold words stand in the same order and differ only
    in the parts, so ROUGE-1 and ROUGE-L agree: F1 = 2 shared / (words of the one + words of the other). The best listed
    text is a reference, not a proven optimum over all texts.
    """
    if task == "S3":
        levels = np.arange(1.0, 6.0)
        return 1.0 - np.abs(levels[:, None] - levels) / SCORE_RANGE
    if task in LOGIC_TASKS:
        return np.eye(len(_codes(task)))
    words = [STYLE_WORDS[task][part] for part in visible_parts(task)]
    fixed = NUM_FIXED_WORDS[task]

    def slots(places: Sequence[int | None]) -> list[str]:
        return ["" if place is None else values[place] for place, values in zip(places, words, strict=True)]

    table = np.zeros((len(_candidates(task)), len(_outcomes(task))))
    for row, candidate in enumerate(_candidates(task)):
        mine = slots(candidate)
        for column, outcome in enumerate(_outcomes(task)):
            gold = slots(outcome)
            shared = fixed + sum(bool(one) and one == other for one, other in zip(mine, gold, strict=True))
            table[row, column] = 2 * shared / (2 * fixed + sum(map(bool, mine)) + sum(map(bool, gold)))
    return table


# --- of records ------------------------------------------------------------------------------------------------------


def seen_entries(record: Record, history: Sequence[ProfileEntry]) -> list[Seen]:
    """Shown entries with their place in the profile; an entry from elsewhere counts by its place in `history`."""
    places = {entry.entry_id: place for place, entry in enumerate(record.profile)}
    half, own_half = len(record.profile) // 2, len(history) // 2
    return [
        Seen(
            entry.input, entry.response, places[entry.entry_id] < half if entry.entry_id in places else shown < own_half
        )
        for shown, entry in enumerate(history)
    ]


def posterior(record: Record, history: Sequence[ProfileEntry]) -> Belief:
    """Belief about the person after the history: {"rule": (R,)} over RULES[task], or {part: (values,)}."""
    truth = _truth(record)
    found = beliefs(record.task, [seen_entries(record, history)], families=truth["families"], noise=truth["noise"])
    return {name: rows[0] for name, rows in found.items()}


def reference_answers(record: Record, history: Sequence[ProfileEntry]) -> ReferenceAnswers:
    """Bayes answer for the task's score given the shown entries, and the best answer that ignores them.

    S1, S2: the mode; S3: the median, which is best for 1 - |error| / 4; S4, S5, S7: the best listed text.
    """
    truth, task = _truth(record), record.task
    belief = beliefs(task, [seen_entries(record, history), ()], families=truth["families"], noise=truth["noise"])
    queries = [record.query, record.query]
    expected = expected_scores(task, next_answers(task, queries, belief, noise=truth["noise"]))
    best = expected.argmax(axis=1)
    texts = [written(task, record.query, int(answer), belief, row) for row, answer in enumerate(best)]
    return ReferenceAnswers(
        bayes=texts[0],
        bayes_expected=float(expected[0, best[0]]),
        blind=texts[1],
        blind_expected=float(expected[1, best[1]]),
    )


def best_per_metric(task: str, query: str, chances: np.ndarray) -> dict[str, str | float]:
    """Of one question (C,): accuracy the mode, MAE the median, RMSE the mean (the evaluator takes 4.5); texts: {}."""
    if task not in LOGIC_TASKS:
        return {}
    facts: Facts = read_facts(task, query)
    mode = write_answer(task, _codes(task)[int(chances.argmax())], facts)
    if task != "S3":
        return {"accuracy": mode}
    # One ulp below half: of two medians the lower one, whatever the rounding of the sum.
    median = int(np.searchsorted(np.cumsum(chances), 0.5 - 1e-12)) + 1
    return {"accuracy": mode, "mae": str(median), "rmse": float(chances @ np.arange(1.0, 6.0))}


def summary(task: str, belief: Belief, row: int) -> dict[str, Any]:
    """One row of a belief in JSON types: top rules with their chance, entropy in nats, families; or parts."""
    if task not in LOGIC_TASKS:
        return {
            "parts": {part: [round(float(p), 6) for p in belief[part][row]] for part in belief},
            "entropy": float(sum(_entropy(belief[part][row]) for part in belief)),
        }
    chances = belief["rule"][row]
    order = np.argsort(-chances, kind="stable")[:TOP_RULES]
    families = dict.fromkeys(FAMILIES, 0.0)
    for rule, chance in zip(RULES[task], chances, strict=True):
        families[rule.family] += float(chance)
    return {
        "top": [{"rule": RULES[task][index].as_json(), "chance": round(float(chances[index]), 6)} for index in order],
        "entropy": _entropy(chances),
        "families": {family: round(chance, 6) for family, chance in families.items()},
    }


def _entropy(chances: np.ndarray) -> float:
    positive = chances[chances > 0]
    return float(-(positive * np.log(positive)).sum())


def latent_style(record: Record, answer: str) -> float:
    """Share of the answer that the person's rule or manner would have written: words and marks, place by place.

    matches / max(length of either), in [0, 1]. Sees what ROUGE drops: the ending of a text.
    """
    wanted = split_words(_truth(record)["preferred"])
    given = split_words(answer)
    matches = sum(one == other for one, other in zip(wanted, given, strict=False))
    return matches / max(len(wanted), len(given))


def _truth(record: Record) -> Mapping[str, Any]:
    if record.truth is None:
        raise ValueError(f"Record {record.record_id} has no truth: only simulated people have a known rule.")
    return record.truth
