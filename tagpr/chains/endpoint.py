"""What there is to say about an OpenAI-compatible endpoint (OpenAI, a vLLM server, OpenRouter, ...), and asking it many
questions, each exactly once."""

from __future__ import annotations

import os
import re
from abc import ABC
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from tagpr.errors import UserError

OPENAI_URL = "https://api.openai.com/v1"  # said outright: the client would read another from its own variable
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked. Filled by the teacher or the tagger."""

    record_id: str
    sample_index: int | None  # None: which sample it is, the text alone tells
    text: str  # the user message
    form: Mapping[str, Any] | None  # the JSON schema of the answer; None: any text


Failure = dict[str, str | int | None]  # asked (teacher or tagger), record_id, sample_index, reason


@dataclass(kw_only=True, eq=False)
class AsksEndpoint(ABC):
    """A teacher or a tagger that is a language model behind an endpoint.

    Needs the extra `llm`. The key is read from the environment when questions are asked, and forgotten behind them.

    Raises:
        UserError: a value that cannot be, or the extra is not installed.
    """

    base_url: str | None
    model: str
    key_env: str | None
    temperature: float | None
    top_p: float | None
    max_tokens: int
    length_field: str
    sends_seed: bool
    concurrency: int
    timeout_s: float
    retries: int
    first_wait_s: float
    longest_wait_s: float
    attempts: int
    max_failed: float

    role: ClassVar[str]  # the group's name, in messages and counts

    def __post_init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._failed: list[Failure] = []
        missing = [name for name in ("openai", "tenacity") if find_spec(name) is None]
        if missing:
            raise UserError(
                f"{self.role}: {' and '.join(missing)} not installed. An endpoint is asked through the extra `llm`: "
                "pip install -c constraints.txt -e '.[llm]'"
            )
        if not self.model:
            raise UserError(
                f"{self.role}.model is empty. Give the name under which the endpoint knows the model, e.g. "
                f"{self.role}.model=gpt-4.1-mini."
            )
        if self.key_env is not None and not re.fullmatch("[A-Z][A-Z0-9_]*", self.key_env):
            raise UserError(  # without the value: it may be the key itself
                f"{self.role}.key_env is no name of an environment variable in capitals, e.g. OPENAI_API_KEY. The key "
                "itself belongs into that variable, never into a configuration."
            )
        self._check_address()
        for name, given, least in (
            ("concurrency", self.concurrency, 1),
            ("attempts", self.attempts, 1),
            ("max_tokens", self.max_tokens, 1),
            ("retries", self.retries, 0),
        ):
            if given < least:
                raise UserError(f"{self.role}.{name} is {given}, expected {least} or more.")
        if self.timeout_s <= 0 or not 0 < self.first_wait_s <= self.longest_wait_s or not 0 <= self.max_failed <= 1:
            raise UserError(
                f"{self.role}: timeout_s={self.timeout_s}, first_wait_s={self.first_wait_s}, longest_wait_s="
                f"{self.longest_wait_s}, max_failed={self.max_failed}; expected timeout_s > 0, 0 < first_wait_s <= "
                "longest_wait_s (seconds), 0 <= max_failed <= 1 (a share)."
            )

    def _check_address(self) -> None:
        address = urlsplit(self.base_url or OPENAI_URL)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise UserError(f"{self.role}.base_url is no http address. Write e.g. http://localhost:8000/v1.")
        if address.username or address.password or address.query:
            raise UserError(  # without the address: whatever stands there may be secret
                f"{self.role}.base_url holds a user, a password or a query. Addresses are written into configurations; "
                f"put the key into the environment variable that {self.role}.key_env names."
            )

    def key(self) -> str:
        """The key, from the environment; a stand-in where `key_env` is null, for servers that ask for none."""
        if self.key_env is None:
            return "none"
        key = os.environ.get(self.key_env, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            raise UserError(
                f"The environment variable {self.key_env} {'is no key' if key else 'is not set'}: {self.role}.key_env "
                f"says that it holds the endpoint's key. Set it, or give {self.role}.key_env=null for a server without."
            )
        return key

    def ask_all(
        self,
        questions: Sequence[Question],
        *,
        read: Callable[[int, str], T | None],
        seed: int,
        kept: Path,
        on_answer: Callable[[int], None],
    ) -> list[T | None]:
        """What `read` makes of the answers, in the order of the questions; None where none was to be had.

        Args:
            read: (number of the question, reply) -> the value; None: a reply that cannot be used.
            seed: of the whole; each question and each attempt has its own, derived from it.
            kept: the folder of the journal.
            on_answer: called with the number of each question that is done; may raise to stop.
        Raises:
            UserError: no key; a refusal that every request would meet; more than `max_failed` of the questions failed.
        """
        # openai takes a second to import and is an extra.
        from tagpr.chains.asked_once import AskedOnce

        asked = AskedOnce(self, questions, read=read, seed=seed, kept=kept, on_answer=on_answer)
        try:
            return asked.run()
        finally:
            self._counts.update(asked.counts)
            self._failed += asked.failed

    def spent(self) -> dict[str, int]:
        """Replies and their tokens (those kept from before too), tries that failed in passing, failures by reason."""
        names = ("requests", "requests_kept_from_before", "prompt_tokens", "completion_tokens", "tries_again")
        return {f"{self.role}_{name}": self._counts[name] for name in dict.fromkeys((*names, *sorted(self._counts)))}

    def failed(self) -> list[Failure]:
        """A line for each question without an answer: whose record, which sample, why; nobody's words."""
        return list(self._failed)
