"""Replies on disk: all whole lines are read back, torn and foreign ones are not."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagpr.chains.journal import Journal, Reply

ONE = Reply(text="one\nline \u2028 é", finish="stop", prompt_tokens=3, completion_tokens=2)
TWO = Reply(text="", finish="length", prompt_tokens=0, completion_tokens=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "new" / "journal.jsonl")
    for key, reply in (("a", ONE), ("b", TWO), ("a", TWO)):
        journal.add(key, reply)
    journal.close()
    return tmp_path / "new" / "journal.jsonl"


def test_replies_come_back_in_their_order(path: Path) -> None:
    journal = Journal(path)
    assert (journal.replies("a"), journal.replies("b"), journal.replies("c")) == ([ONE, TWO], [TWO], [])


def test_wherever_a_kill_tears_the_last_line_the_others_are_whole_and_writing_goes_on(path: Path) -> None:
    content = path.read_bytes()
    whole = content[:-1].rfind(b"\n") + 1
    for length in range(whole, len(content)):
        path.write_bytes(content[:length])
        journal = Journal(path)
        assert (journal.replies("a"), journal.replies("b")) == ([ONE], [TWO])
        journal.add("a", TWO)
        journal.close()
        assert path.read_bytes() == content


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=40)))
def test_foreign_lines_count_as_never_written(lines: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        journal = Journal(path)
        journal.add("a", ONE)
        journal.close()
        assert Journal(path).replies("a") == [ONE]


def test_lines_of_json_that_are_no_reply_are_passed_over(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'[]\n7\n{"key": "a"}\n{"text": "x"}\n{"key": "a", "text": "x", "more": 1}\n')
    assert Journal(path).replies("a") == [ONE, TWO]
