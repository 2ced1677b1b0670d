"""The tags of a reasoning chain, what order they ask for, and the strict reader of a completion.

Completion = `<think>` + tagged spans + `</think>` + answer. That there are nine tags, and the names `examine_examples`
and `identify_patterns`, is the paper's (arXiv 2509.23140); the other seven names and all rules are ours.
Imports no torch: the reader serves chains, rewards and evaluation alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tagpr.chains.overlap import content_words
from tagpr.errors import UserError
from tagpr.markup import THINK_CLOSE, THINK_OPEN

ALL_KINDS = frozenset({"label", "rating", "text"})
MIN_COVERAGE = 0.9  # share of the chain's characters that must stand inside spans


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """One function that a step of reasoning may have."""

    name: str
    function: str  # what a step of this kind does, as told to an LLM tagger
    max_uses: int  # spans of it that a chain may hold without penalty
    after: tuple[str, ...] = ()  # tags of which a span must stand before
    after_if_present: tuple[str, ...] = ()  # the same, asked for only where the chain has such a span at all
    first: bool = False  # must open the chain
    required_for: frozenset[str] = frozenset()  # Task.kind values whose chains need it


TAGS: Mapping[str, Tag] = {
    tag.name: tag
    for tag in (
        Tag(name="restate_task", function="what is asked, and the form of the answer", max_uses=1, first=True),
        Tag(
            name="examine_examples",
            function="cites concrete history entries by number",
            max_uses=3,
            required_for=ALL_KINDS,
        ),
        Tag(
            name="identify_patterns",
            function="a regularity seen in two or more cited entries",
            max_uses=3,
            after=("examine_examples",),
            required_for=ALL_KINDS,
        ),
        Tag(
            name="infer_preference",
            function="the user's rule, with its evidence",
            max_uses=2,
            after=("identify_patterns",),
            required_for=ALL_KINDS,
        ),
        Tag(
            name="analyze_query",
            function="features of the query that the rule touches",
            max_uses=2,
            required_for=frozenset({"label", "rating"}),
        ),
        Tag(
            name="contrast_typical",
            function="how this user differs from a typical one",
            max_uses=1,
            after=("identify_patterns",),
        ),
        Tag(
            name="weigh_conflict",
            function="recency, outliers, entries that contradict each other",
            max_uses=1,
            after=("infer_preference",),
        ),
        Tag(
            name="apply_preference",
            function="the rule applied to the query: a candidate or draft",
            max_uses=3,
            after=("infer_preference",),
            after_if_present=("analyze_query",),
            required_for=ALL_KINDS,
        ),
        Tag(
            name="verify_fit",
            function="checks the draft against the rule and the form of the answer",
            max_uses=1,
            after=("apply_preference",),
            required_for=frozenset({"text"}),
        ),
    )
}


def open_tag(name: str) -> str:
    return f"<{name}>"


def close_tag(name: str) -> str:
    return f"</{name}>"


TAG_TOKENS = tuple(
    token for name in TAGS for token in (open_tag(name), close_tag(name))
)  # for a tokenizer's added tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRule:
    """A span of `later` needs a span of `earlier` before it; `earlier=None`: it must be the chain's first span."""

    earlier: str | None
    later: str
    only_if_present: bool  # the rule applies only where the chain holds a span of `earlier`


class TagVocabulary:
    """The tags in use and the rules between them.

    A rule through a tag that is not in use is bridged: without `identify_patterns`, `infer_preference` must come after
    `examine_examples`.

    Args:
        names: names out of TAGS, in the order they are listed in tables; empty for chains without tags.
    Raises:
        UserError: an unknown or repeated name.
    """

    def __init__(self, *, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in TAGS]
        if unknown or len(set(names)) < len(names):
            raise UserError(f"tags.names is {list(names)}, expected different names out of {', '.join(TAGS)}.")
        self.names = tuple(names)
        self.rules = tuple(rule for name in self.names for rule in self._rules_of(name))

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __len__(self) -> int:
        return len(self.names)

    def required(self, kind: str) -> tuple[str, ...]:
        """Tags that every chain of a task of this kind needs."""
        return tuple(name for name in self.names if kind in TAGS[name].required_for)

    def max_uses(self, name: str) -> int:
        return TAGS[name].max_uses

    def _rules_of(self, name: str) -> list[OrderRule]:
        tag = TAGS[name]
        rules = [OrderRule(earlier=None, later=name, only_if_present=False)] if tag.first else []
        rules += [OrderRule(earlier=earlier, later=name, only_if_present=False) for earlier in self._in_use(tag.after)]
        optional = [earlier for earlier in tag.after_if_present if earlier in self.names]
        return rules + [OrderRule(earlier=earlier, later=name, only_if_present=True) for earlier in optional]

    def _in_use(self, names: Sequence[str]) -> list[str]:
        found: list[str] = []
        for name in names:
            found += [name] if name in self.names else self._in_use(TAGS[name].after)
        return list(dict.fromkeys(found))


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """One tagged step of a completion."""

    tag: str
    text: str  # between the tags: completion[start:end]
    start: int  # character offsets into the completion
    end: int

    @property
    def outer_start(self) -> int:
        """Where the opening tag begins."""
        return self.start - len(open_tag(self.tag))

    @property
    def outer_end(self) -> int:
        """Where the closing tag ends."""
        return self.end + len(close_tag(self.tag))


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedCompletion:
    """What the strict reader finds in a completion."""

    answer: str  # what stands outside the thinking block, stripped; "" where an opened block is never closed
    chain: str  # what stands inside it; "" where there is none
    spans: tuple[Span, ...]  # in order; only closed, known, flat ones
    g_answer: bool  # block closed (no block where thinking is off), answer outside it, valid, free of tag text
    g_tags: bool | None  # the chain's markup is in order; None where the gate does not exist: no tags, or no thinking
    problems: tuple[str, ...] = field(default=())  # names out of PROBLEMS, each once


PROBLEMS: Mapping[str, str] = {
    "no_thinking": "thinking was asked for, and the completion has no <think>",
    "unclosed_thinking": "<think> is never closed",
    "repeated_thinking": "<think> stands more than once",
    "text_before_thinking": "something stands before <think>",
    "no_answer": "nothing stands outside the thinking block",
    "invalid_answer": "the task cannot read the answer",
    "tag_in_answer": "the answer holds tag text",
    "unclosed_tag": "a tag is opened and never closed",
    "stray_close": "a tag is closed that was not open",
    "nested_tag": "a tag is opened inside another",
    "unknown_tag": "a tag that the vocabulary does not have",
    "broken_tag": "a piece of a tag, or a special token, inside the chain",
    "uncovered_text": "less than 90 % of the chain stands inside spans",
    "empty_chain": "the chain has no text inside tags",
}
_BREAKS_ANSWER = frozenset(list(PROBLEMS)[:7])

_NAMES = "|".join(["think", *TAGS])
_TAG_TEXT = re.compile(rf"<\s*/?\s*(?:{_NAMES})\b|</?[a-z]+(?:_[a-z]+)+\s*/?>|<\|", re.IGNORECASE)
_TAG_LIKE = re.compile(r"<(/?)([A-Za-z_][\w.:-]*)((?:\s[^<>]*)?/?)>")
_FRAGMENT = re.compile(rf"<\s*/?\s*(?:{_NAMES})\b|</|<\||\b(?:{'|'.join(TAGS)})\s*>", re.IGNORECASE)
_ENTRY = re.compile(r"<([0-9]{1,4})>")


def cited_entries(text: str) -> tuple[int, ...]:
    """Numbers of the history entries that a text cites as `<k>`, each once, in order of first mention."""
    return tuple(dict.fromkeys(int(number) for number in _ENTRY.findall(text)))


def split_at_citations(text: str) -> list[tuple[int, str]]:
    """Each citation with what is said beside its number: the text up to the next number.

    Numbers with only joining words and marks between them share what follows the last of them, or what went before
    where nothing follows. What stands before the first number belongs to it too.
    """
    before, *rest = _ENTRY.split(text)  # text, number, text, number, text ...
    said: list[tuple[int, str]] = []
    waiting: list[int] = []
    for number, after in zip(rest[::2], rest[1::2], strict=True):
        waiting.append(int(number))
        if content_words(after):
            beside = after if said else f"{before} {after}"
            said += [(one, beside) for one in waiting]
            waiting.clear()
    last = said[-1][1] if said else before
    return said + [(one, last) for one in waiting]


def has_tag_text(text: str) -> bool:
    """Whether a text holds anything that reads as a thinking mark, a tag or a special token."""
    return _TAG_TEXT.search(text) is not None


def render_chain(steps: Sequence[str], tags: Sequence[str] | None, answer: str) -> str:
    """The completion that `parse` reads back: spans follow one another; without tags, one step a line.

    Raises:
        ValueError: as many tags as steps are needed.
    """
    if tags is None:
        chain = "\n".join(steps)
    elif len(tags) == len(steps):
        chain = "".join(f"{open_tag(tag)}{step}{close_tag(tag)}" for tag, step in zip(tags, steps, strict=True))
    else:
        raise ValueError(f"{len(steps)} steps and {len(tags)} tags, expected one tag per step.")
    return f"{THINK_OPEN}{chain}{THINK_CLOSE}{answer}"


def parse(
    completion: str,
    vocabulary: TagVocabulary,
    thinking: bool,
    is_valid: Callable[[str], bool] | None = None,
) -> ParsedCompletion:
    """Read a completion strictly; never raises, whatever the text.

    Two gates, both ours. g_answer: the thinking block is closed, the answer stands outside it, the task can read it and
    it holds no tag text. g_tags: every tag closed, known and not nested, and >= 90 % of the chain's characters (white
    space and the tags themselves not counted) stand inside spans.

    Args:
        completion: what the model wrote, end-of-sequence token removed.
        vocabulary: tags in use; an empty one means untagged chains, for which g_tags does not exist.
        thinking: whether the prompt asked for a thinking block.
        is_valid: the task's `is_valid`; without it only an empty answer is invalid.
    """
    problems: list[str] = []
    answer, chain, chain_start = _split(completion, problems) if thinking else (completion.strip(), "", 0)
    if not answer:
        problems.append("no_answer")
    elif is_valid is not None and not is_valid(answer):
        problems.append("invalid_answer")
    if has_tag_text(answer):
        problems.append("tag_in_answer")
    spans: tuple[Span, ...] = ()
    g_tags = None
    if thinking and len(vocabulary):
        spans = _read_spans(chain, chain_start, vocabulary, problems)
        g_tags = not [problem for problem in problems if problem not in ("no_answer", "invalid_answer")]
    return ParsedCompletion(
        answer=answer,
        chain=chain,
        spans=spans,
        g_answer=not _BREAKS_ANSWER.intersection(problems),
        g_tags=g_tags,
        problems=tuple(dict.fromkeys(problems)),
    )


def _split(completion: str, problems: list[str]) -> tuple[str, str, int]:
    """Answer, chain and the chain's offset in the completion."""
    opened = completion.find(THINK_OPEN)
    if opened < 0:
        problems.append("no_thinking")
        return completion.rpartition(THINK_CLOSE)[2].strip(), "", 0
    if completion[:opened].strip():
        problems.append("text_before_thinking")
    start = opened + len(THINK_OPEN)
    closed = completion.find(THINK_CLOSE, start)
    if THINK_OPEN in completion[start:]:
        problems.append("repeated_thinking")
    if closed < 0:
        problems.append("unclosed_thinking")
        return "", completion[start:], start
    return completion[closed + len(THINK_CLOSE) :].strip(), completion[start:closed], start


def _read_spans(chain: str, offset: int, vocabulary: TagVocabulary, problems: list[str]) -> tuple[Span, ...]:
    spans: list[Span] = []
    outside: list[str] = []  # chain text between the spans
    is_open: str | None = None
    last = 0
    for mark in _TAG_LIKE.finditer(chain):
        text, closing, name = chain[last : mark.start()], mark[1] == "/", mark[2]
        span_start, last = last, mark.end()
        if mark[3] or name not in vocabulary:
            problems.append("unknown_tag")
        elif closing and name == is_open:
            spans.append(Span(tag=name, text=text, start=offset + span_start, end=offset + mark.start()))
            is_open = None
            continue
        elif closing:
            problems.append("stray_close")
        outside.append(text)
        if is_open is not None:
            problems.append("nested_tag" if not closing else "unclosed_tag")
        is_open = name if not closing and not mark[3] and name in vocabulary else None
    if is_open is not None:
        problems.append("unclosed_tag")
    outside.append(chain[last:])
    if any(_FRAGMENT.search(text) for text in [*outside, *(span.text for span in spans)]):
        problems.append("broken_tag")
    num_inside = sum(_num_characters(span.text) for span in spans)
    num_outside = sum(_num_characters(text) for text in outside)
    if not num_inside:
        problems.append("empty_chain")
    if num_inside < MIN_COVERAGE * (num_inside + num_outside):
        problems.append("uncovered_text")
    return tuple(spans)


def _num_characters(text: str) -> int:
    return len("".join(text.split()))
