"""One request to an endpoint: tried again while the trouble may pass, and never saying more than it should.

The client's own retries are off: tenacity's are the only ones, so that waits are the configuration's.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, final
from urllib.parse import urlsplit

from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError, AsyncOpenAI
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from tagpr.chains.endpoint import OPENAI_URL, AsksEndpoint
from tagpr.chains.journal import Reply
from tagpr.errors import UserError

_LONGEST_QUOTE = 200  # characters of a server's message
_LONGEST_ECHO = 14  # characters of the request that it may repeat: words that both use, not sentences
_TOO_LONG = ("context_length", "context length", "maximum context", "too many tokens", "prompt is too long")
_FILTERED = ("content_filter", "content_policy", "content management policy")


@dataclass
class Passing(Exception):
    """Trouble that may pass: too many requests, a server's error, silence, a reply that is no JSON."""

    reason: str
    wait_s: float | None = None  # what the server asks for


@dataclass
class Refused(Exception):
    """This request will not be answered, others may."""

    reason: str


@final
class EndpointClient:
    """Open it inside the event loop that uses it; `async with`."""

    def __init__(self, settings: AsksEndpoint) -> None:
        self.settings = settings
        self.tries_again = 0
        self._key = settings.key()
        self._takes_form = True  # until the endpoint says otherwise
        self._client = AsyncOpenAI(
            api_key=self._key, base_url=settings.base_url or OPENAI_URL, timeout=settings.timeout_s, max_retries=0
        )

    async def __aenter__(self) -> EndpointClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, body: Mapping[str, Any]) -> Reply:
        """The reply to a request.

        Raises:
            Passing: it did not pass.
            Refused: about this request.
            UserError: every other request would be refused too: bad key, unknown model, no credit left.
        """
        settings = self.settings
        backoff = wait_exponential_jitter(settings.first_wait_s, settings.longest_wait_s, jitter=settings.first_wait_s)

        def asked_wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return (error.wait_s if isinstance(error, Passing) else None) or 0.0

        tries = AsyncRetrying(
            retry=retry_if_exception_type(Passing),
            wait=lambda state: max(backoff(state), asked_wait(state)),
            # Asked to wait for longer than that, a request is given up rather than sent too early.
            stop=lambda state: (
                stop_after_attempt(settings.retries + 1)(state) or asked_wait(state) > settings.longest_wait_s
            ),
            before_sleep=self._count,
            reraise=True,
        )
        return await tries(self._try, body)

    def _count(self, state: RetryCallState) -> None:
        self.tries_again += 1

    async def _try(self, body: Mapping[str, Any]) -> Reply:
        sent = dict(body) if self._takes_form else {name: body[name] for name in body if name != "response_format"}
        try:
            # The client's limit is one on silence between two bytes; this one is on the whole.
            async with asyncio.timeout(self.settings.timeout_s):
                return _reply(await self._client.chat.completions.create(**sent))
        except (TimeoutError, APITimeoutError):
            raise Passing("timeout") from None
        except APIConnectionError:
            raise Passing("no_connection") from None
        except APIStatusError as error:
            if not self._blames_form(error, sent):
                raise self._sorted(error, sent) from None
        except (APIError, ValueError):
            raise Passing("garbage") from None
        self._takes_form = False
        return await self._try(body)

    def _blames_form(self, error: APIStatusError, sent: Mapping[str, Any]) -> bool:
        said = f"{error.param} {error.message}".lower()
        return (
            "response_format" in sent
            and error.status_code in (400, 422, 501)
            and any(name in said for name in ("response_format", "json_schema", "guided", "structured output"))
        )

    def _sorted(self, error: APIStatusError, sent: Mapping[str, Any]) -> Passing | Refused | UserError:
        status, said = error.status_code, f"{error.code} {error.message}".lower()
        if status == 429 and "insufficient_quota" not in said:
            return Passing("rate_limited", _retry_after(error))
        if status >= 500 or status in (408, 409, 425):
            return Passing("server_error", _retry_after(error))
        if status == 413 or (status in (400, 422) and any(words in said for words in _TOO_LONG)):
            return Refused("too_long")
        if status in (400, 403) and any(words in said for words in _FILTERED):
            return Refused("filtered")
        return UserError(self._stopped(error, sent))

    def _stopped(self, error: APIStatusError, sent: Mapping[str, Any]) -> str:
        settings, role = self.settings, self.settings.role
        host = urlsplit(settings.base_url or OPENAI_URL).hostname
        advice = {
            401: f"Is the key in {settings.key_env} the right one?",
            403: f"May the key in {settings.key_env} use this model?",
            404: f"Does the endpoint know {role}.model={settings.model}, and does {role}.base_url end as it should "
            "(mostly in /v1)?",
            402: "No credit is left there.",
            429: "No credit is left there.",
        }.get(
            error.status_code,
            f"Does the model take what is sent? {role}.temperature=null and {role}.top_p=null leave these out, "
            f"{role}.sends_seed=false the seed; some models want {role}.length_field=max_completion_tokens.",
        )
        # What a server says of a bad key may hold a part of the key.
        quote = "" if error.status_code in (401, 403) else self._quoted(error, sent)
        return (
            f"{role}: {host} refused the request with status {error.status_code}{quote}. {advice} Every reply so far "
            "is kept: the same command goes on from there."
        )

    def _quoted(self, error: APIStatusError, sent: Mapping[str, Any]) -> str:
        body = error.body if isinstance(error.body, dict) else {}
        said = " ".join(str(body.get("message") or "").split()).replace(self._key, "[key]")[:_LONGEST_QUOTE]
        asked = " ".join(" ".join(message["content"] for message in sent["messages"]).split())
        echo = SequenceMatcher(None, said, asked, autojunk=False).find_longest_match()
        if not said or echo.size > _LONGEST_ECHO:
            return ""  # it may repeat people's words
        return f' ("{said}")'


def _reply(answer: Any) -> Reply:
    """The first choice. Raises Passing where the answer is none, as of a proxy that says 200 to everything."""
    # The client builds its objects without looking at the values: anything may be anywhere.
    try:
        text, finish = answer.choices[0].message.content, str(answer.choices[0].finish_reason)
    except (AttributeError, LookupError, TypeError):
        raise Passing("garbage") from None
    if not isinstance(text, str | None):
        raise Passing("garbage")
    try:
        billed = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    except AttributeError:
        billed = (0, 0)
    prompt_tokens, completion_tokens = (number if isinstance(number, int) else 0 for number in billed)
    return Reply(
        # Half a surrogate pair cannot be stored.
        text=(text or "").encode(errors="replace").decode(),
        finish=finish,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
    )


def _retry_after(error: APIStatusError) -> float | None:
    """Seconds that the server asks to wait; the header holds seconds or a date."""
    said = error.response.headers.get("retry-after", "").strip()
    try:
        wait = float(said)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(said).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, wait) if math.isfinite(wait) else None
