"""What a chain quotes of an entry before it decides anything: one line per entry, the same for people of all families.

- S1 `<2> [1] food 4 1 same food 2 staff 2 3 flip staff 1 room 5 4 same room 1 weekday`: the choice; per attribute the
  two levels and whether the higher one was chosen.
- S2 `<2> seaside mood snug cosy place pier seaside same place 1 same later 1 weekend`: the tag; what the text mentions
  in its order, which of it the tag is, and whether that is mentioned last.
- S3 `<2> 4 food soggy 2 flip food 1 staff rude 1 room bright 4 same room 1 weekday`: the score; per attribute word,
  level and how the score stands to it.

A small model cannot compare what it has not written, so each comparison that some rule needs is a word of the line
(`same`, `flip`: 6 - level, `up` and `down`: one or two levels off), found from the two or three words before it. Nor
can it count over a page: behind `same` and `flip` stands how often it has been so for this attribute, one more than
where it was said last, and a last line says where each count ended. Which rule explains the entry is not said, or the
line would have to be written backwards from the conclusion. Circumstances (day, new or usual, half of the profile,
number of small things) stand at the end, where a family of the population looks at them: without drifters nobody
writes `older`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tagpr.data.simulated.clauses import NEWER, OLDER, WEEKDAY, WEEKEND, deciding_clause
from tagpr.data.simulated.grammar import Facts, read_facts, read_meanings
from tagpr.data.simulated.lexicon import ASPECTS, CHOICES
from tagpr.data.simulated.logic import NEW, USUAL, Rule, read_answer, write_answer
from tagpr.markup import entry_marker
from tagpr.types import ProfileEntry

SAME, FLIP, UP, DOWN, LATER, THINGS, FIRST = "same", "flip", "up", "down", "later", "things", "first"
EVIDENCE_WORDS = (SAME, FLIP, UP, DOWN, LATER, THINGS, FIRST, OLDER, NEWER, WEEKDAY, WEEKEND, NEW, USUAL)
STEPS_OFF = 2  # levels that an `up` or `down` may be off

# What must be written so that people of a family can be told: columns of a line.
_LOOKS: dict[str, dict[str, tuple[str, ...]]] = {
    "additive": {"S2": ("others",), "S3": ("steps",)},
    "lexicographic": {"S2": ("others",)},
    "veto": {"S2": ("others",)},
    "threshold": {"S2": ("things",)},
    "context_switch": dict.fromkeys(("S1", "S2", "S3"), ("day",)),
    "novelty": {"S1": ("visit",), "S2": ("visit",), "S3": ("visit", "steps")},
    "contrarian": {"S2": ("others",), "S3": ("flip",)},
    "drifter": dict.fromkeys(("S1", "S2", "S3"), ("half",)),
}


_CIRCUMSTANCES = frozenset({"things", "day", "visit", "half"})
COUNTED = re.compile(rf"\b((?:{SAME}|{FLIP}) [a-z]+) ([0-9]+)\b")  # a mark and how often it was said so far

Counts = Counter[tuple[str, str]]  # how often a mark was said of an attribute, in the lines so far


class Reading(NamedTuple):
    """An entry as a reader took it in."""

    number: int
    text: str
    facts: Facts
    code: int  # of the answer, as in logic.py; another one than the person gave where it was misread
    older: bool


def columns_for(task: str, families: Sequence[str]) -> frozenset[str]:
    """What lines about a population of these families hold beside the answer and what it may come from."""
    return frozenset(column for family in families for column in _LOOKS[family].get(task, ()))


def is_whole(task: str, facts: Facts) -> bool:
    """Whether an item text says all that rules need; one that was cut may not."""
    wanted = 2 if task == "S2" else len(ASPECTS[task])
    return all(len(said) >= wanted for said in facts.aspects)


def read_entry(task: str, number: int, entry: ProfileEntry, *, older: bool) -> Reading | None:
    """The entry's facts and answer; None where the text is cut or the answer is none of the item's."""
    facts = read_facts(task, entry.input)
    code = read_answer(task, entry.response, facts) if is_whole(task, facts) else -1
    return None if code < 0 else Reading(number, entry.input, facts, code, older)


def evidence_lines(task: str, readings: Sequence[Reading], columns: frozenset[str]) -> tuple[list[str], str]:
    """A line per entry, and what its marks add up to; "" without entries."""
    counts: Counts = Counter()
    lines = [entry_line(task, reading, columns, counts) for reading in readings]
    marks = [(SAME, aspect) for aspect in ASPECTS[task]]
    if task == "S2":
        marks += [(SAME, LATER)] if "others" in columns else []
    elif task == "S1" or "flip" in columns:
        marks += [(FLIP, aspect) for aspect in ASPECTS[task]]
    return lines, " ".join(f"{mark} {name} {counts[mark, name]}" for mark, name in marks) if readings else ""


def entry_line(task: str, reading: Reading, columns: frozenset[str], counts: Counts) -> str:
    """An entry's line; its marks are added to `counts`."""
    answer = write_answer(task, reading.code, reading.facts)
    said = _answer_words(task, reading, columns, counts)
    return " ".join([entry_marker(reading.number), answer, *said, *_circumstances(task, reading, columns)])


def query_line(task: str, text: str, rule: Rule) -> str:
    """What the rule touches in the question, so that what decides stands last: circumstances that its family looks at,
    the aspect of a condition, then the aspect whose value it is; a level that the rule turns round stands turned."""
    facts = read_facts(task, text)
    looks = frozenset(_LOOKS[rule.family].get(task, ())) & _CIRCUMSTANCES
    words = [*_circumstances(task, Reading(0, text, facts, 0, False), looks)]
    for aspect in _touched(task, rule, facts):
        words.append(_query_words(task, text, aspect))
        if task == "S2" and rule.family == "additive" and next(iter(facts.aspects[0])) == aspect:
            words.append(FIRST)
        elif task != "S2" and rule.family == "contrarian":
            words.append(_turned_words(task, facts, aspect))
    return " ".join(words)


def line_is_true(task: str, said: str, entry: ProfileEntry, *, older: bool) -> bool:
    """Whether a line, without its number, says of an entry what is so, and something at all. Running counts belong to
    the chain, not to the entry, and are not judged."""
    answer, _, rest = COUNTED.sub(r"\1", " ".join(said.split())).partition(" ")
    reading = read_entry(task, 0, entry, older=older)
    if reading is None or answer != entry.response:
        return False
    return _is_made_of(rest, [*_true_phrases(task, reading), *_circumstances(task, reading, _everything(task))])


def query_is_true(task: str, said: str, text: str) -> bool:
    """Whether what is said of a question is so, and something at all; whatever rule it is said for."""
    facts = read_facts(task, text)
    if not is_whole(task, facts):
        return False
    aspects = list(facts.aspects[0])
    true = [_query_words(task, text, aspect) for aspect in aspects]
    if task == "S2":
        true.append(f"{true[0]} {FIRST}")
    else:
        true += [f"{words} {_turned_words(task, facts, aspect)}" for words, aspect in zip(true, aspects, strict=True)]
    reading = Reading(0, text, facts, 0, False)
    return _is_made_of(" ".join(said.split()), [*true, *_circumstances(task, reading, _everything(task))])


# --- the parts of a line ---------------------------------------------------------------------------------------------


def _answer_words(task: str, reading: Reading, columns: frozenset[str], counts: Counts) -> Iterator[str]:
    """What the answer may come from, in the order of the line; each mark with how often it was said so far."""
    for said, marks in _WORDS[task](reading, columns):
        yield said
        for mark, name in marks:
            counts[mark, name] += 1
            yield f"{mark} {name} {counts[mark, name]}" if mark in (SAME, FLIP) else f"{mark} {name}"


Marks = tuple[tuple[str, str], ...]  # (mark, what it is said of)


def _choice_words(reading: Reading, _: frozenset[str]) -> Iterator[tuple[str, Marks]]:
    first, second = reading.facts.aspects
    for aspect in ASPECTS["S1"]:
        is_same = (int(first[aspect]) > int(second[aspect])) == (reading.code == 1)
        yield f"{aspect} {first[aspect]} {second[aspect]}", ((SAME if is_same else FLIP, aspect),)


def _tag_words(reading: Reading, columns: frozenset[str]) -> Iterator[tuple[str, Marks]]:
    meanings = read_meanings("S2", reading.text)
    decides = tuple(ASPECTS["S2"])[reading.code]
    last = list(meanings)[-1]
    for aspect, (word, label) in meanings.items():
        if aspect == decides:
            is_later = aspect == last and "others" in columns
            yield f"{aspect} {word} {label}", ((SAME, aspect), (SAME, LATER)) if is_later else ((SAME, aspect),)
        elif "others" in columns:
            yield f"{aspect} {word} {label}", ()


def _score_words(reading: Reading, columns: frozenset[str]) -> Iterator[tuple[str, Marks]]:
    meanings = read_meanings("S3", reading.text)
    for aspect in ASPECTS["S3"]:
        word, label = meanings[aspect]
        relation = _relation(reading.code, int(label), columns)
        yield f"{aspect} {word} {label}", ((relation, aspect),) if relation else ()


_WORDS = {"S1": _choice_words, "S2": _tag_words, "S3": _score_words}


def _relation(score: int, level: int, columns: frozenset[str]) -> str:
    if score == level:
        return SAME
    if "flip" in columns and score == 6 - level:
        return FLIP
    if "steps" in columns and abs(score - level) <= STEPS_OFF:
        return UP if score > level else DOWN
    return ""


def _query_words(task: str, text: str, aspect: str) -> str:
    if task != "S1":
        return f"{aspect} {' '.join(read_meanings(task, text)[aspect])}"
    one, other = (levels[aspect] for levels in read_facts(task, text).aspects)
    return f"{aspect} {one} {other} {CHOICES[int(other > one)]}"


def _touched(task: str, rule: Rule, facts: Facts) -> list[str]:
    """Aspects of the question that the rule looks at, the one that decides last."""
    clause, _ = deciding_clause(task, rule, facts, older=False)
    own = [aspect for aspect in (rule.a, rule.b) if aspect in facts.aspects[0]]
    if clause is None:
        return own[-1:]
    named = [word for word in (*clause.condition, *clause.value) if word in own]
    if task == "S2" and rule.family == "contrarian":
        named = [aspect for aspect in facts.aspects[0] if aspect in own]
    elif rule.family == "additive" and task == "S2":
        named = [*(aspect for aspect in own if aspect != named[-1]), named[-1]]
    elif rule.family == "veto" and task != "S2":
        named = [rule.b, *named]  # the limit is looked at in any case
    return list(dict.fromkeys(named))


def _turned_words(task: str, facts: Facts, aspect: str) -> str:
    if task == "S3":
        return f"{FLIP} {6 - int(facts.aspects[0][aspect])}"
    one, other = (int(levels[aspect]) for levels in facts.aspects)
    return f"{FLIP} {CHOICES[int(one > other)]}"


def _everything(task: str) -> frozenset[str]:
    return frozenset(column for looks in _LOOKS.values() for column in looks.get(task, ()))


def _is_made_of(said: str, phrases: Sequence[str]) -> bool:
    """Whether a text is some of the phrases in some order, the longest that fits being taken each time."""
    left = f"{said} "
    while left.strip():
        phrase = max((phrase for phrase in phrases if left.startswith(f"{phrase} ")), key=len, default="")
        if not phrase:
            return False
        left = left[len(phrase) + 1 :]
    return bool(said)


def _true_phrases(task: str, reading: Reading) -> Iterator[str]:
    """All that lines in any population may say of the entry's answer, counts left out."""
    columns = [_everything(task), frozenset[str]()]
    columns += [frozenset({"steps"})] if task == "S3" else []
    for looked_at in columns:
        for said, marks in _WORDS[task](reading, looked_at):
            for num in range(len(marks) + 1):  # a mark that is left out is no falsehood
                yield " ".join([said, *(f"{mark} {name}" for mark, name in marks[:num])])


def _circumstances(task: str, reading: Reading, columns: frozenset[str]) -> Iterator[str]:
    facts = reading.facts
    if "things" in columns:
        yield f"{THINGS} {len(facts.decoys[0])}"
    if "day" in columns:
        yield WEEKEND if facts.decoys[0].get("day") == WEEKEND else WEEKDAY
    if "visit" in columns and task == "S1":
        yield from (f"{CHOICES[i]} {said['visit']}" for i, said in enumerate(facts.decoys) if "visit" in said)
    elif "visit" in columns and "visit" in facts.decoys[0]:
        yield facts.decoys[0]["visit"]
    if "half" in columns:
        yield OLDER if reading.older else NEWER
