"""A completion as elements: steps in their tag's colour, citations that lead to their entries, what steps earned."""

from __future__ import annotations

from collections.abc import Sequence

from tagpr.analysis.chain_view import CITATION, COLOURS, around
from tagpr.analysis.elements import Html, chip, el, join
from tagpr.analysis.explorer.exhibit import Reply
from tagpr.chains.tags import PROBLEMS
from tagpr.markup import THINK_OPEN

TRUE, FALSE = "✓ true", "✗ not true"


def chain_html(reply: Reply, *, entries: str, num_entries: int) -> Html:
    """The chain step by step, the answer, and what a strict reader stumbles over.

    Args:
        entries: the id of entry number k is `{entries}{k}`.
        num_entries: how many there are; citations of others are marked.
    """
    before, after = around(reply.completion, reply.parsed, reply.thinking)
    parts = [_outside(before), el("ol", *_steps(reply, entries, num_entries), class_="chain")]
    if reply.parsed.answer:
        parts.append(el("p", "answer: ", el("b", reply.parsed.answer, dir="auto"), class_="answer"))
    else:
        parts += [_outside(after), el("p", "no answer", class_="problem")]
    if reply.parsed.problems:
        said = [join(el("b", name.replace("_", " ")), f": {PROBLEMS[name]}. ") for name in reply.parsed.problems]
        parts.append(el("p", *said, class_="problem"))
    return join(*parts)


def cited_html(text: str, *, entries: str, num_entries: int) -> Html:
    """Text with its citations as links; those of entries that are not there stand out."""
    pieces: list[str] = []
    place = 0
    for mark in CITATION.finditer(text):
        number = int(mark[1])
        pieces.append(text[place : mark.start()])
        if 1 <= number <= num_entries:
            pieces.append(el("a", mark[0], href=f"#{entries}{number}"))
        else:
            pieces.append(el("span", mark[0], class_="problem", title="the prompt shows no such entry"))
        place = mark.end()
    return join(*pieces, text[place:])


def _steps(reply: Reply, entries: str, num_entries: int) -> Sequence[Html]:
    parsed = reply.parsed
    if not parsed.chain:
        return []
    if not parsed.spans:
        lines = [line for line in parsed.chain.split("\n") if line.strip()]
        return [el("li", cited_html(line, entries=entries, num_entries=num_entries), dir="auto") for line in lines]
    steps: list[Html] = []
    place = reply.completion.index(THINK_OPEN) + len(THINK_OPEN)
    end = place + len(parsed.chain)
    truths = reply.truths or [None] * len(parsed.spans)
    rewards = reply.span_rewards or [None] * len(parsed.spans)
    for span, truth, reward in zip(parsed.spans, truths, rewards, strict=True):
        steps.append(_outside(reply.completion[place : span.outer_start], "li"))
        marks = []
        if truth is not None:
            marks.append(chip(TRUE if truth else FALSE, "good" if truth else "bad"))
        if reward is not None:
            marks.append(el("span", f"{reward:+.3f}", class_="figure", title="reward of this span"))
        steps.append(
            el(
                "li",
                el("span", span.tag, class_="tag"),
                el("span", cited_html(span.text, entries=entries, num_entries=num_entries), dir="auto"),
                el("span", *marks, class_="marks"),
                class_="step",
                style=f"background:{COLOURS[span.tag]}",
            )
        )
        place = span.outer_end
    steps.append(_outside(reply.completion[place:end], "li"))
    return steps


def _outside(text: str, name: str = "p") -> Html:
    return el(name, text.strip(), class_="outside", title="outside every tag", dir="auto") if text.strip() else Html("")
