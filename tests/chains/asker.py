"""A teacher stripped to its asking, and endpoints that answer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagpr.chains.endpoint import AsksEndpoint, Question
from tests.endpoint_server import Answer, Behaviour, EndpointServer

SETTINGS: dict[str, Any] = {
    "base_url": None,
    "model": "some-model",
    "key_env": "TEST_ENDPOINT_KEY",
    "temperature": 0.7,
    "top_p": None,
    "max_tokens": 50,
    "length_field": "max_tokens",
    "sends_seed": True,
    "concurrency": 3,
    "timeout_s": 5.0,
    "retries": 2,
    "first_wait_s": 0.01,
    "longest_wait_s": 1.0,
    "attempts": 2,
    "max_failed": 0.5,
}


@dataclass(kw_only=True, eq=False)
class Asker(AsksEndpoint):
    role = "teacher"


def questions(num: int = 4) -> list[Question]:
    return [
        Question(record_id=f"r{n}", sample_index=0, text=f"question {n} of somebody", form=None) for n in range(num)
    ]


def read(place: int, reply: str) -> str | None:
    return None if reply == "unreadable" else reply.upper()


def good(body: dict[str, Any], times: int) -> Answer:
    return Answer(text=f"to {body['messages'][0]['content'].split()[1]}")


def only(number: int, first: Behaviour) -> Behaviour:
    """Good answers to all but one question."""
    return lambda body, times: (first if f"question {number} " in body["messages"][0]["content"] else good)(body, times)


def ask(
    server: EndpointServer | str, kept: Path, *, num: int = 4, seed: int = 1,
    on_answer: Callable[[int], None] = lambda place: None, **changes: Any,
) -> tuple[list[str | None], dict[str, int], list[dict[str, Any]]]:  # fmt: skip
    url = server if isinstance(server, str) else server.url
    asker = Asker(**{**SETTINGS, "base_url": url, **changes})
    found = asker.ask_all(questions(num), read=read, seed=seed, kept=kept, on_answer=on_answer)
    return found, asker.spent(), asker.failed()
