"""Chains of reasoning about simulated people, as steps without tags.

Evidence first: a line per cited entry (evidence.py), how often each attribute explained one, which clause of which rule
explains which entries; then the rule, then what it touches in the question, then the answer. Who decides what is cited
and inferred is somebody else: the scripted teacher, from what a prompt shows, or `reference_chain`, from the truth.

The trade-off: every step has one fixed form, since a model of a million parameters that is to learn a form in a few
hundred steps has none to spare for wording. What varies is what is cited, in which order texts mention things, and
which steps a chain has (`typical`, `but`). The texts that are read are the place for paraphrases, and have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from tagpr.data.simulated.clauses import CLAUSE_WORDS, clauses_of, deciding_clause, rule_text
from tagpr.data.simulated.evidence import EVIDENCE_WORDS, Reading, columns_for, evidence_lines, query_line, read_entry
from tagpr.data.simulated.grammar import read_facts, read_keywords, split_words
from tagpr.data.simulated.lexicon import CHOICES, SCORE_LABELS, TAG_LABELS
from tagpr.data.simulated.logic import LOGIC_TASKS, Rule, read_answer, write_answer
from tagpr.data.simulated.style import ENDINGS, STYLE_WORDS, read_style, style_parts, write_style
from tagpr.markup import entry_marker
from tagpr.types import ProfileEntry, Record

PATTERN, TYPICAL, USER, BUT, QUERY, SO, CHECK, COUNT = (
    f"{cue} :" for cue in ("pattern", "typical", "user", "but", "query", "so", "check", "count")
)
VARY = "vary"
CHAIN_CUES = ("pattern", "typical", "user", "but", "query", "so", "check", "count")
# Words of chains that stand in no item text, and words that may begin an answer.
CHAIN_WORDS = tuple(dict.fromkeys((*CHAIN_CUES, ":", VARY, *CLAUSE_WORDS, *EVIDENCE_WORDS)))
_FIRST_WORDS = tuple(word for words in STYLE_WORDS.values() for word in next(iter(words.values())))
ANSWER_STARTS = tuple(dict.fromkeys((*CHOICES, *TAG_LABELS, *SCORE_LABELS, *_FIRST_WORDS)))
SUPPORT = 2  # entries that a clause's regularity is shown by

Style = Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """Steps and the answer they come to."""

    steps: tuple[str, ...]
    answer: str


# --- S1, S2, S3 ------------------------------------------------------------------------------------------------------


def logic_chain(
    task: str,
    readings: Sequence[Reading],
    query: str,
    *,
    rule: Rule | None,
    stated: Rule,
    answer_code: int,
    families: Sequence[str],
) -> Chain:
    """The chain of a reader of `readings`.

    Args:
        rule: what the entries are said to show; None: they vary, and `stated` is the typical person's.
        stated: the rule that the chain states and looks at the question with.
        answer_code: of the answer given.
        families: of the population; what they look at is in the evidence.
    """
    columns = columns_for(task, families)
    steps, counted = evidence_lines(task, readings, columns)
    pattern = f"{COUNT} {counted} {PATTERN}" if counted else PATTERN
    if rule is None:
        if readings:
            said = " ".join(
                f"{entry_marker(r.number)} {write_answer(task, r.code, r.facts)}" for r in readings[:SUPPORT]
            )
            steps.append(f"{pattern} {said} {VARY}")
        steps.append(f"{TYPICAL} {rule_text(task, stated)}")
    else:
        steps.append(f"{pattern} {_pattern(task, readings, rule)}")
    steps.append(f"{USER} {rule_text(task, stated)}")
    if rule is not None:
        steps += [
            f"{BUT} {entry_marker(odd.number)} {write_answer(task, odd.code, odd.facts)}"
            for odd in readings
            if _code(task, stated, odd) not in (odd.code, -1)
        ][:1]
    answer = write_answer(task, answer_code, read_facts(task, query))
    return Chain(steps=(*steps, f"{QUERY} {query_line(task, query, stated)}", f"{SO} {answer}"), answer=answer)


def supporting(task: str, readings: Sequence[Reading], rule: Rule) -> dict[str, list[int]]:
    """Numbers of the entries that each clause of the rule explains, by the clause's text; clauses in order."""
    found: dict[str, list[int]] = {clause.text: [] for clause in clauses_of(task, rule)}
    for reading in readings:
        clause, code = deciding_clause(task, rule, reading.facts, older=reading.older)
        if clause is not None and code == reading.code:
            found[clause.text].append(reading.number)
    return found


def _pattern(task: str, readings: Sequence[Reading], rule: Rule) -> str:
    return " ".join(
        f"{text} {' '.join(entry_marker(number) for number in numbers[:SUPPORT])}"
        for text, numbers in supporting(task, readings, rule).items()
        if numbers
    )


def _code(task: str, rule: Rule, reading: Reading) -> int:
    return deciding_clause(task, rule, reading.facts, older=reading.older)[1]


# --- S4, S5, S7 ------------------------------------------------------------------------------------------------------


def style_chain(
    task: str, texts: Mapping[int, str], query: str, *, style: Style | None, stated: Style, written: Style
) -> Chain:
    """The chain of a reader of texts, by entry number.

    Args:
        style: what the texts are said to show; None: they vary, and `stated` is the typical manner.
        stated: the manner that the chain states.
        written: the manner of the answer.
    """
    steps = [f"{entry_marker(number)} {text}" for number, text in texts.items()]
    if style is None:
        if texts:
            said = " ".join(f"{entry_marker(n)} {text.split()[0]}" for n, text in list(texts.items())[:SUPPORT])
            steps.append(f"{PATTERN} {said} {VARY}")
        steps.append(f"{TYPICAL} {manner(task, stated)}")
    else:
        nearest = sorted(texts, key=lambda number: -_agreement(task, texts[number], style))[:SUPPORT]
        cited = " ".join(entry_marker(number) for number in sorted(nearest))
        steps.append(f"{PATTERN} {cited} {manner(task, style)}")
    answer = write_style(task, written, read_keywords(query))
    steps += [f"{USER} {manner(task, stated)}", f"{SO} {answer}", f"{CHECK} {manner(task, stated)}"]
    return Chain(steps=tuple(steps), answer=answer)


def manner(task: str, style: Style) -> str:
    """A text without its keywords; the ending stands as it does in a text, so that it is the same token."""
    words = [STYLE_WORDS[task][part][style[part]] for part in style_parts(task)]
    text = " ".join(word for word in words if word)
    for ending in sorted(ENDINGS, key=len, reverse=True):
        text = text.removesuffix(f" {ending}") + ending if text.endswith(f" {ending}") else text
    return text


@lru_cache
def _styles_of_manners(task: str) -> Mapping[tuple[str, ...], Style]:
    places = [range(len(STYLE_WORDS[task][part])) for part in style_parts(task)]
    styles = [dict(zip(style_parts(task), chosen, strict=True)) for chosen in product(*places)]
    return {tuple(split_words(manner(task, style))): style for style in styles}


def read_manner(task: str, text: str) -> Style | None:
    """The style that `manner` wrote; None where a part is missing or something else is said."""
    return _styles_of_manners(task).get(tuple(split_words(text)))


def _agreement(task: str, text: str, style: Style) -> int:
    found = read_style(task, text) or {}
    return sum(found.get(part) == style[part] for part in style_parts(task))


# --- from the truth --------------------------------------------------------------------------------------------------


def reference_chain(record: Record, history: Sequence[tuple[int, ProfileEntry]], *, examples: int) -> Chain:
    """What somebody who knows the person's rule would write: entries that show it, the rule, the answer without noise.

    Args:
        record: with truth.
        history: the entries that a prompt shows, with their places in the record's profile, numbered from 1 in order.
        examples: most entries cited; those that show a clause not yet shown twice come first.
    """
    assert record.truth is not None, "only simulated records come here"
    truth, task = record.truth, record.task
    if task not in LOGIC_TASKS:
        own = {part: truth["style"][part] for part in style_parts(task)}
        texts = {number: entry.response for number, (_, entry) in enumerate(history, start=1)}
        following = [number for number, text in texts.items() if read_style(task, text) == own]
        cited = {number: texts[number] for number in following[:examples]}
        return style_chain(task, cited, record.query, style=own if cited else None, stated=own, written=own)
    rule = rule_of(truth["rule"])
    half = len(record.profile) // 2
    readings = [
        reading
        for number, (place, entry) in enumerate(history, start=1)
        if (reading := read_entry(task, number, entry, older=place < half)) is not None
    ]
    shown = supporting(task, readings, rule)
    cited = sorted(_spread(list(shown.values()), examples))
    chosen = [reading for reading in readings if reading.number in cited]
    return logic_chain(
        task,
        chosen,
        record.query,
        rule=rule if chosen else None,
        stated=rule,
        answer_code=read_answer(task, truth["preferred"], read_facts(task, record.query)),
        families=truth["families"],
    )


def rule_of(truth: Mapping) -> Rule:
    """A rule as `Rule.as_json` wrote it."""
    return Rule(truth["family"], truth["a"], truth["b"], tuple(truth["detail"]))


def _spread(groups: Sequence[Sequence[int]], most: int) -> list[int]:
    """At most `most` members, taken from the groups in turn."""
    longest = max(map(len, groups), default=0)
    return [group[turn] for turn in range(longest) for group in groups if turn < len(group)][:most]
