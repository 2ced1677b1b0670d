from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Prompt, Record

MakePrompt = Callable[..., Prompt]


@pytest.fixture
def prompt_of() -> MakePrompt:
    """Makes the prompt of a task out of (input, response) pairs, a query and a gold."""

    def make(
        task: str,
        history: Sequence[tuple[str, str]],
        query: str = "",
        gold: str | None = None,
        record_id: str = "r",
        user_id: str = "u",
        thinking: bool = True,
    ) -> Prompt:
        pairs = enumerate(history)
        entries = tuple(ProfileEntry(entry_id=str(n), input=text, response=said) for n, (text, said) in pairs)
        record = Record(
            record_id=record_id,
            user_id=user_id,
            task=task,
            split="train",
            purpose="sft",
            question=ALL_TASKS[task].write_question(query),
            query=query,
            gold=gold,
            profile=entries,
            retrieved=tuple(range(len(entries))),
        )
        return Prompt(record=record, text="", history=entries, thinking=thinking, num_cut=0, num_dropped=0)

    return make
