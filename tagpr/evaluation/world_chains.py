"""How chains about the simulated world are read: what a span claims, and whether the world bears it out.

The only module of the evaluation that knows the world's wording: a world that says more is read by another one with
the same functions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tagpr.chains.tags import Span, cited_entries, split_at_citations
from tagpr.data.simulated.grammar import read_meanings, read_title, split_words
from tagpr.data.simulated.lexicon import ENDINGS, JOINERS, OPENERS
from tagpr.data.simulated.people import RULE_PARTS
from tagpr.types import ProfileEntry

EVIDENCE_TAGS = ("examine_examples", "identify_patterns", "infer_preference")  # whose citations count as evidence
RULE_TAG, APPLIED_TAG = "infer_preference", "apply_preference"

_TITLE_PARTS: Mapping[str, tuple[str, ...]] = {"opener": OPENERS, "joiner": JOINERS, "ending": ENDINGS}
_DECIDED = re.compile(r"(\S+) from (\S+) by (\w+)")
# How a step opens. With fewer tags than nine a span may hold several steps, of which one is the tag's own.
_CUE = re.compile(r"\b(pattern|typical|user|query|so|check)\s*:\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What a chain says. Filled by `read_claims`."""

    rule: Mapping[str, str] | None  # parts of the person's rule, named as in `Record.truth`; None: no whole rule stated
    cited: tuple[int, ...]  # numbers of the entries that serve as evidence, each once
    applied: str | None  # the answer that the chain comes to; None: none stated


def knows(task: str) -> bool:
    """Whether this reader reads chains about the task."""
    return task in RULE_PARTS


def read_claims(task: str, spans: Sequence[Span]) -> Claims:
    """Rule and answer of the last spans that state them, and every entry cited on the way to the rule."""
    rules = [rule for span in spans if span.tag == RULE_TAG and (rule := _read_rule(task, span.text)) is not None]
    applied = [said for span in spans if span.tag == APPLIED_TAG and (said := _step(span.text, "so"))]
    evidence = (number for span in spans if span.tag in EVIDENCE_TAGS for number in cited_entries(span.text))
    return Claims(
        rule=rules[-1] if rules else None,
        cited=tuple(dict.fromkeys(evidence)),
        applied=applied[-1] if applied else None,
    )


def examined_truly(task: str, text: str, shown: Sequence[ProfileEntry]) -> bool:
    """Whether every entry that the span cites exists and holds what is said of it.

    S2, S3 `<k> label from word by aspect`: the entry was answered so, its text has the word, and the word speaks of
    that aspect and means that label. S5 `<k> title`: the entry's own title, ending included.
    """
    said = split_at_citations(_step(text, ""))
    return bool(said) and all(
        1 <= number <= len(shown) and _entry_is_so(task, beside, shown[number - 1]) for number, beside in said
    )


def pattern_holds(task: str, text: str, shown: Sequence[ProfileEntry]) -> bool:
    """Whether the span's regularity holds in two or more of the entries that it cites.

    S2, S3 `by aspect`: the entry's answer is that aspect's label. S5: the entry's title has every named part. `vary`:
    two or more entries are cited and no one value explains them all.
    """
    step = _step(text, "pattern")
    explained = [_values(task, shown[number - 1]) for number in cited_entries(step) if 1 <= number <= len(shown)]
    words = split_words(step)
    if "vary" in words:
        return len(explained) >= 2 and not set.intersection(*explained)
    if task == "S5":
        named = {word for word in words if any(word in values for values in _TITLE_PARTS.values())}
    else:
        (aspects,) = RULE_PARTS[task].values()
        named = set(words[-1:]) & set(aspects)
    return bool(named) and sum(named <= values for values in explained) >= 2


def query_read_truly(task: str, text: str, query: str) -> bool:
    """Whether the query says what the span reads in it: S2, S3 `query : word by aspect`."""
    words = split_words(_step(text, "query"))
    return len(words) == 3 and words[1] == "by" and read_meanings(task, query).get(words[2], ("",))[0] == words[0]


def reword(text: str) -> str:
    """The same said in another order: `label from word by aspect` becomes `label by aspect from word`."""
    return _DECIDED.sub(r"\1 by \3 from \2", text)


def _step(text: str, cue: str) -> str:
    """What a span says behind a cue, up to the next cue; for no cue what stands before the first."""
    before, *rest = _CUE.split(text)  # text, cue, text, cue, text ...
    return before.strip() if not cue else dict(zip(rest[::2], map(str.strip, rest[1::2]), strict=True)).get(cue, "")


def _read_rule(task: str, text: str) -> dict[str, str] | None:
    words = split_words(_step(text, "user"))
    found = {
        part: next((word for word in reversed(words) if word in values), None)
        for part, values in RULE_PARTS[task].items()
    }
    rule = {part: value for part, value in found.items() if value is not None}
    return rule if len(rule) == len(found) else None


def _entry_is_so(task: str, said: str, entry: ProfileEntry) -> bool:
    if task == "S5":
        return split_words(said) == split_words(entry.response)
    claim = _DECIDED.search(said)
    if claim is None:
        return False
    label, word, aspect = claim.groups()
    return label == entry.response and read_meanings(task, entry.input).get(aspect) == (word, label)


def _values(task: str, entry: ProfileEntry) -> set[str]:
    """Values of rule parts that explain the entry's answer."""
    if task == "S5":
        title = read_title(entry.response)
        return set() if title is None else set(title)
    return {aspect for aspect, (_, label) in read_meanings(task, entry.input).items() if label == entry.response}
