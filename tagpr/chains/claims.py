"""What chains about the simulated world claim, and whether the world bears it out.

The only module that reads the world's wording back; a world that says more is read by another one with the same
functions. A policy's chain, a teacher's and the reference chain are read alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagpr.chains.tags import Span, cited_entries, split_at_citations
from tagpr.data.simulated.clauses import CLAUSE_OF_TEXT, COMMA, Clause, clause_code, read_rule
from tagpr.data.simulated.evidence import is_whole, line_is_true, query_is_true, read_entry
from tagpr.data.simulated.grammar import read_facts, read_keywords, split_words
from tagpr.data.simulated.lexicon import ASPECTS, TAG_LABELS
from tagpr.data.simulated.logic import LOGIC_TASKS, RULES, answers, encode, write_answer
from tagpr.data.simulated.reasoning import PATTERN, QUERY, SO, USER, VARY, read_manner, rule_of
from tagpr.data.simulated.style import STYLE_TASKS, read_style, write_style
from tagpr.types import ProfileEntry

EVIDENCE_TAGS = ("examine_examples", "identify_patterns", "infer_preference")  # whose citations count as evidence
RULE_TAG, APPLIED_TAG = "infer_preference", "apply_preference"

_GROUPS = re.compile(r"((?:<[0-9]{1,4}>\s*)+)([^<]*)")
_LEVELS = re.compile(rf"\b({'|'.join(ASPECTS['S3'])}) ([a-z]+) ([1-5])\b")
_TAGS = re.compile(rf"\b({'|'.join(TAG_LABELS)}) ([a-z]+) ({'|'.join(ASPECTS['S2'])})\b")
_OTHERS = re.compile(rf"\b(after|before) ({'|'.join(ASPECTS['S2'])}) ({'|'.join(TAG_LABELS)})\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What a chain says. Filled by `read_claims`."""

    rule: Mapping[str, Any] | None  # as `Record.truth` keeps the rule or the style; None: no whole rule stated
    cited: tuple[int, ...]  # numbers of the entries that serve as evidence, each once
    applied: str | None  # the answer that the chain comes to; None: none stated


def knows(task: str) -> bool:
    """Whether this reader reads chains about the task."""
    return task in LOGIC_TASKS or task in STYLE_TASKS


def read_claims(task: str, spans: Sequence[Span]) -> Claims:
    """Rule and answer of the last spans that state them, and every entry cited on the way to the rule."""
    rules = [rule for span in spans if span.tag == RULE_TAG and (rule := _read_rule(task, span.text)) is not None]
    applied = [said for span in spans if span.tag == APPLIED_TAG and (said := _after(SO, span.text))]
    evidence = (number for span in spans if span.tag in EVIDENCE_TAGS for number in cited_entries(span.text))
    return Claims(
        rule=rules[-1] if rules else None,
        cited=tuple(dict.fromkeys(evidence)),
        applied=applied[-1] if applied else None,
    )


def true_rule(truth: Mapping[str, Any]) -> Mapping[str, Any]:
    """The person's rule or style in the form of `Claims.rule`."""
    return truth["rule"] if "rule" in truth else truth["style"]


def examined_truly(task: str, text: str, shown: Sequence[ProfileEntry]) -> bool:
    """Whether every entry that the span cites exists and all that is said of it is so (`evidence.line_is_true`; in S4,
    S5, S7 the entry's own text, ending included)."""
    said = split_at_citations(text)
    return bool(said) and all(
        1 <= number <= len(shown) and _entry_is_so(task, beside, number, shown) for number, beside in said
    )


def pattern_holds(task: str, text: str, shown: Sequence[ProfileEntry]) -> bool:
    """Whether the span's regularity holds in all entries that it cites, two at least, or one where one is shown.

    S1, S2, S3: each group of citations with its clause. S4, S5, S7: every part that the span names. `vary`: no aspect
    (no part's value) explains all of the cited entries.
    """
    cited = cited_entries(text)
    if len(cited) < max(1, min(2, len(shown))) or not all(1 <= number <= len(shown) for number in cited):
        return False
    if VARY in text.split():
        return len(cited) >= 2 and not set.intersection(*(_values(task, number, shown) for number in cited))
    if task in STYLE_TASKS:
        manner = read_manner(task, _GROUPS.sub(r"\2", _after(PATTERN, text) or text))
        if manner is None:
            return False
        return all(_own_style(task, shown[number - 1]) == manner for number in cited)
    said_first = (_after(PATTERN, text) or text).lstrip()
    return said_first.startswith("<") and all(
        (clause := CLAUSE_OF_TEXT[task].get(" ".join(said.split()))) is not None
        and all(_shows(task, clause, number, shown) for number in cited_entries(numbers))
        for numbers, said in _GROUPS.findall(text)
    )


def query_read_truly(task: str, text: str, query: str) -> bool:
    """Whether all that the span says of the question is so; S4, S5, S7: it holds words of the question alone."""
    said = _after(QUERY, text) or text
    if task in STYLE_TASKS:
        return bool(said.split()) and set(split_words(said)) <= set(split_words(query))
    return query_is_true(task, said, query)


def preference_is_true(task: str, text: str, truth: Mapping[str, Any]) -> bool:
    """Whether the span names the person's own rule, with all its parts."""
    return _read_rule(task, text) == true_rule(truth)


def application_follows(task: str, rule: Mapping[str, Any] | None, applied: str | None, query: str) -> bool:
    """Whether the applied value is what the stated rule says of the question, be the rule the person's or not."""
    if rule is None or applied is None:
        return False
    if task in STYLE_TASKS:
        return split_words(applied) == split_words(write_style(task, rule, read_keywords(query)))
    facts = read_facts(task, query)
    if not is_whole(task, facts):
        return False
    codes = answers(encode(task, [facts], [False]), [RULES[task].index(rule_of(rule))])
    return applied == write_answer(task, int(codes[0, 0]), facts)


def reword(text: str) -> str:
    """The same said in another order: `food soggy 2` becomes `food 2 soggy`, `seaside pier place` `seaside place
    pier`, `after mood cosy` `after cosy mood`; groups of citations change places, each with what is said of it, and so
    do the clauses of a rule."""
    cue, _, said = text.partition(f"{PATTERN} ")
    groups = [match[0].strip() for match in _GROUPS.finditer(said)]
    if len(groups) > 1:
        return f"{cue}{PATTERN} {' '.join(reversed(groups))}"
    cue, mark, said = text.partition(f"{USER} ")
    if mark:
        return f"{cue}{mark}{COMMA.join(reversed(said.split(COMMA)))}"
    text = _TAGS.sub(r"\1 \3 \2", text)
    text = _OTHERS.sub(r"\1 \3 \2", text)
    return _LEVELS.sub(r"\1 \3 \2", text)


def _after(cue: str, text: str) -> str | None:
    """What stands behind a cue, the mark between them left to taste; None where there is no cue or nothing."""
    match = re.match(rf"\s*{cue.split()[0]}\s*:?\s+(.*)", text, re.DOTALL)
    return (match[1].strip() or None) if match else None


def _read_rule(task: str, text: str) -> Mapping[str, Any] | None:
    said = " ".join((_after(USER, text) or text).split())
    if task in STYLE_TASKS:
        return read_manner(task, said)
    rule = read_rule(task, said)
    return None if rule is None else rule.as_json()


def _is_older(number: int, shown: Sequence[ProfileEntry]) -> bool:
    return number <= len(shown) // 2


def _entry_is_so(task: str, said: str, number: int, shown: Sequence[ProfileEntry]) -> bool:
    entry = shown[number - 1]
    if task in STYLE_TASKS:
        return split_words(said) == split_words(entry.response)
    return line_is_true(task, said, entry, older=_is_older(number, shown))


def _shows(task: str, clause: Clause, number: int, shown: Sequence[ProfileEntry]) -> bool:
    reading = read_entry(task, number, shown[number - 1], older=_is_older(number, shown))
    return reading is not None and clause_code(task, clause, reading.facts, older=reading.older) == reading.code


def _own_style(task: str, entry: ProfileEntry) -> Mapping[str, int] | None:
    return read_style(task, entry.response)


def _values(task: str, number: int, shown: Sequence[ProfileEntry]) -> set[Any]:
    """Aspects that explain an entry's answer, or the values of its parts."""
    if task in STYLE_TASKS:
        return set((_own_style(task, shown[number - 1]) or {}).items())
    return {aspect for aspect in ASPECTS[task] if _shows(task, Clause((aspect,)), number, shown)}
