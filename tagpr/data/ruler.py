"""Token counts and cuts as LaMP's scripts make them: with the special tokens that the tokenizer itself adds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

# No tokenizer makes longer tokens of prose; text beyond this many characters per allowed token is not even tokenised.
MAX_CHARACTERS_PER_TOKEN = 32


def shorten(text: str, max_tokens: int) -> str:
    """As much of a text as more than `max_tokens` tokens can come from."""
    return text[: MAX_CHARACTERS_PER_TOKEN * (max_tokens + 1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """The beginning of a text."""

    text: str
    num_tokens: int  # special ones included
    is_shorter: bool  # whether anything is missing


class Ruler:
    """Measures texts in the tokens of one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.num_special = tokenizer.num_special_tokens_to_add()
        marks = [str(t) for t in tokenizer.added_tokens_decoder.values() if t.special or str(t).startswith("<")]
        self._marks = re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True)))) if marks else None

    def defuse(self, text: str) -> str:
        """The text, the first character of every chat or thinking token in it made U+2039."""
        return self._marks.sub(lambda mark: f"‹{mark[0][1:]}", text) if self._marks else text

    def count(self, text: str, limit: int | None) -> int:
        """Number of tokens; where there are more than `limit`, a number above it."""
        return len(self._ids(text, limit)) + self.num_special

    def cut(self, text: str, max_tokens: int) -> Cut:
        """The first `max_tokens` >= num_special tokens, written out again by the tokenizer."""
        ids = self._ids(text, max_tokens)
        kept = ids[: max_tokens - self.num_special]
        # A character torn in two by the cut would be written as U+FFFD.
        written = self.tokenizer.decode(kept, skip_special_tokens=True).rstrip("\ufffd")
        return Cut(text=written, num_tokens=len(kept) + self.num_special, is_shorter=len(kept) < len(ids))

    def first(self, text: str, max_tokens: int) -> str:
        """The longest beginning, whole characters and tokens, that takes at most `max_tokens` tokens."""
        room = max(max_tokens - self.num_special, 0)
        text = shorten(text, max_tokens)
        ends = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        if len(ends) <= room:
            return text
        # The beginning of a text may take more tokens alone than it had inside.
        for _, end in reversed(ends[:room]):
            if len(self._ids(text[:end], None)) <= room:
                return text[:end]
        return ""

    def _ids(self, text: str, limit: int | None) -> list[int]:
        short = text if limit is None else shorten(text, limit)
        return self.tokenizer(short, add_special_tokens=False)["input_ids"]
