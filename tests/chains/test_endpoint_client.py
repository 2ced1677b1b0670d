"""One request to an endpoint that fails in the ways that endpoints fail."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tagpr.chains.endpoint import Question
from tagpr.errors import UserError
from tests.chains.asker import SETTINGS, Asker, ask, good, only, read
from tests.endpoint_server import KEY, Answer


def test_too_many_requests_are_sent_again_when_the_server_says(serve, tmp_path: Path) -> None:
    def busy(body: dict[str, Any], times: int) -> Answer:
        return good(body, times) if times else Answer(status=429, headers={"Retry-After": "0.4"})

    started = time.perf_counter()
    found, spent, _ = ask(serve(only(2, busy)), tmp_path)
    assert time.perf_counter() - started >= 0.4
    assert (found[2], spent["teacher_tries_again"], spent["teacher_requests"]) == ("TO 2", 1, 4)


@pytest.mark.parametrize("wait", ["soon", "nan", "-5", "inf", "Wed, 99 Nov 2026 99:99:99 GMT"])
def test_a_wait_that_makes_no_sense_is_not_waited_for(serve, tmp_path: Path, wait: str) -> None:
    busy = Answer(status=429, headers={"Retry-After": wait})
    found, _, _ = ask(serve(only(2, lambda body, times: good(body, times) if times else busy)), tmp_path)
    assert found[2] == "TO 2"


def test_bills_that_make_no_sense_count_as_none(serve, tmp_path: Path) -> None:
    for number, usage in enumerate(('"x"', "null", '{"prompt_tokens": "many"}', "7")):
        raw = f'{{"choices": [{{"finish_reason": "stop", "message": {{"content": "a"}}}}], "usage": {usage}}}'
        server = serve(lambda body, times, raw=raw: Answer(raw=raw.encode()))
        found, spent, _ = ask(server, tmp_path / str(number))
        assert (found, spent["teacher_requests"], spent["teacher_prompt_tokens"]) == (["A"] * 4, 4, 0)


@pytest.mark.parametrize("wait", ["60", "Wed, 01 Jan 2300 00:00:00 GMT"])
def test_a_server_that_asks_for_too_long_a_wait_is_not_asked_again(serve, tmp_path: Path, wait: str) -> None:
    server = serve(only(2, lambda body, times: Answer(status=429, headers={"Retry-After": wait})))
    found, spent, _ = ask(server, tmp_path)
    assert (found[2], spent["teacher_failed_rate_limited"], len(server.requests)) == (None, 1, 4)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(raw=b"<html>hello</html>", content_type="text/html"),
        Answer(raw=b'{"choices": []}'),
        Answer(raw=b'{"choices": null}'),
        Answer(raw=b'{"choices": "abc"}'),
        Answer(raw=b'{"choices": {"0": 1}}'),
        Answer(raw=b'{"choices": [7]}'),
        Answer(raw=b'{"choices": [{"message": "x"}]}'),
        Answer(raw=b'{"choices": [{"index": 0}]}'),
        Answer(raw=b'{"choices": [{"message": {"content": 7}}]}'),
        Answer(raw=b"[1, 2]"),
        Answer(raw=b""),
    ],
)
def test_whatever_is_no_completion_is_garbage(serve, tmp_path: Path, answer: Answer) -> None:
    found, spent, _ = ask(serve(only(0, lambda body, times: answer)), tmp_path, retries=0)
    assert (found[0], spent["teacher_failed_garbage"]) == (None, 1)


REFUSALS = {
    "401": (Answer(status=401, error={"message": f"Incorrect key {KEY}"}), "Is the key in TEST_ENDPOINT_KEY"),
    "403": (Answer(status=403, error={"message": f"{KEY[:9]}... may not"}), "use this model"),
    "404": (
        Answer(status=404, error={"message": f"no some-model for {KEY}"}),
        "no some-model for .key.*know teacher.m",
    ),
    "400": (
        Answer(status=400, error={"message": "no parameter seed"}),
        '"no parameter seed".*teacher.sends_seed=false',
    ),
    "402": (Answer(status=402), "No credit is left"),
    "429": (Answer(status=429, error={"message": "pay", "code": "insufficient_quota"}), "No credit is left"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_that_all_would_meet_stops_at_once_and_loses_nothing(serve, tmp_path: Path, case: str) -> None:
    answer, expected = REFUSALS[case]
    server = serve(only(2, lambda body, times: answer))
    with pytest.raises(UserError, match=f"127.0.0.1 refused the request with status {case[:3]}.*{expected}") as caught:
        ask(server, tmp_path, num=50, concurrency=1)
    assert KEY not in str(caught.value)
    assert KEY[:9] not in str(caught.value)
    assert caught.value.__cause__ is None
    assert len(server.requests) == 3
    server.behaviour = good
    ask(server, tmp_path, num=50)
    assert len(server.requests) == 51
    assert not [path for path in tmp_path.rglob("*") if KEY.encode() in path.read_bytes()]


def test_a_message_that_repeats_the_request_is_not_repeated(serve, tmp_path: Path) -> None:
    def echo(body: dict[str, Any], times: int) -> Answer:
        return Answer(status=400, error={"message": f"bad input: {body['messages']}"})

    with pytest.raises(UserError, match="status 400") as caught:
        ask(serve(echo), tmp_path)
    assert "somebody" not in str(caught.value)


@pytest.mark.parametrize(
    "answer, reason",
    [
        (Answer(status=400, error={"message": "too big", "code": "context_length_exceeded"}), "too_long"),
        (Answer(status=400, error={"message": "This model's maximum context length is 4096 tokens."}), "too_long"),
        (Answer(status=413), "too_long"),
        (Answer(status=400, error={"message": "filtered", "code": "content_filter"}), "filtered"),
    ],
)
def test_a_refusal_of_one_request_lets_the_others_go_on(serve, tmp_path: Path, answer: Answer, reason: str) -> None:
    server = serve(only(1, lambda body, times: answer))
    found, spent, _ = ask(server, tmp_path)
    assert (found.count(None), spent[f"teacher_failed_{reason}"], len(server.requests)) == (1, 1, 4)


FORM = {"type": "object", "properties": {"a": {"type": "string"}}}


def test_a_schema_is_sent_and_left_out_where_the_endpoint_knows_none(serve, tmp_path: Path) -> None:
    def strict(body: dict[str, Any], times: int) -> Answer:
        if "response_format" in body:
            return Answer(status=400, error={"message": "unknown field", "param": "response_format"})
        return good(body, times)

    asked = [Question(record_id=f"r{n}", sample_index=None, text=f"question {n}", form=FORM) for n in range(3)]
    for behaviour, number in ((good, 3), (strict, 4)):
        server = serve(behaviour)
        asker = Asker(**{**SETTINGS, "base_url": server.url, "concurrency": 1})
        found = asker.ask_all(asked, read=read, seed=1, kept=tmp_path / str(number), on_answer=lambda place: None)
        assert (found, len(server.requests)) == (["TO 0", "TO 1", "TO 2"], number)
        assert server.requests[0]["response_format"]["json_schema"]["schema"] == FORM
