"""A row of somebody else's data set as the question that our rewards judge an answer to.

| column | meaning |
|---|---|
| task | a task's name, LaMP_1 .. LaMP_7 or S1 .. S7: how answers are read and scored |
| user_id | whose answer is wanted |
| query | the question without instruction and history |
| history | the person's past, oldest first: [{"input": ..., "output": ...}, ...]; "title" and "date" may be there too |
| gold | the person's true answer; verl's `ground_truth`. None where it is not known |
| shown | optional: positions in `history` (from 0) that the prompt shows, entry <1> first; without it, it shows all |
| thinking | optional: whether the prompt asks for a <think> block; without it, whether the completion has one |
| reference_answers | optional: answers to the same question that PRMU's opinion of a text is centred on |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagpr.chains.tags import ParsedCompletion, TagVocabulary, parse
from tagpr.errors import BadInputError
from tagpr.markup import THINK_CLOSE, THINK_OPEN
from tagpr.prmu.person_files import ENTRY_FORM, profile_entry
from tagpr.tasks import task_named
from tagpr.tasks.base import Task
from tagpr.types import ProfileEntry, Prompt, Record

COLUMNS = ("task", "user_id", "query", "history", "gold", "shown", "thinking", "reference_answers")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question, whom it was put to, and how an answer to it is to be read. Filled by `asked`."""

    record: Record  # its id is a hash of the question, so that rows of one group share it
    task: Task
    history: tuple[ProfileEntry, ...]  # as the prompt shows it: entry <k> is history[k - 1]
    thinking: bool | None  # None: the completion tells
    reference_answers: tuple[str, ...]

    def prompt(self, *, thinking: bool) -> Prompt:
        """What our rewards take for the prompt: its text is the other trainer's, and no reward of ours reads it."""
        return Prompt(record=self.record, text="", history=self.history, thinking=thinking, num_cut=0, num_dropped=0)

    def read(self, completion: str, vocabulary: TagVocabulary) -> tuple[bool, ParsedCompletion]:
        """(whether it was read as one that thinks, what the strict reader finds)."""
        thinking = THINK_OPEN in completion if self.thinking is None else self.thinking
        return thinking, parse(completion, vocabulary, thinking, self.task.is_valid)


def asked(row: Mapping[str, Any], *, where: str, needs_history: bool) -> Asked:
    """A row of the columns above.

    Args:
        where: names the row in errors.
        needs_history: whether a row without a history is an error rather than a person of whom nothing is known.
    Raises:
        BadInputError: a column is missing or is not what it should be.
    """
    task = task_named(_text(row, "task", where))
    user_id, query = _text(row, "user_id", where), _text(row, "query", where)
    raw = _list(row, "history", where)
    if raw is None and needs_history:
        raise BadInputError(
            f"{where}: this reward needs the person's past, but the column 'history' is missing; {ENTRY_FORM} ([] "
            "for somebody new)."
        )
    history = tuple(profile_entry(entry, number, where) for number, entry in enumerate(raw or ()))
    shown = _list(row, "shown", where)
    wrong = [i for i in shown or () if isinstance(i, bool) or int(i) != i or not 0 <= i < len(history)]
    if wrong:
        raise BadInputError(
            f"{where}: shown names entry {wrong[0]!r} of a history of {len(history)}, expected positions from 0 to "
            f"{len(history) - 1}."
        )
    gold = row.get("gold")
    told = json.dumps([task.name, user_id, query, [[e.input, e.response, e.title, e.date] for e in history]])
    record = Record(
        record_id=hashlib.sha256(told.encode()).hexdigest()[:24],
        user_id=user_id,
        task=task.name,
        split="train",
        purpose="rl",
        question=task.write_question(query),
        query=query,
        gold=None if gold is None else str(gold),
        profile=history,
        retrieved=tuple(range(len(history))) if shown is None else tuple(int(i) for i in shown),
    )
    thinking = row.get("thinking")
    return Asked(
        record=record,
        task=task,
        history=tuple(history[i] for i in record.retrieved),
        thinking=None if thinking is None else bool(thinking),
        reference_answers=tuple(str(answer) for answer in _list(row, "reference_answers", where) or ()),
    )


def completion_text(completion: str | Sequence[Mapping[str, Any]], prompt: str | Sequence[Mapping[str, Any]]) -> str:
    """What the model wrote, as one string.

    A conversational completion is the list of its messages: the last one of the assistant counts. A trainer that parses
    responses hands reasoning over in a field of its own: it goes back into its block. Where the prompt's text ends with
    an opened block (some chat templates write it), the completion is read as beginning inside it.
    """
    if isinstance(completion, str):
        opened = isinstance(prompt, str) and prompt.rstrip().endswith(THINK_OPEN)
        return f"{THINK_OPEN}{completion}" if opened else completion
    said = [message for message in completion if message.get("role", "assistant") == "assistant"]
    if not said:
        return ""
    content = _content(said[-1].get("content"))
    reasoning = said[-1].get("reasoning_content") or said[-1].get("thinking")
    return f"{THINK_OPEN}{reasoning}{THINK_CLOSE}{content}" if reasoning else content


def _content(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.get("text") or "" for part in content)  # parts, as multimodal templates have them


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        found = "is missing" if value is None else f"holds {value!r}"
        raise BadInputError(f"{where}: the column {name!r} {found}, expected text. Columns: {', '.join(COLUMNS)}.")
    return str(value)


def _list(row: Mapping[str, Any], name: str, where: str) -> list[Any] | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):  # an array of numpy is a list too
        form = f"; {ENTRY_FORM}" if name == "history" else ", expected a list"
        raise BadInputError(f"{where}: the column {name!r} holds {str(value)[:40]!r}{form}.")
    return list(value)
