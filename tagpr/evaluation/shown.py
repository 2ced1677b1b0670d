"""How much of a person's history stood in the prompt of each question."""

from __future__ import annotations

from dataclasses import dataclass

from tagpr.types import Prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownHistory:
    """Entries of one question's history: what shown.parquet holds."""

    record_id: str
    user_id: str
    task: str
    entries_in_profile: int
    entries_retrieved: int
    entries_shown: int
    entries_cut: int  # of those shown, shortened to fit
    entries_dropped: int  # retrieved, but did not fit


def shown_history(prompt: Prompt) -> ShownHistory:
    record = prompt.record
    return ShownHistory(
        record_id=record.record_id, user_id=record.user_id, task=record.task, entries_in_profile=len(record.profile),
        entries_retrieved=len(record.retrieved), entries_shown=len(prompt.history), entries_cut=prompt.num_cut,
        entries_dropped=prompt.num_dropped,
    )  # fmt: skip
