from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Prompt, Record
from tests.endpoint_server import KEY, Behaviour, EndpointServer

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


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Behaviour], EndpointServer]]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TEST_ENDPOINT_KEY", KEY)
    running: list[EndpointServer] = []

    def start(behaviour: Behaviour) -> EndpointServer:
        running.append(EndpointServer(behaviour))
        return running[-1]

    yield start
    for server in running:
        server.close()
