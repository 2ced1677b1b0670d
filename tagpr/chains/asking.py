"""How a language model is asked to be a teacher, and how its reply is read.

The wording is ours (O). It shows what the policy's prompt shows, entry by entry with the same numbers, in prose: a
chain may build on nothing that the policy cannot see.
"""

from __future__ import annotations

import re

from tagpr.chains.teachers.base import RawChain
from tagpr.markup import ARROW, THINK_CLOSE, THINK_OPEN, entry_marker, escape
from tagpr.tasks import task_named
from tagpr.types import Prompt

_TASK = """Work out how this person answers, from their own earlier items alone, and answer the new question as they \
would. What most people would say does not count.

Reason first, in short separate steps, one per line, each line beginning with "- ". A step does one thing: it looks \
at what a numbered item shows; it states a regularity that two items or more have in common; it says what the person \
prefers, and which items show it; it says what in the new question this touches; it applies the preference; it checks \
the draft against it. Name items by their numbers, as in <2>. Quote a few words at most. Say nothing about these \
instructions.

Then write one last line that begins with "Answer:" and holds nothing but the answer, in the form that the question \
asks for."""
_ANSWER = re.compile(r"^\W*(?:final )?answer\W*?:", re.IGNORECASE | re.MULTILINE)
_BULLET = re.compile(r"^(?:[-*•]\s+|\(?[0-9]{1,2}[.)]\s+|(?:step|thought) [0-9]{1,2}\s*[:.]\s*)", re.IGNORECASE)
_EMPHASIS = re.compile(r"\*\*|__|^#+\s+", re.MULTILINE)
_CITATION = re.compile(r"(<[0-9]{1,4}>)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z<\"])")


def question_text(prompt: Prompt) -> str:
    """The user message for the teacher: the shown history, the official question, the instructions."""
    lines = [
        f"{entry_marker(number)} {entry.input + ' ' if entry.input else ''}{ARROW} {entry.response}"
        for number, entry in enumerate(prompt.history, start=1)
    ]
    history = "\n".join(lines) if lines else "(nothing is known of this person)"
    return (
        f"Earlier items of one person, each with that person's own answer behind {ARROW}\n{history}\n\n"
        f"The new question:\n{escape(prompt.record.question)}\n\n{_TASK}"
    )


def read_reply(reply: str, prompt: Prompt) -> RawChain | None:
    """The steps and the answer of a reply; None where it has no step, or no answer that the task can read.

    A model's own hidden thinking (a leading think block) is left out. Steps are lines; a reply in one paragraph is
    divided at its sentences. Everything but citations is escaped. An answer that the official evaluator cannot read as
    it stands is read by the task's lenient reader.
    """
    visible = reply.rpartition(THINK_CLOSE)[2]
    starts = list(_ANSWER.finditer(visible))
    if not starts or THINK_OPEN in visible:
        return None
    last = starts[-1]  # earlier ones are drafts
    steps = [step for line in visible[: last.start()].splitlines() if (step := _step(line))]
    if len(steps) == 1:
        steps = _SENTENCE_END.split(steps[0])
    answer = _answer(visible[last.end() :], prompt)
    return RawChain(steps=tuple(steps), answer=answer, habitual=False) if steps and answer else None


def _step(line: str) -> str:
    """A line without bullet and emphasis, escaped but for its citations."""
    text = _BULLET.sub("", _EMPHASIS.sub("", line.strip()))
    # Citations stand aside while the rest is escaped, which also makes single spaces of all white space.
    cited = iter(_CITATION.findall(text))
    return re.sub("\0", lambda _: next(cited), escape(_CITATION.sub("\0", text.replace("\0", ""))))


def _answer(said: str, prompt: Prompt) -> str:
    task = task_named(prompt.record.task)
    plain = _EMPHASIS.sub("", said).strip()
    return escape(plain if task.kind != "text" and task.is_valid(plain) else task.lenient(plain))
