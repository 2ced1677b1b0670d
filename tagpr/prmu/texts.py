"""What PRMU reads: one template for past entries and for the answers it judges, so that both live in one space."""

from __future__ import annotations

from typing import NamedTuple

from tagpr.markup import escape
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Record


class Exchange(NamedTuple):
    """Something somebody was given and what was answered; read as `{context} => {response}`."""

    context: str  # "{cue} : {input}"
    response: str  # the label or rating where the task has them, else what was written
    age: int | None = None  # how many answers the person has given since; None: not known, or no past entry

    def text(self) -> Exchange:
        """Without its age: what a text encoder reads, and knows again."""
        return self if self.age is None else self._replace(age=None)


class Pasted(NamedTuple):
    """A candidate behind somebody's history, all of it text; each past entry on a line of its own."""

    history: tuple[Exchange, ...]  # oldest first, without ages; the latest that fit are read
    candidate: Exchange
    history_tokens: int  # that the entries may take together


History = tuple[Exchange, ...]  # a user, as PRMU knows them; oldest first where the order is known


def query_context(record: Record) -> str:
    """The record's question as the left side of an exchange."""
    return _context(record.task, record.query)


def user_history(record: Record) -> History:
    """H_u for one question: the profile without any entry that is that question itself.

    Such an entry would hold the gold; LaMP's own profiles leave the question out, merged or home-made ones may not.
    Ages are counted from the profile's end, whatever is dropped later.
    """
    entries = [entry for entry in record.profile if not is_own_entry(record, entry)]
    return tuple(
        Exchange(
            context=_context(record.task, ALL_TASKS[record.task].shown_input(entry)),
            response=escape(entry.response),
            age=age,
        )
        for age, entry in zip(reversed(range(len(entries))), entries, strict=True)
    )


def is_own_entry(record: Record, entry: ProfileEntry) -> bool:
    """Whether a profile entry is the very question that the record asks."""
    if entry.entry_id == record.record_id:
        return True
    query = escape(record.query)
    shown = escape(ALL_TASKS[record.task].shown_input(entry))
    return bool(query) and query in (shown, escape(entry.input))


def _context(task: str, text: str) -> str:
    return f"{ALL_TASKS[task].cue} : {escape(text)}".rstrip()
