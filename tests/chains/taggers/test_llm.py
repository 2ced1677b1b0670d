"""What an LLM tagger is asked and how its answer is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagpr.chains.taggers.llm import LlmTagger, answer_form, read_tags, tagging_text
from tagpr.chains.tags import TAGS
from tagpr.errors import UserError
from tagpr.types import Prompt
from tests.endpoint_server import Answer, EndpointServer

STEPS = ("Item <1> says 2.", "So it is 2.")
TWO = ["examine_examples", "apply_preference"]
ITEMS = [{"step": 1, "tag": TWO[0]}, {"step": 2, "tag": TWO[1]}]


def test_it_is_told_every_tag_and_every_step() -> None:
    text = tagging_text(STEPS)
    assert all(f"- {tag.name}: {tag.function}\n" in text for tag in TAGS.values())
    assert text.endswith("1. Item <1> says 2.\n2. So it is 2.")
    assert answer_form()["properties"]["tags"]["items"]["properties"]["tag"]["enum"] == list(TAGS)


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps({"tags": ITEMS}),
        json.dumps({"tags": ITEMS[::-1]}),
        json.dumps(ITEMS),
        json.dumps(TWO),
        f"Step <1> [1] is clear {{so}}:\n```json\n{json.dumps(TWO, indent=1)}\n```\nDone.",
        f"<think>{json.dumps(TWO[::-1])}</think>{json.dumps(TWO)}",
        '["<examine_examples>", " apply_preference"]',
    ],
)
def test_answers_that_can_be_read(reply: str) -> None:
    assert read_tags(reply, 2) == TWO


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "examine_examples, apply_preference",
        json.dumps(TWO[:1]),
        json.dumps([*TWO, TWO[1]]),
        json.dumps([TWO[0], "other"]),
        json.dumps([TWO[0], None]),
        json.dumps({"tags": None}),
        json.dumps([ITEMS[0], ITEMS[0]]),
        json.dumps([ITEMS[0], {"step": "2", "tag": TWO[1]}]),
        json.dumps([ITEMS[0], {"step": 2}]),
        json.dumps([ITEMS[0], TWO[1]]),
        json.dumps([ITEMS[0], {"step": 3, "tag": TWO[1]}]),
        json.dumps(TWO)[:-3],
        "[" * 1500,
    ],
)
def test_answers_without_exactly_one_known_tag_per_step(reply: str) -> None:
    assert read_tags(reply, 2) is None


@settings(max_examples=50)
@given(st.text(), st.integers(0, 4))
def test_whatever_is_said_is_read_or_not(reply: str, num_steps: int) -> None:
    found = read_tags(reply, num_steps)
    assert found is None or (len(found) == num_steps and set(found) <= set(TAGS))


@settings(max_examples=50)
@given(st.lists(st.sampled_from(list(TAGS)), min_size=1, max_size=9), st.text(alphabet="ab {}[]\n"))
def test_an_answer_is_found_amid_anything(tags: list[str], around: str) -> None:
    assert read_tags(f"{around}\n{json.dumps({'tags': tags})}{around}", len(tags)) == tags


def test_one_chain_alone_is_tagged_or_refused(
    tmp_path: Path, prompt_of: Callable[..., Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    said = [json.dumps(TWO), "no idea"]
    server = EndpointServer(lambda body, times: Answer(text=said[0]))
    given_settings: dict[str, Any] = {
        "base_url": server.url, "model": "m", "key_env": None, "temperature": 0, "top_p": None, "max_tokens": 9,
        "length_field": "max_tokens", "sends_seed": False, "concurrency": 1, "timeout_s": 5, "retries": 0,
        "first_wait_s": 0.01, "longest_wait_s": 0.02, "attempts": 2, "max_failed": 1.0, "asks_for_schema": False,
    }  # fmt: skip
    prompt = prompt_of("LaMP_3", (), "a lamp", "2", record_id="r7")
    tagger = LlmTagger(**given_settings)
    assert tagger.tag(prompt, STEPS) == TWO
    assert "response_format" not in server.requests[0]
    said.reverse()
    with pytest.raises(UserError, match="m gave no tags for the chain of record r7"):
        tagger.tag(prompt, STEPS)
    assert len(server.requests) == 3
    server.close()
