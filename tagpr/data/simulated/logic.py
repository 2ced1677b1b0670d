"""How people judge: eight families, as a finite list of rules per task whose answers can be computed for any item.

A rule looks at two aspects of the task, a (its own) and b, and may have a detail. This table is the definition; in S2
an aspect that the text leaves out gives way to the other of the two.

| family | S3: the level | S2: the label of | S1: the option |
|---|---|---|---|
| additive | (2a + b) / 3, rounded | a, but b where the text mentions b first | higher 2a + b; if equal, by a |
| lexicographic | a; b where a is 3 | a; b where a is left out | higher a if 2 or more apart; else higher b |
| veto | a; but 1 where b <= d | a; but b where a's label is d | higher a, but none with b <= d unless both |
| threshold | 4 + e if a >= d, else 2 + e | a; b where more than d decoys are named | e if its a >= d, else the other |
| context_switch | a; at the weekend b | a; at the weekend b | higher a; at the weekend higher b |
| novelty | a + d if new, a - d if usual, within 1 to 5 | a; in a usual place b | higher a, so changed; if equal, by a |
| contrarian | 6 - a | of a and b what is mentioned later | lower a |
| drifter | a in the profile's older half, later b | a, later b likewise | higher a, later higher b likewise |

The older half of n entries are the first n // 2. Where a text says nothing of the day or of the place's being new, it
counts as a weekday, and as neither new nor usual. S2's additive is a weight of 2 for a and 1 for b, times 3 for what is
mentioned first: 3 > 2, and 6 > 1.

Noise is the same for all: p(answer | rule, item) = 1 - noise for the rule's answer, and noise spread evenly over the
other possible answers of that item: the other levels (S3), the labels of the other mentioned aspects (S2), the other
option (S1).

The population is uneven, so that a typical person exists: p(rule) = p(family) p(a) p(b | not a) p(detail), p(detail)
even; for S2's contrarian, where a and b may change places, the sum of both orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, permutations, product
from typing import NamedTuple

import numpy as np

from tagpr.data.simulated.grammar import Facts
from tagpr.data.simulated.lexicon import ASPECTS, CHOICES, SCORE_LABELS

LOGIC_TASKS = ("S1", "S2", "S3")
FAMILY_PRIOR: dict[str, float] = {
    "lexicographic": 0.20,
    "veto": 0.15,
    "additive": 0.14,
    "threshold": 0.13,
    "context_switch": 0.12,
    "contrarian": 0.10,
    "novelty": 0.09,
    "drifter": 0.07,
}
FAMILIES = tuple(FAMILY_PRIOR)
# In the order of the lexicon's aspects: mood, place, theme; food, staff, room.
ASPECT_PRIOR = (0.46, 0.31, 0.23)
WEEKEND, NEW, USUAL = "weekend", "new", "usual"
NOT_MENTIONED = 9
UNREMARKABLE = 3
FIRST_COUNTS = 3  # times, in S2's additive family


class Rule(NamedTuple):
    """One person's rule for one task; `detail` as in the table above, () where a family has none."""

    family: str
    a: str
    b: str  # "" where the family looks at one aspect alone
    detail: tuple[int | str, ...]

    def as_json(self) -> dict[str, str | list[int | str]]:
        return {"family": self.family, "a": self.a, "b": self.b, "detail": list(self.detail)}

    def looks_at(self, task: str) -> tuple[str, ...]:
        """Every attribute that may change the rule's answer; `number` stands for how many decoys a text names."""
        extra = {"context_switch": ("day",), "novelty": ("visit",), "threshold": ("number",) if task == "S2" else ()}
        return (self.a, *((self.b,) if self.b else ()), *extra.get(self.family, ()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """N items of one task as arrays; O options per item, three aspects in the lexicon's order."""

    task: str
    values: np.ndarray  # (N, O, 3) int: level 1..5 (S1, S3); place of the label in its aspect's list 0..4, -1 left out
    rank: np.ndarray  # (N, 3) int: place in the order of mention of the first option; NOT_MENTIONED where left out
    weekend: np.ndarray  # (N,) bool
    visit: np.ndarray  # (N, O) int: 1 new, -1 usual, 0 not said
    num_decoys: np.ndarray  # (N,) int, of the first option
    older: np.ndarray  # (N,) bool: from the older half of a profile


# --- the rule space --------------------------------------------------------------------------------------------------

_DETAILS: dict[str, dict[str, tuple[tuple[int | str, ...], ...]]] = {
    "S1": {
        "veto": ((1,), (2,)),
        "threshold": tuple(product((3, 4), CHOICES)),
        "novelty": ((1,), (2,)),
    },
    "S2": {"threshold": ((2,), (3,))},  # veto: a label of a, below
    "S3": {
        "veto": ((1,), (2,)),
        "threshold": tuple(product((3, 4), (-1, 0, 1))),
        "novelty": ((1,), (2,)),
    },
}
_ALONE: dict[str, tuple[str, ...]] = {  # families that look at a alone
    "S1": ("threshold", "novelty", "contrarian"),
    "S2": (),
    "S3": ("threshold", "novelty", "contrarian"),
}


def _family_rules(task: str, family: str) -> list[Rule]:
    aspects = tuple(ASPECTS[task])
    if family in _ALONE[task]:
        pairs = [(a, "") for a in aspects]
    elif task == "S2" and family == "contrarian":
        pairs = list(combinations(aspects, 2))
    else:
        pairs = list(permutations(aspects, 2))
    rules = []
    for a, b in pairs:
        details = _DETAILS[task].get(family, ((),))
        if task == "S2" and family == "veto":
            details = tuple((label,) for label in ASPECTS[task][a])
        rules += [Rule(family, a, b, detail) for detail in details]
    return rules


RULES: dict[str, tuple[Rule, ...]] = {
    task: tuple(rule for family in FAMILIES for rule in _family_rules(task, family)) for task in LOGIC_TASKS
}


@lru_cache
def rule_prior(task: str, families: tuple[str, ...]) -> np.ndarray:
    """(R,) chance of each rule of RULES[task] in a population of these families; 0 for the others."""
    aspects = list(ASPECTS[task])
    chance = dict(zip(aspects, ASPECT_PRIOR, strict=True))
    weights = np.zeros(len(RULES[task]))
    for family in families:
        inside = [index for index, rule in enumerate(RULES[task]) if rule.family == family]
        own = np.array([_aspects_weight(RULES[task][index], task, chance) for index in inside])
        weights[inside] = FAMILY_PRIOR[family] * own / own.sum()
    return weights / weights.sum()


def _aspects_weight(rule: Rule, task: str, chance: Mapping[str, float]) -> float:
    a, b = chance[rule.a], chance.get(rule.b, 0.0)
    if not rule.b:
        return a
    in_order = a * b / (1 - a)
    return in_order + b * a / (1 - b) if task == "S2" and rule.family == "contrarian" else in_order


def typical_rule(task: str, families: Sequence[str]) -> Rule:
    """The likeliest rule of the population; of equals the first."""
    return RULES[task][int(rule_prior(task, tuple(families)).argmax())]


# --- items as arrays -------------------------------------------------------------------------------------------------


def encode(task: str, facts: Sequence[Facts], older: Sequence[bool]) -> Columns:
    """Items as arrays. Raises ValueError for one whose text does not say what the task's rules need."""
    aspects = tuple(ASPECTS[task])
    places = {a: {label: place for place, label in enumerate(ASPECTS[task][a])} for a in aspects}
    offset = 0 if task == "S2" else 1
    num_options = 2 if task == "S1" else 1
    values = np.full((len(facts), num_options, 3), -1)
    rank = np.full((len(facts), 3), NOT_MENTIONED)
    visit = np.zeros((len(facts), num_options), dtype=int)
    for row, found in enumerate(facts):
        if any(len(option) < (2 if task == "S2" else 3) for option in found.aspects):
            raise ValueError(f"an item of {task} says only {found.aspects}, expected {' and '.join(aspects)}")
        for option, said in enumerate(found.aspects):
            for place, (aspect, label) in enumerate(said.items()):
                values[row, option, aspects.index(aspect)] = places[aspect][label] + offset
                if option == 0:
                    rank[row, aspects.index(aspect)] = place
        for option, said in enumerate(found.decoys):
            visit[row, option] = {NEW: 1, USUAL: -1}.get(said.get("visit", ""), 0)
    return Columns(
        task=task,
        values=values,
        rank=rank,
        weekend=np.array([found.decoys[0].get("day") == WEEKEND for found in facts], dtype=bool),
        visit=visit,
        num_decoys=np.array([len(found.decoys[0]) for found in facts], dtype=int),
        older=np.array(older, dtype=bool),
    )


# --- what rules say --------------------------------------------------------------------------------------------------


def answers(columns: Columns, rules: Sequence[int] | None = None) -> np.ndarray:
    """(N, R) the answer of each rule of RULES[task], or of those numbered, to each item, as a code.

    S1: 1 or 2; S2: the aspect whose label it is, 0 to 2; S3: the level, 1 to 5.
    """
    says = {"S1": _choice, "S2": _tag, "S3": _score}[columns.task]
    chosen = RULES[columns.task] if rules is None else [RULES[columns.task][index] for index in rules]
    return np.stack([says(rule, columns) for rule in chosen], axis=1).astype(np.int8)


def write_answer(task: str, code: int, facts: Facts) -> str:
    """A code as people write it: `[1]`, a label, `4`."""
    if task == "S1":
        return CHOICES[code - 1]
    if task == "S3":
        return SCORE_LABELS[code - 1]
    return facts.aspects[0][tuple(ASPECTS[task])[code]]


def read_answer(task: str, answer: str, facts: Facts) -> int:
    """The code of a written answer to an item; -1 where it is none of the item's possible answers."""
    if task == "S1":
        return CHOICES.index(answer) + 1 if answer in CHOICES else -1
    if task == "S3":
        return SCORE_LABELS.index(answer) + 1 if answer in SCORE_LABELS else -1
    own = [aspect for aspect, label in facts.aspects[0].items() if label == answer]
    return tuple(ASPECTS[task]).index(own[0]) if own else -1


def possible_codes(task: str, facts: Facts) -> tuple[int, ...]:
    """The codes that an answer to this item may have."""
    if task == "S2":
        return tuple(place for place, aspect in enumerate(ASPECTS[task]) if aspect in facts.aspects[0])
    return (1, 2) if task == "S1" else (1, 2, 3, 4, 5)


def _indices(rule: Rule, task: str) -> tuple[int, int]:
    aspects = tuple(ASPECTS[task])
    a = aspects.index(rule.a)
    return a, aspects.index(rule.b) if rule.b else a


def _score(rule: Rule, c: Columns) -> np.ndarray:
    a, b = (c.values[:, 0, index] for index in _indices(rule, c.task))
    match rule.family:
        case "additive":
            return (2 * (2 * a + b) + 3) // 6  # (2a + b) / 3 is never halfway
        case "lexicographic":
            return np.where(a == UNREMARKABLE, b, a)
        case "veto":
            return np.where(b <= rule.detail[0], 1, a)
        case "threshold":
            cut, bias = (int(part) for part in rule.detail)
            return np.where(a >= cut, 4, 2) + bias
        case "context_switch":
            return np.where(c.weekend, b, a)
        case "novelty":
            return np.clip(a + int(rule.detail[0]) * c.visit[:, 0], 1, 5)
        case "contrarian":
            return 6 - a
        case "drifter":
            return np.where(c.older, a, b)
    raise AssertionError(rule)


def _tag(rule: Rule, c: Columns) -> np.ndarray:
    a, b = _indices(rule, c.task)
    match rule.family:
        case "additive":
            counts = np.where(c.rank == 0, FIRST_COUNTS, 1)
            takes_b = counts[:, b] > 2 * counts[:, a]
        case "lexicographic":
            takes_b = np.zeros(len(c.rank), dtype=bool)
        case "veto":
            takes_b = c.values[:, 0, a] == tuple(ASPECTS[c.task][rule.a]).index(str(rule.detail[0]))
        case "threshold":
            takes_b = c.num_decoys > rule.detail[0]
        case "context_switch":
            takes_b = c.weekend
        case "novelty":
            takes_b = c.visit[:, 0] < 0
        case "contrarian":
            takes_b = c.rank[:, b] > c.rank[:, a]
        case "drifter":
            takes_b = ~c.older
        case _:
            raise AssertionError(rule)
    has_a, has_b = (c.rank[:, index] != NOT_MENTIONED for index in (a, b))
    return np.where((takes_b & has_b) | ~has_a, b, a)


def _choice(rule: Rule, c: Columns) -> np.ndarray:
    a, b = (c.values[:, :, index] for index in _indices(rule, c.task))
    by_a, by_b = a[:, 0] - a[:, 1], b[:, 0] - b[:, 1]  # never 0
    match rule.family:
        case "additive":
            lead = 2 * by_a + by_b
        case "lexicographic":
            lead = np.where(np.abs(by_a) >= 2, by_a, by_b)
        case "veto":
            out = b <= rule.detail[0]
            lead = out[:, 1].astype(int) - out[:, 0].astype(int)
        case "threshold":
            cut, first = rule.detail
            tried = CHOICES.index(str(first))
            return np.where(a[:, tried] >= cut, tried + 1, 2 - tried)
        case "context_switch":
            lead = np.where(c.weekend, by_b, by_a)
        case "novelty":
            lead = by_a + int(rule.detail[0]) * (c.visit[:, 0] - c.visit[:, 1])
        case "contrarian":
            lead = -by_a
        case "drifter":
            lead = np.where(c.older, by_a, by_b)
        case _:
            raise AssertionError(rule)
    return np.where(np.where(lead == 0, by_a, lead) > 0, 1, 2)
