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
from tagpr.data.simulated.evidence import COUNTED, is_whole, line_is_true, query_is_true, read_entry
from tagpr.data.simulated.grammar import read_facts, split_words
from tagpr.data.simulated.lexicon import ASPECTS, TAG_LABELS
from tagpr.data.simulated.logic import LOGIC_TASKS
from tagpr.data.simulated.reasoning import CHAIN_CUES, VARY, read_manner
from tagpr.data.simulated.style import STYLE_TASKS, read_style
from tagpr.data.simulated.truth import preferred_answer, true_rule
from tagpr.types import ProfileEntry

EVIDENCE_TAGS = ("examine_examples", "identify_patterns", "infer_preference")  # whose citations count as evidence
RULE_TAG, APPLIED_TAG = "infer_preference", "apply_preference"

# How a step opens. With fewer tags than nine a span may hold several steps, of which one is the tag's own.
_CUE = re.compile(rf"\b({'|'.join(CHAIN_CUES)})\s*:")
_GROUPS = re.compile(r"((?:<[0-9]{1,4}>\s*)+)([^<]*)")
_CLAUSES = re.compile(r"([^<]+)((?:<[0-9]{1,4}>\s*)+)")  # what is said, and the entries that show it
_NUMBERS = re.compile(r"((?:<[0-9]{1,4}>\s*)+)")
_LEVELS = re.compile(rf"\b({'|'.join(ASPECTS['S3'])}) ([a-z]+) ([1-5])\b")
_TAGS = re.compile(rf"\b({'|'.join(ASPECTS['S2'])}) ([a-z]+) ({'|'.join(TAG_LABELS)})\b")


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
    applied = [said for span in spans if span.tag == APPLIED_TAG and (said := _behind("so", span.text))]
    evidence = (
        number
        for span in spans
        if span.tag in EVIDENCE_TAGS
        for cue, said in _steps(span.text)
        if cue != "but"  # what contradicts the rule is no evidence of it
        for number in cited_entries(said)
    )
    return Claims(
        rule=rules[-1] if rules else None,
        cited=tuple(dict.fromkeys(evidence)),
        applied=applied[-1] if applied else None,
    )


def examined_truly(task: str, text: str, shown: Sequence[ProfileEntry]) -> bool:
    """Whether every entry that the span cites exists and all that is said of it is so (`evidence.line_is_true`; in S4,
    S5, S7 the entry's own text, ending included)."""
    said = split_at_citations(_steps(text)[0][1])
    return bool(said) and all(
        1 <= number <= len(shown) and _entry_is_so(task, beside, number, shown) for number, beside in said
    )


def pattern_holds(task: str, text: str, shown: Sequence[ProfileEntry]) -> bool:
    """Whether the span's regularity holds in all entries that it cites, two at least, or one where one is shown.

    S1, S2, S3: each clause with the entries cited behind it. S4, S5, S7: every part that the span names. `vary`: no
    aspect (no part's value) explains all of the cited entries.
    """
    said = _own_step("pattern", text)
    cited = cited_entries(said)
    if len(cited) < max(1, min(2, len(shown))) or not all(1 <= number <= len(shown) for number in cited):
        return False
    if VARY in said.split():
        return len(cited) >= 2 and not set.intersection(*(_values(task, number, shown) for number in cited))
    if task in STYLE_TASKS:
        manner = read_manner(task, _GROUPS.sub(r"\2", said))
        if manner is None:
            return False
        return all(_own_style(task, shown[number - 1]) == manner for number in cited)
    groups = _CLAUSES.findall(said)
    return "".join(f"{decides}{numbers}" for decides, numbers in groups) == said and all(
        (clause := CLAUSE_OF_TEXT[task].get(" ".join(decides.split()))) is not None
        and all(_shows(task, clause, number, shown) for number in cited_entries(numbers))
        for decides, numbers in groups
    )


def query_read_truly(task: str, text: str, query: str) -> bool:
    """Whether all that the span says of the question is so; S4, S5, S7: it holds words of the question alone."""
    said = _own_step("query", text)
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
        return split_words(applied) == split_words(preferred_answer(task, rule, query))
    return is_whole(task, read_facts(task, query)) and applied == preferred_answer(task, rule, query)


def reword(text: str) -> str:
    """The same said in another order: `food soggy 2` becomes `food 2 soggy`, `place pier seaside` `place
    seaside pier`; citations change places, each with what is said of it, and so do the
    clauses of a rule; running counts go up again."""
    pieces = ["", "", *re.split(rf"({_CUE.pattern}\s*)", text)]  # mark, cue, said, mark, cue, said ...
    new = []
    for mark, cue, said in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
        own = said.rstrip()
        if cue == "user":
            turned = COMMA.join(reversed(own.split(COMMA)))
        elif cue == "pattern" and not own.startswith("<"):
            turned = _clauses_turned(own)
        else:
            turned = _turned(own)
        new += [mark, turned if cue in ("user", "pattern") else _reordered(turned), said[len(own) :]]
    return "".join(new)


def _reordered(text: str) -> str:
    text = _TAGS.sub(r"\1 \3 \2", text)
    text = _counted_anew(text)
    return _LEVELS.sub(r"\1 \3 \2", text)


def _counted_anew(text: str) -> str:
    """Running counts in the order in which they now stand: the numbers said of a mark, the smallest first."""
    numbers: dict[str, list[int]] = {}
    for said in COUNTED.finditer(text):
        numbers.setdefault(said[1], []).append(int(said[2]))
    left = {mark: iter(sorted(counts)) for mark, counts in numbers.items()}
    return COUNTED.sub(lambda said: f"{said[1]} {next(left[said[1]])}", text)


def _clauses_turned(text: str) -> str:
    """Clauses in reverse order, each with the entries that show it; the entries of a single one in reverse."""
    groups = _CLAUSES.findall(f"{text} ")
    if not groups or "".join(map("".join, groups)) != f"{text} ":
        return text
    if len(groups) == 1:
        ((said, numbers),) = groups
        return said + " ".join(reversed(numbers.split()))
    return " ".join(f"{said}{numbers}".strip() for said, numbers in reversed(groups))


def _turned(text: str) -> str:
    """Citations in reverse order, each group of them with what is said of it; `vary` is said of all and stays last.
    One group: its numbers in reverse. Where nothing is said of the last one all stay, or it would take what is said of
    another."""
    said, vary, behind = text.rpartition(f" {VARY}")
    if behind or not vary:
        said, vary = text, ""
    before, *rest = _NUMBERS.split(said)  # said, numbers, said ...
    groups = list(zip(rest[::2], rest[1::2], strict=True))
    if len(groups) == 1:
        ((numbers, of_them),) = groups
        gap = numbers[len(numbers.rstrip()) :]
        return f"{before}{' '.join(reversed(numbers.split()))}{gap}{of_them}{vary}"
    if not groups or not groups[-1][1].strip():
        return text
    return before + " ".join(f"{numbers}{of_them}".strip() for numbers, of_them in reversed(groups)) + vary


def _steps(text: str) -> list[tuple[str, str]]:
    """(cue, what is said behind it) of each step of a span; the cue of what stands before the first is ""."""
    before, *rest = _CUE.split(text)  # said, cue, said, cue, said ...
    return [("", before.strip()), *zip(rest[::2], (said.strip() for said in rest[1::2]), strict=True)]


def _behind(cue: str, text: str) -> str:
    """What the last step with this cue says, else what stands behind the cue without its mark; "" for neither."""
    first, *steps = _steps(text)
    said = dict(steps).get(cue)
    if said is None and first[1].split()[:1] == [cue]:
        return first[1].removeprefix(cue).strip()
    return said or ""


def _own_step(cue: str, text: str) -> str:
    """What a tag's span says behind the tag's cue; without one what it says before any."""
    return _behind(cue, text) or _steps(text)[0][1]


def _read_rule(task: str, text: str) -> Mapping[str, Any] | None:
    said = " ".join(_own_step("user", text).split())
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
