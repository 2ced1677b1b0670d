"""Chains for the eye: a completion with coloured tags as HTML, the history that it cites beside it.

Every text of data or model is escaped, styles stand inline and nothing is loaded: the same HTML serves a notebook, a
page and a mail. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from tagpr.chains.tags import PROBLEMS, TAGS, ParsedCompletion, TagVocabulary, cited_entries, parse
from tagpr.markup import ARROW, THINK_CLOSE, THINK_OPEN, entry_marker
from tagpr.types import ProfileEntry

# Light enough for dark text upon them, and nine that differ: neighbours in a chain are far apart in hue.
COLOURS: Mapping[str, str] = dict(
    zip(
        TAGS,
        ("#d9d9d9", "#aed6f7", "#b8e6b0", "#ffd39a", "#d8c6f5", "#f9c2dc", "#f4b5ab", "#fbf09a", "#a9e5dc"),
        strict=True,
    )
)
_BOX = (
    "display:flex;flex-wrap:wrap;gap:16px;padding:10px 12px;margin:8px 0;border:1px solid #ccc;border-radius:6px;"
    "background:#fff;color:#222;font:13px/1.55 system-ui,sans-serif"
)
_QUIET = "color:#666;font-size:11px"
_CHIP = "display:inline-block;padding:0 6px;margin:0 4px 4px 0;border-radius:8px;background:#eee;font-size:11px"
_OUTSIDE = "color:#b00020;border-bottom:1px dashed #b00020;white-space:pre-wrap"
CITATION = re.compile(r"<([0-9]{1,4})>")


def chain_html(
    completion: str,
    vocabulary: TagVocabulary,
    history: Sequence[ProfileEntry],
    *,
    thinking: bool,
    question: str = "",
    heading: str = "",
    facts: Mapping[str, str] | None = None,
) -> str:
    """A completion beside the history it was written from.

    Spans are coloured by tag, citations lead to their entries, cited entries stand out, and what a strict reader
    stumbles over is red: text outside every tag, entries that are not there, the problems by name.

    Args:
        completion: what the model or the teacher wrote.
        vocabulary: tags in use; an empty one shows the steps of an untagged chain line by line.
        history: the entries as the prompt shows them; entry number k is `history[k - 1]`.
        thinking: whether the prompt asked for a thinking block.
        question: shown above the answer.
        heading, facts: what the caller knows of it: a title, and chips such as {"gold": "quiet", "score": "1.00"}.
    """
    parsed = parse(completion, vocabulary, thinking)
    before, after = around(completion, parsed, thinking)
    parts = [_outside(before), _chain(completion, parsed, vocabulary, history)]
    if parsed.answer:
        parts.append(f'<div style="margin-top:6px">answer: <b>{escape(parsed.answer)}</b></div>')
    elif after.strip():
        parts.append(_outside(after))
    if parsed.problems:
        said = "; ".join(f"<b>{escape(name)}</b>: {escape(PROBLEMS[name])}" for name in parsed.problems)
        parts.append(f'<div style="margin-top:6px;color:#b00020;font-size:11px">{said}</div>')
    top = f'<div style="font-weight:600">{escape(heading)}</div>' if heading else ""
    top += "".join(f'<span style="{_CHIP}">{escape(k)}: {escape(v)}</span>' for k, v in (facts or {}).items())
    asked = f'<div style="margin-bottom:6px"><span style="{_QUIET}">question</span> {escape(question)}</div>'
    cited = cited_entries(parsed.chain)
    # `mathjax_ignore`: a notebook would typeset what stands between two dollar signs of a review.
    return (
        f'<div class="tagpr-chain mathjax_ignore tex2jax_ignore" style="{_BOX}">'
        + (f'<div style="flex:1 0 100%">{top}</div>' if top else "")
        + f'<div style="flex:1 1 240px;min-width:0">{history_html(history, cited)}</div>'
        + f'<div style="flex:2 1 380px;min-width:0">{asked if question else ""}{"".join(parts)}</div></div>'
    )


def history_html(history: Sequence[ProfileEntry], cited: Sequence[int] = ()) -> str:
    """A history as the prompt numbers it; cited entries stand out."""
    if not history:
        return f'<div style="{_QUIET}">no history is shown</div>'
    lines = []
    for number, entry in enumerate(history, start=1):
        is_cited = number in cited
        style = "border-left:3px solid #1f77b4;background:#eef5fc" if is_cited else "border-left:3px solid #ddd"
        shown = f"{escape(entry.input)} {escape(ARROW)} " if entry.input else ""
        lines.append(
            f'<div class="{"cited" if is_cited else "entry"}" style="{style};padding:1px 6px;margin:2px 0">'
            f'<span style="{_QUIET}">{escape(entry_marker(number))}</span> {shown}<b>{escape(entry.response)}</b></div>'
        )
    return f'<div style="{_QUIET}">history, as the prompt shows it</div>{"".join(lines)}'


def legend_html(vocabulary: TagVocabulary) -> str:
    """What each tag in use is for, in its colour."""
    rows = "".join(
        f'<div style="margin:2px 0"><span style="background:{COLOURS[name]};padding:1px 6px;border-radius:3px">'
        f"{escape(name)}</span> {escape(TAGS[name].function)}</div>"
        for name in vocabulary.names
    )
    return f'<div style="{_BOX}"><div>{rows or "chains without tags"}</div></div>'


def around(completion: str, parsed: ParsedCompletion, thinking: bool) -> tuple[str, str]:
    """What stands before the chain's `<think>`, and behind the chain."""
    opened = completion.find(THINK_OPEN) if thinking else -1
    if opened >= 0:
        start = opened + len(THINK_OPEN)
        return completion[:opened], completion[start + len(parsed.chain) :].removeprefix(THINK_CLOSE)
    head, mark, tail = completion.rpartition(THINK_CLOSE) if thinking else ("", "", completion)
    return head + mark, tail


def _chain(
    completion: str, parsed: ParsedCompletion, vocabulary: TagVocabulary, history: Sequence[ProfileEntry]
) -> str:
    if not parsed.chain:
        return ""
    if not len(vocabulary):
        return "".join(f"<div>{_with_citations(step, history)}</div>" for step in parsed.chain.split("\n"))
    pieces = []
    place = completion.index(THINK_OPEN) + len(THINK_OPEN)
    end = place + len(parsed.chain)
    for span in parsed.spans:
        pieces.append(_outside(completion[place : span.outer_start]))
        pieces.append(
            f'<div style="margin:2px 0"><span style="background:{COLOURS[span.tag]};padding:1px 6px;border-radius:3px">'
            f'<span style="font-size:10px;color:#444">{escape(span.tag)}</span> '
            f'<span style="white-space:pre-wrap">{_with_citations(span.text, history)}</span></span></div>'
        )
        place = span.outer_end
    pieces.append(_outside(completion[place:end]))
    return "".join(pieces)


def _outside(text: str) -> str:
    shown = f'<div><span title="outside every tag" style="{_OUTSIDE}">{escape(text.strip())}</span></div>'
    return shown if text.strip() else ""


def _with_citations(text: str, history: Sequence[ProfileEntry]) -> str:
    pieces = []
    place = 0
    for mark in CITATION.finditer(text):
        number = int(mark[1])
        if 1 <= number <= len(history):
            entry = history[number - 1]
            style, said = "color:#0b4f8a;font-weight:600", f"{entry.input} {ARROW} {entry.response}".strip()
        else:
            style, said = "color:#b00020;font-weight:600", "the prompt shows no such entry"
        pieces.append(escape(text[place : mark.start()]))
        pieces.append(f'<span class="citation" title="{escape(said)}" style="{style}">{escape(mark[0])}</span>')
        place = mark.end()
    return "".join([*pieces, escape(text[place:])])
