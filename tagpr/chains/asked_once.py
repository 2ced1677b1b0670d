"""Many questions to an endpoint at once, each answered exactly once, however often the run is killed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from filelock import FileLock

from tagpr.chains.endpoint import AsksEndpoint, Failure, Question
from tagpr.chains.endpoint_client import EndpointClient, Passing, Refused
from tagpr.chains.journal import Journal, Reply
from tagpr.errors import UserError

T = TypeVar("T")


class AskedOnce(Generic[T]):
    """One call of `AsksEndpoint.ask_all`, whose arguments it takes.

    The journal's key is a hash of the whole request (less its seed, which follows from the rest), the record, the
    sample and `seed`; where the endpoint stands, how long it is waited for and how often are no part of it. Every reply
    counts as one of the question's `attempts`, also one that a later run finds in the journal; a question that met
    trouble in passing is asked again by the next run.

    Attributes:
        counts: replies, tokens, failures by reason.
        failed: a line per question without an answer.
    """

    def __init__(
        self,
        settings: AsksEndpoint,
        questions: Sequence[Question],
        *,
        read: Callable[[int, str], T | None],
        seed: int,
        kept: Path,
        on_answer: Callable[[int], None],
    ) -> None:
        self.settings = settings
        self.questions = questions
        self.read = read
        self.seed = seed
        self.on_answer = on_answer
        self.counts: Counter[str] = Counter()
        self.failed: list[Failure] = []
        self._values: list[T | None] = [None] * len(questions)
        self._num_had = 0
        self._places: dict[str, list[int]] = {}  # key -> the questions that are the same
        for place, question in enumerate(questions):
            self._places.setdefault(self._key(question), []).append(place)
        # A file per setting and seed, so that jobs wait for one another only where they would ask the same.
        name = f"{settings.role}_{_digest([self._request(), seed])[:16]}"
        self._journal_path = kept / f"{name}.jsonl"
        self._failed_path = kept / f"{name}_failed.jsonl"
        self._lock = FileLock(kept / f"{name}.lock")
        kept.mkdir(parents=True, exist_ok=True)

    def run(self) -> list[T | None]:
        with self._lock:
            self.journal = Journal(self._journal_path)
            try:
                self._failed_path.unlink(missing_ok=True)
                if left := self._answered_before():
                    asyncio.run(self._ask(left))
            finally:
                self.journal.close()
        return self._values

    def _answered_before(self) -> list[str]:
        """Take what the journal holds; gives the keys that are still to be asked."""
        left = []
        for key in self._places:
            replies = self.journal.replies(key)[: self.settings.attempts]
            for reply in replies:
                self._count(reply)
            self.counts["requests_kept_from_before"] += len(replies)
            values = [self._judge(key, reply) for reply in replies]
            good = [value for value, _ in values if value is not None]
            if good:
                self._had(key, good[0])
            elif len(replies) == self.settings.attempts:
                self._not_had(key, values[-1][1])
            else:
                left.append(key)
        return left

    async def _ask(self, keys: Sequence[str]) -> None:
        async with EndpointClient(self.settings) as client:
            waiting = iter(keys)
            workers = [
                asyncio.create_task(self._work(client, waiting))
                for _ in range(min(self.settings.concurrency, len(keys)))
            ]
            try:
                done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
                for worker in done:
                    worker.result()
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
                self.counts["tries_again"] += client.tries_again

    async def _work(self, client: EndpointClient, waiting: Iterator[str]) -> None:
        for key in waiting:
            reason = ""
            for attempt in range(len(self.journal.replies(key)), self.settings.attempts):
                try:
                    reply = await client.ask(self._body(key, attempt))
                except (Passing, Refused) as trouble:
                    reason = trouble.reason
                    break
                # Nothing is awaited between the reply and the disk: a cancelled task loses no reply.
                self.journal.add(key, reply)
                self._count(reply)
                value, reason = self._judge(key, reply)
                if value is not None:
                    self._had(key, value)
                    break
            if reason:
                self._not_had(key, reason)

    def _judge(self, key: str, reply: Reply) -> tuple[T | None, str]:
        """What a reply is worth, or why nothing."""
        if reply.finish == "length":
            return None, "truncated"
        if reply.finish == "content_filter":
            return None, "filtered"
        if not reply.text.strip():
            return None, "empty"
        value = self.read(self._places[key][0], reply.text)
        return value, "malformed" if value is None else ""

    def _count(self, reply: Reply) -> None:
        self.counts["requests"] += 1
        self.counts["prompt_tokens"] += reply.prompt_tokens
        self.counts["completion_tokens"] += reply.completion_tokens

    def _had(self, key: str, value: T) -> None:
        for place in self._places[key]:
            self._values[place] = value
            self._num_had += 1
            self.on_answer(place)

    def _not_had(self, key: str, reason: str) -> None:
        with self._failed_path.open("a", encoding="utf-8") as file:
            for place in self._places[key]:
                question = self.questions[place]
                line = {"record_id": question.record_id, "sample_index": question.sample_index, "reason": reason}
                self.failed.append({"asked": self.settings.role, **line})
                self.counts[f"failed_{reason}"] += 1
                file.write(json.dumps(line) + "\n")
        self._stop_if_too_many()
        for place in self._places[key]:
            self.on_answer(place)

    def _stop_if_too_many(self) -> None:
        settings, num_failed = self.settings, len(self.failed)
        # Where nothing at all has come back, the rest need not be tried to know.
        silent = not self._num_had and num_failed >= min(settings.concurrency, len(self.questions))
        if num_failed > settings.max_failed * len(self.questions) or (silent and settings.max_failed < 1):
            reasons = Counter(str(line["reason"]) for line in self.failed)
            listed = ", ".join(f"{reason} {number}" for reason, number in reasons.items())
            raise UserError(
                f"{settings.role}: {num_failed} of {len(self.questions)} requests to {settings.model} failed "
                f"({listed}), {self._num_had} succeeded; {settings.role}.max_failed={settings.max_failed} is the "
                f"largest share that may. They are listed in {self._failed_path}. Every reply is kept (in "
                f"{self._journal_path.name} there, those that could not be read too): put the cause right and give the "
                f"same command; for more replies to the same question raise {settings.role}.attempts; or raise "
                f"{settings.role}.max_failed."
            )

    def _request(self) -> dict[str, Any]:
        settings = self.settings
        given = {
            "model": settings.model,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            settings.length_field: settings.max_tokens,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _message(self, question: Question) -> dict[str, Any]:
        said: dict[str, Any] = {"messages": [{"role": "user", "content": question.text}]}
        if question.form is not None:
            schema = {"name": "answer", "strict": True, "schema": question.form}
            said["response_format"] = {"type": "json_schema", "json_schema": schema}
        return said

    def _key(self, question: Question) -> str:
        return _digest(
            [self._request(), self._message(question), question.record_id, question.sample_index, self.seed,
             self.settings.sends_seed]
        )  # fmt: skip

    def _body(self, key: str, attempt: int) -> dict[str, Any]:
        body = {**self._request(), **self._message(self.questions[self._places[key][0]])}
        if self.settings.sends_seed:
            body["seed"] = int(_digest([key, attempt])[:8], 16) >> 1  # 31 bits: some servers take no more
        return body


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
