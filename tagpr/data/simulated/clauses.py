"""Rules in words: every rule of logic.py as one or two clauses that say what decides, and when.

A clause is a value and a condition, `room if food 3`. Rules of all families are made of the same few words, so that a
chain can state what it saw before it says what kind of person this is. The clauses of a rule are written in order, a
later one that applies overrides an earlier one; in S2 an aspect that the text leaves out decides nothing.

| family | S1 | S2 | S3 |
|---|---|---|---|
| additive | food toward room | mood , place if place first | food toward room |
| lexicographic | food , room if food close | mood , place if no mood | food , room if food 3 |
| veto | food , never room below 3 | mood , place if mood cosy | food , 1 if room below 3 |
| threshold | [1] if [1] food above 2 , [2] if [1] food below 3 | mood , place if things above 2 | 4 if food above 2 , 2 if food below 3 |
| context_switch | food if weekday , room if weekend | the same | the same |
| novelty | food up 1 new | mood , place if usual | food up 1 new |
| contrarian | food flip | later mood place | food flip |
| drifter | food if older , room if newer | the same | the same |
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from tagpr.data.simulated.grammar import Facts
from tagpr.data.simulated.lexicon import ASPECTS, CHOICES
from tagpr.data.simulated.logic import LOGIC_TASKS, NEW, RULES, UNREMARKABLE, USUAL, WEEKEND, Rule

IF, COMMA = " if ", " , "
WEEKDAY, OLDER, NEWER = "weekday", "older", "newer"
# Words of clauses that no lexicon table holds.
CLAUSE_WORDS = (
    *("if", ",", "toward", "flip", "up", "never", "later", "no", "first", "close", "above", "below", "things"),
    *(WEEKDAY, WEEKEND, NEW, USUAL, OLDER, NEWER),
)
CLOSE = 2  # levels that two options differ by, at least, to be told apart by a lexicographic person


class Clause(NamedTuple):
    """What decides, and when: the words in front of and behind `if`."""

    value: tuple[str, ...]
    condition: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return " ".join(self.value) + (IF + " ".join(self.condition) if self.condition else "")


@lru_cache(maxsize=1024)
def clauses_of(task: str, rule: Rule) -> tuple[Clause, ...]:
    """The rule's clauses, in the order in which they are written."""
    a, b = rule.a, rule.b
    detail = [int(part) for part in rule.detail if isinstance(part, int)]
    match rule.family:
        case "additive":
            return (Clause((a,)), Clause((b,), (b, "first"))) if task == "S2" else (Clause((a, "toward", b)),)
        case "lexicographic":
            passed = {"S1": (a, "close"), "S2": ("no", a), "S3": (a, str(UNREMARKABLE))}[task]
            return Clause((a,)), Clause((b,), passed)
        case "veto":
            if task == "S2":
                return Clause((a,)), Clause((b,), (a, str(rule.detail[0])))
            limit = (b, "below", str(detail[0] + 1))
            return Clause((a,)), Clause(("never", *limit)) if task == "S1" else Clause(("1",), limit)
        case "threshold":
            if task == "S2":
                return Clause((a,)), Clause((b,), ("things", "above", str(detail[0])))
            high, low = (a, "above", str(detail[0] - 1)), (a, "below", str(detail[0]))
            if task == "S3":
                return Clause((str(4 + detail[1]),), high), Clause((str(2 + detail[1]),), low)
            tried = str(rule.detail[1])
            other = next(choice for choice in CHOICES if choice != tried)
            return Clause((tried,), (tried, *high)), Clause((other,), (tried, *low))
        case "context_switch":
            return Clause((a,), (WEEKDAY,)), Clause((b,), (WEEKEND,))
        case "novelty":
            return (Clause((a,)), Clause((b,), (USUAL,))) if task == "S2" else (Clause((a, "up", str(detail[0]), NEW)),)
        case "contrarian":
            return (Clause(("later", a, b)),) if task == "S2" else (Clause((a, "flip")),)
        case "drifter":
            return Clause((a,), (OLDER,)), Clause((b,), (NEWER,))
    raise AssertionError(rule)


@lru_cache(maxsize=1024)
def rule_text(task: str, rule: Rule) -> str:
    return COMMA.join(clause.text for clause in clauses_of(task, rule))


_RULE_OF_CLAUSES: Mapping[str, Mapping[frozenset[str], Rule]] = {
    task: {frozenset(clause.text for clause in clauses_of(task, rule)): rule for rule in RULES[task]}
    for task in LOGIC_TASKS
}
CLAUSE_OF_TEXT: Mapping[str, Mapping[str, Clause]] = {
    task: {clause.text: clause for rule in RULES[task] for clause in clauses_of(task, rule)} for task in LOGIC_TASKS
}


def read_rule(task: str, text: str) -> Rule | None:
    """The rule that these clauses make, in whatever order they stand; None where they make none."""
    said = [" ".join(clause.split()) for clause in text.split(COMMA.strip())]
    return _RULE_OF_CLAUSES[task].get(frozenset(said)) if len(set(said)) == len(said) else None


def deciding_clause(task: str, rule: Rule, facts: Facts, *, older: bool) -> tuple[Clause | None, int]:
    """The clause of the rule that decides an item and the code it gives.

    (None, -1) where none does: an S2 text that leaves out what should decide.
    """
    for clause in reversed(clauses_of(task, rule)):
        code = clause_code(task, clause, facts, older=older)
        if code is not None:
            return clause, code
    return None, -1


def clause_code(task: str, clause: Clause, facts: Facts, *, older: bool) -> int | None:
    """The answer code (as in logic.py) that a clause gives for an item; None where it does not apply."""
    if not _holds(clause.condition, facts, older=older):
        return None
    return {"S1": _choice, "S2": _tag, "S3": _score}[task](clause.value, facts)


def _holds(condition: tuple[str, ...], facts: Facts, *, older: bool) -> bool:
    said = facts.aspects[0]
    match condition:
        case ():
            return True
        case (day,) if day in (WEEKDAY, WEEKEND):
            return (facts.decoys[0].get("day") == WEEKEND) == (day == WEEKEND)
        case (half,) if half in (OLDER, NEWER):
            return older == (half == OLDER)
        case (visit,):
            return facts.decoys[0].get("visit") == visit
        case ("no", aspect):
            return aspect not in said
        case (aspect, "first"):
            return next(iter(said)) == aspect
        case (aspect, "close"):
            return abs(_lead(aspect, facts)) < CLOSE
        case ("things", "above", number):
            return len(facts.decoys[0]) > int(number)
        case (option, aspect, side, number):
            return _is_beyond(facts.aspects[CHOICES.index(option)][aspect], side, number)
        case (aspect, side, number):
            return _is_beyond(said[aspect], side, number)
        case (aspect, label):
            return said.get(aspect) == label
    raise AssertionError(condition)


def _is_beyond(level: str, side: str, number: str) -> bool:
    return int(level) > int(number) if side == "above" else int(level) < int(number)


def _lead(aspect: str, facts: Facts) -> int:
    """By how many levels the first option is ahead of the second."""
    return int(facts.aspects[0][aspect]) - int(facts.aspects[1][aspect])


def _visit(facts: Facts, option: int) -> int:
    return {NEW: 1, USUAL: -1}.get(facts.decoys[option].get("visit", ""), 0)


def _tag(value: tuple[str, ...], facts: Facts) -> int | None:
    mentioned = [aspect for aspect in facts.aspects[0] if aspect in value]
    return tuple(ASPECTS["S2"]).index(mentioned[-1]) if mentioned else None


def _score(value: tuple[str, ...], facts: Facts) -> int:
    if len(value) == 1 and value[0].isdigit():
        return int(value[0])
    level = int(facts.aspects[0][value[0]])
    match value[1:]:
        case ("flip",):
            return 6 - level
        case ("toward", other):
            return round((2 * level + int(facts.aspects[0][other])) / 3)  # never halfway
        case ("up", step, _):
            return min(5, max(1, level + int(step) * _visit(facts, 0)))
    return level


def _choice(value: tuple[str, ...], facts: Facts) -> int | None:
    match value:
        case (option,) if option in CHOICES:
            return CHOICES.index(option) + 1
        case ("never", aspect, "below", number):
            out = [int(levels[aspect]) < int(number) for levels in facts.aspects]
            return None if out[0] == out[1] else 1 + out[0]
        case (aspect, "flip"):
            lead = -_lead(aspect, facts)
        case (aspect, "toward", other):
            lead = 2 * _lead(aspect, facts) + _lead(other, facts)
        case (aspect, "up", step, _):
            lead = _lead(aspect, facts) + int(step) * (_visit(facts, 0) - _visit(facts, 1))
        case (aspect,):
            lead = _lead(aspect, facts)
        case _:
            raise AssertionError(value)
    return 1 if (lead or _lead(value[0], facts)) > 0 else 2
