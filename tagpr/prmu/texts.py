"""What PRMU reads: one template for past entries and for the answers it judges, so that both live in one space."""

from __future__ import annotations

from typing import NamedTuple

from tagpr.markup import escape
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Record


class Exchange(NamedTuple):
    """Something somebody was given and what was answered; read as `{context} => {response}`."""

    context: str  # "{cue} : {input}"
    response: str


History = tuple[Exchange, ...]  # a user, as PRMU knows them; oldest first where the order is known


def query_context(record: Record) -> str:
    """The record's question as the left side of an exchange."""
    return _context(record.task, record.query)


def user_history(record: Record) -> History:
    """H_u for one question: the profile without any entry that is that question itself.

    Such an entry would hold the gold; LaMP's own profiles leave the question out, merged or home-made ones may not.
    """
    return tuple(
        Exchange(_context(record.task, ALL_TASKS[record.task].shown_input(entry)), escape(entry.response))
        for entry in record.profile
        if not is_own_entry(record, entry)
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
