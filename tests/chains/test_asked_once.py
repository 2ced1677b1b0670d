"""Many requests at once, each answered once, however the run ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tagpr.context import StopRequested
from tagpr.errors import UserError
from tests.chains.asker import SETTINGS, Asker, ask, good, only, questions, read
from tests.endpoint_server import KEY, Answer


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
from tests.chains.asker import ask
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
