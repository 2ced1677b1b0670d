"""Asking an endpoint that fails in the ways that endpoints fail, and asking nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tagpr.chains.endpoint import AsksEndpoint, Question
from tagpr.context import StopRequested
from tagpr.errors import UserError
from tests.endpoint_server import KEY, Answer, Behaviour, EndpointServer

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


def ask(
    server: EndpointServer | str, kept: Path, *, num: int = 4, seed: int = 1,
    on_answer: Callable[[int], None] = lambda place: None, **changes: Any,
) -> tuple[list[str | None], dict[str, int], list[dict[str, Any]]]:  # fmt: skip
    url = server if isinstance(server, str) else server.url
    asker = Asker(**{**SETTINGS, "base_url": url, **changes})
    found = asker.ask_all(questions(num), read=read, seed=seed, kept=kept, on_answer=on_answer)
    return found, asker.spent(), asker.failed()


def test_every_question_is_answered_in_its_place_and_paid_for_once(serve, tmp_path: Path) -> None:
    server, done = serve(good), []
    found, spent, failed = ask(server, tmp_path, on_answer=done.append)
    assert found == ["TO 0", "TO 1", "TO 2", "TO 3"]
    assert (sorted(done), failed) == ([0, 1, 2, 3], [])
    assert spent == {
        "teacher_requests": 4, "teacher_requests_kept_from_before": 0, "teacher_prompt_tokens": 400,
        "teacher_completion_tokens": 28, "teacher_tries_again": 0,
    }  # fmt: skip
    assert server.keys == {f"Bearer {KEY}"}
    first = server.requests[0]
    assert {name: first[name] for name in first if name not in ("messages", "seed")} == {
        "model": "some-model", "temperature": 0.7, "max_tokens": 50,
    }  # fmt: skip
    assert len({body["seed"] for body in server.requests}) == 4
    assert all(0 <= body["seed"] < 2**31 for body in server.requests)
    again, spent, _ = ask(server, tmp_path)
    assert (again, len(server.requests)) == (found, 4)
    assert (spent["teacher_requests"], spent["teacher_requests_kept_from_before"]) == (4, 4)
    assert spent["teacher_completion_tokens"] == 28


def test_so_many_at_once_as_allowed(serve, tmp_path: Path) -> None:
    server = serve(lambda body, times: Answer(text="a", delay=0.05))
    ask(server, tmp_path, num=9)
    assert server.most_at_once == 3


def test_what_cannot_change_a_reply_asks_nothing_again_and_the_rest_does(serve, tmp_path: Path) -> None:
    server, other = serve(good), serve(good)
    ask(server, tmp_path)
    same = {"concurrency": 1, "timeout_s": 9.0, "retries": 0, "attempts": 5, "max_failed": 0.0, "longest_wait_s": 0.5}
    ask(other, tmp_path, **same)
    assert not other.requests
    changes = ({"model": "other"}, {"temperature": None}, {"top_p": 0.5}, {"max_tokens": 9}, {"seed": 2},
               {"length_field": "max_completion_tokens"}, {"sends_seed": False})  # fmt: skip
    for number, change in enumerate(changes, start=1):
        ask(other, tmp_path, **change)
        assert len(other.requests) == 4 * number, change
    assert "temperature" not in other.requests[4]
    assert "max_completion_tokens" in other.requests[-5]
    assert "seed" not in other.requests[-1]


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


TROUBLES = {
    "server_error": Answer(status=503),
    "garbage": Answer(raw=b'{"choices": [{"mess'),
    "timeout": Answer(text="late", delay=0.6),
}


@pytest.mark.parametrize("reason", TROUBLES)
def test_trouble_that_does_not_pass_is_listed_and_asked_again_by_the_next_run(
    serve, tmp_path: Path, reason: str
) -> None:
    server = serve(only(1, lambda body, times: TROUBLES[reason]))
    found, spent, failed = ask(server, tmp_path, timeout_s=0.3)
    assert found == ["TO 0", None, "TO 2", "TO 3"]
    assert server.times["question 1 of somebody"] == 3  # retries=2
    assert (spent[f"teacher_failed_{reason}"], spent["teacher_tries_again"]) == (1, 2)
    line = {"record_id": "r1", "sample_index": 0, "reason": reason}
    assert failed == [{"asked": "teacher", **line}]
    (listed,) = tmp_path.glob("*_failed.jsonl")
    assert [json.loads(said) for said in listed.read_text().splitlines()] == [line]
    server.behaviour = good
    found, spent, failed = ask(server, tmp_path)
    assert (found[1], failed, list(tmp_path.glob("*_failed.jsonl"))) == ("TO 1", [], [])
    assert (spent["teacher_requests"], spent["teacher_requests_kept_from_before"]) == (4, 3)


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


REPLIES = {
    "truncated": Answer(text="cut off in the", finish="length"),
    "filtered": Answer(text="", finish="content_filter"),
    "empty": Answer(text=" \n"),
    "malformed": Answer(text="unreadable"),
}


@pytest.mark.parametrize("reason", REPLIES)
def test_replies_that_cannot_be_used_are_asked_for_again_with_another_seed(serve, tmp_path: Path, reason: str) -> None:
    server = serve(only(0, lambda body, times: good(body, times) if times else REPLIES[reason]))
    found, spent, _ = ask(server, tmp_path / "one")
    assert (found[0], spent["teacher_requests"]) == ("TO 0", 5)
    first, second = (body["seed"] for body in server.requests if "question 0" in body["messages"][0]["content"])
    assert first != second
    hopeless = serve(only(0, lambda body, times: REPLIES[reason]))
    for _ in range(2):  # attempts=2 are over, and a later run makes no more of them
        found, spent, failed = ask(hopeless, tmp_path / "two")
        assert (found[0], spent["teacher_requests"], spent[f"teacher_failed_{reason}"]) == (None, 5, 1)
        assert len(hopeless.requests) == 5
    assert "somebody" not in json.dumps(failed)
    ask(hopeless, tmp_path / "two", attempts=3)
    assert len(hopeless.requests) == 6


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


def test_the_stage_stops_where_too_large_a_share_fails(serve, tmp_path: Path) -> None:
    def every_second(body: dict[str, Any], times: int) -> Answer:
        number = int(body["messages"][0]["content"].split()[1])
        return Answer(status=500) if number % 2 else good(body, times)

    found, spent, _ = ask(serve(every_second), tmp_path / "one", num=10, retries=0, max_failed=0.5)
    assert (found.count(None), spent["teacher_failed_server_error"]) == (5, 5)
    server = serve(every_second)
    with pytest.raises(UserError, match=r"3 of 10 requests to some-model failed \(server_error 3\), [2-7] succeeded"):
        ask(server, tmp_path / "two", num=10, retries=0, max_failed=0.2)
    had = len(server.requests) - 3
    server.behaviour = good
    ask(server, tmp_path / "two", num=10)
    assert len(server.requests) <= 3 + had + 10 - 2  # at least the two that had come first are not asked again


def test_where_nothing_comes_back_not_all_are_tried(serve, tmp_path: Path) -> None:
    server = serve(lambda body, times: Answer(status=500))
    with pytest.raises(UserError, match="3 of 100 requests"):
        ask(server, tmp_path, num=100, retries=0, max_failed=0.5)
    assert len(server.requests) <= 6
    server.close()
    with pytest.raises(UserError, match="no_connection 3"):
        ask(server.url, tmp_path, num=100, retries=1)


def test_a_stopped_run_keeps_what_came_and_goes_on(serve, tmp_path: Path) -> None:
    server, done = serve(good), []

    def stop(place: int) -> None:
        done.append(place)
        if len(done) == 4:
            raise StopRequested

    with pytest.raises(StopRequested):
        ask(server, tmp_path, num=10, on_answer=stop, concurrency=1)
    assert len(server.requests) == 4
    found, spent, _ = ask(server, tmp_path, num=10)
    assert found == [f"TO {number}" for number in range(10)]
    assert set(server.times.values()) == {1}
    assert (spent["teacher_requests"], spent["teacher_requests_kept_from_before"]) == (10, 4)
    assert spent["teacher_prompt_tokens"] == 1000


KILLED = """
import sys
from pathlib import Path
from tests.chains.test_endpoint import ask
ask(sys.argv[1], Path(sys.argv[2]), num=12, concurrency=2)
"""


def test_a_killed_run_asks_again_what_was_under_way_at_most(serve, tmp_path: Path) -> None:
    server = serve(lambda body, times: replace(good(body, times), delay=0.05))
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", KILLED, server.url, str(tmp_path)]
    with subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}) as process:
        while len(server.requests) < 6 and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    found, spent, _ = ask(server, tmp_path, num=12)
    assert found == [f"TO {number}" for number in range(12)]
    assert spent["teacher_requests"] == 12
    assert 12 <= len(server.requests) <= 12 + 2
    assert spent["teacher_requests_kept_from_before"] >= 6 - 2


def test_neither_the_teacher_nor_the_tagger_imports_the_client_before_it_asks() -> None:
    code = (
        "import sys, tagpr.chains.teachers.openai, tagpr.chains.taggers.llm; "
        "print({'openai', 'tenacity'} & {*sys.modules})"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_requests_under_way_are_cancelled_when_the_run_stops(serve, tmp_path: Path) -> None:
    def slow(body: dict[str, Any], times: int) -> Answer:
        return Answer(text="late", delay=0.0 if "question 0 " in body["messages"][0]["content"] else 3.0)

    def stop(place: int) -> None:
        raise StopRequested

    started = time.perf_counter()
    with pytest.raises(StopRequested):
        ask(serve(slow), tmp_path, on_answer=stop)
    assert time.perf_counter() - started < 2.5


def test_the_same_question_twice_is_asked_once(serve, tmp_path: Path) -> None:
    server = serve(good)
    asker = Asker(**{**SETTINGS, "base_url": server.url})
    done: list[int] = []
    found = asker.ask_all(questions(1) * 3, read=read, seed=1, kept=tmp_path, on_answer=done.append)
    assert (found, len(server.requests), sorted(done)) == (["TO 0"] * 3, 1, [0, 1, 2])


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


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"model": ""}, "teacher.model is empty"),
        ({"key_env": KEY}, "teacher.key_env is no name of an environment variable"),
        ({"key_env": f"gsk_{KEY[-10:]}"}, "teacher.key_env is no name of an environment variable"),
        ({"base_url": "localhost:8000"}, "no http address"),
        ({"base_url": f"http://me:{KEY}@host/v1"}, "holds a user, a password or a query"),
        ({"base_url": f"http://host/v1?key={KEY}"}, "holds a user, a password or a query"),
        ({"concurrency": 0}, "teacher.concurrency is 0, expected 1 or more"),
        ({"retries": -1}, "teacher.retries is -1, expected 0 or more"),
        ({"timeout_s": 0.0}, "timeout_s > 0"),
        ({"longest_wait_s": 0.001}, "first_wait_s <= longest_wait_s"),
        ({"max_failed": 5.0}, "max_failed=5.0"),
    ],
)
def test_values_that_cannot_be(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        Asker(**{**SETTINGS, **changes})
    assert KEY not in str(caught.value)


def test_without_the_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagpr.chains.endpoint.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"openai and tenacity not installed.*\.\[llm\]"):
        Asker(**SETTINGS)


@pytest.mark.parametrize("value, said", [(None, "is not set"), ("", "is not set"), ("a\nb", "is no key")])
def test_a_key_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, said: str) -> None:
    monkeypatch.delenv("TEST_ENDPOINT_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TEST_ENDPOINT_KEY", value)
    with pytest.raises(UserError, match=f"TEST_ENDPOINT_KEY {said}"):
        ask("http://127.0.0.1:9", tmp_path)


def test_a_server_that_asks_for_no_key_needs_none(serve, tmp_path: Path) -> None:
    found, _, _ = ask(serve(good), tmp_path, key_env=None)
    assert None not in found
