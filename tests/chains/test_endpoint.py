"""What may be said of an endpoint, and where its key is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tagpr.errors import UserError
from tests.chains.asker import SETTINGS, Asker, ask, good
from tests.endpoint_server import KEY


def test_neither_the_teacher_nor_the_tagger_imports_the_client_before_it_asks() -> None:
    code = (
        "import sys, tagpr.chains.teachers.openai, tagpr.chains.taggers.llm; "
        "print({'openai', 'tenacity'} & {*sys.modules})"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


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
