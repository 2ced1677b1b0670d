"""How all tasks find a question's payload in an official input text, and an answer in a free completion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tagpr.markup import THINK_CLOSE, THINK_OPEN

# The longest official instruction has 390 characters; a "word:" farther in belongs to somebody's text.
MAX_INSTRUCTION_CHARACTERS = 600

# `word:` before the payload; one before a list (`tags: [sci-fi, ...]`) is still inside the instruction.
_MARKER = re.compile(r"[^\W\d_][\w-]*:(?=\s|$)(?!\s*\[)")
_ANSWER_PREFIX = re.compile(
    r"^(?:(?:the|my|your|paraphrased|rewritten|suggested)\s+)*"
    r"(?:final answer|answer|headline|title|tweet|paraphrase|subject|response|output)\s*(?:is\s*)?:\s*",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"<\|[^|<>]*\|>|</?\w+>")
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`", "«": "»"}


def payload_after_marker(text: str) -> str:
    """The text after the last `word:` of an instruction that no task knows; all of it where there is no such word."""
    marker = _MARKER.search(text[:MAX_INSTRUCTION_CHARACTERS])
    return text[marker.end() :].strip() if marker else text.strip()


def after_thinking(completion: str) -> str:
    """What stands behind the last thinking block, markup removed; "" where a block was opened and never closed."""
    _, closed, answer = completion.rpartition(THINK_CLOSE)
    if not closed and THINK_OPEN in completion:
        return ""
    return _MARKUP.sub("", answer).strip()


@lru_cache(maxsize=64)
def _label_patterns(labels: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"(?<!\w){re.escape(label)}(?!\w)", re.IGNORECASE) for label in labels)


def find_label(text: str, labels: tuple[str, ...]) -> str:
    """The label that is named first, whatever its case; of two that begin together the longer; "" where none is."""
    found = [
        (match.start(), -len(label), label)
        for label, pattern in zip(labels, _label_patterns(labels), strict=True)
        if (match := pattern.search(text))
    ]
    return min(found)[2] if found else ""


def first_line(text: str) -> str:
    """The first line that says something, without quotes around it and without a `Title:` before it."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = _ANSWER_PREFIX.sub("", line).strip() or line
    if len(line) > 2 and _QUOTES.get(line[0]) == line[-1] and line[0] not in line[1:-1]:
        line = line[1:-1].strip()
    return line


def text_field(raw: Mapping[str, Any], field: str) -> str:
    """A field of a profile item as text. Raises ValueError where it is missing, no text, or blank."""
    value = raw.get(field)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        found = "it is missing" if field not in raw else f"it holds {value!r}"
        raise ValueError(f"field {field!r}: {found}; expected text. The item's fields: {', '.join(map(str, raw))}")
    text = str(value)
    if not text.strip():
        raise ValueError(f"field {field!r} is blank; expected text. Take the item out, or fill the field")
    return text


def optional_field(raw: Mapping[str, Any], field: str) -> str:
    """A field of a profile item as text, "" where the item has none."""
    value = raw.get(field)
    return "" if value is None else str(value)
