"""The few strings that are ours inside prompts and completions, and how people's texts are kept free of them."""

from __future__ import annotations

import re

THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"
ARROW = "=>"

# A "<" that could begin a tag, an entry number or a chat token; "a < b" and "<-" stay as they are.
_OPENING = re.compile(r"<(?=[/|\w])")


def entry_marker(number: int) -> str:
    """How entry `number` (from 1) of the history is written in a prompt and cited in a chain: `<3>`."""
    return f"<{number}>"


def escape(text: str) -> str:
    """Text of the data as a prompt may show it: one line, and no "<" that could begin markup (it becomes U+2039)."""
    return _OPENING.sub("‹", " ".join(text.split()))
