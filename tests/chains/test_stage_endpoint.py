"""The chains stage with a teacher and a tagger behind an endpoint: stopped in the middle, gone on with, and run again
with other tags."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from tagpr.chains.filters import ChainFilter
from tagpr.chains.stage import ChainSettings, run
from tagpr.chains.tags import TAGS, TagVocabulary
from tagpr.compose import composed
from tagpr.context import StageContext, StopRequested
from tagpr.data.prompts import CompactStyle
from tagpr.lm.backbone import load_tokenizer, tiny_base_path
from tagpr.storage import read_chains, read_rejected_chains, write_records
from tagpr.types import Prompt
from tests.endpoint_server import KEY, Answer, EndpointServer
from tests.stops import Interrupt

REVIEWS = (("a hinge that broke", "2"), ("a weak hinge again", "2"), ("warm novel on the sea", "5"))
REPLY = """- Item <1> gives a hinge that broke a 2.
- Items <1> and <2> both punish a hinge.
- They care about hinges more than about anything else, as <2> shows.
- The lamp has a weak hinge of kind {kind}.
- So a low score for the hinge.

Answer: {answer}"""
TAGS_OF_REPLY = ["examine_examples", "identify_patterns", "infer_preference", "analyze_query", "apply_preference"]


class TokenizerOnly:
    def tokenizer(self) -> object:
        return load_tokenizer(tiny_base_path())


def model(body: dict[str, Any], times: int) -> Answer:
    """Teacher and tagger in one: writes numbered chains, and tags them."""
    text = body["messages"][0]["content"]
    if "response_format" in body:
        # One chain, of the lamp of one record, cannot be tagged.
        unknown = "of kind 3-0." in text
        return Answer(text=json.dumps({"tags": ["no_tag"] if unknown else TAGS_OF_REPLY}))
    (record,) = re.findall(r"lamp ([0-9]+) has", text)
    sample = len([1 for seed in SEEDS.setdefault(record, []) if seed != body["seed"]])
    SEEDS[record].append(body["seed"])
    if record == "5":
        return Answer(text="I would rather not.")
    return Answer(text=REPLY.format(kind=f"{record}-{sample}", answer="2" if record != "4" else "5"))


SEEDS: dict[str, list[int]] = {}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EndpointServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TEST_ENDPOINT_KEY", KEY)
    SEEDS.clear()
    running = EndpointServer(model)
    yield running
    running.close()


@pytest.fixture
def records(tmp_path: Path, prompt_of: Callable[..., Prompt]) -> Path:
    prompts = [prompt_of("LaMP_3", REVIEWS, f"lamp {n} has a weak hinge", "2", record_id=f"r{n}") for n in range(6)]
    made = [replace(prompt.record, user_id=f"u{n}") for n, prompt in enumerate(prompts)]
    write_records(tmp_path / "records", made)
    return tmp_path / "records"


@cache
def settings() -> DictConfig:
    return composed(
        [
            "experiment=lamp_small", "data.root=/anywhere", "teacher=openai", "tagger=llm", "teacher.model=m", "teacher.base_url=http://localhost:1/v1",
            "teacher.key_env=TEST_ENDPOINT_KEY", "teacher.concurrency=2", "teacher.first_wait_s=0.01",
            "teacher.max_failed=0.2", "tagger.max_failed=0.2", "tagger.attempts=2", "teacher.attempts=2",
        ]
    )  # fmt: skip


def make_chains(
    server: EndpointServer, records: Path, output: Path, *, tags: tuple[str, ...] = tuple(TAGS), left: int = 10**6
) -> dict[str, Any]:
    """A run of the stage; `left`: progress is asked so often whether to stop before it does."""
    cfg = settings().copy()
    assert (cfg.tagger.model, cfg.tagger.base_url) == ("m", "http://localhost:1/v1")  # the teacher's
    cfg.teacher.base_url = cfg.tagger.base_url = server.url
    assert KEY not in OmegaConf.to_yaml(cfg, resolve=True)
    output.mkdir(parents=True)
    return run(
        teacher=instantiate(cfg.teacher, _convert_="all"),
        tagger=instantiate(cfg.tagger, _convert_="all"),
        tags=TagVocabulary(names=tags),
        prompt=CompactStyle(thinking=True, history_tokens=200, entry_tokens=60, query_tokens=60, order="ranked"),
        backbone=TokenizerOnly(),  # type: ignore[arg-type]
        chains=ChainSettings(
            num_samples=2,
            dev_records=0,
            train_people=None,
            filter=ChainFilter(
                strictness=1.0, text_quantile=0.5, min_words=4, max_words=200, max_copied_share=0.9,
                duplicate_overlap=1.0,
            ),
        ),
        inputs={"records": records},
        output=output,
        context=StageContext(
            stage="chains", seed=1, checkpoints=output.parent, replies=output.parent.parent / "replies",
            stop=Interrupt(after=left),
        ),
    )  # fmt: skip


def test_stopped_twice_and_finished_with_each_request_answered_once(
    server: EndpointServer, records: Path, tmp_path: Path
) -> None:
    # The first run stops amid the teacher's chains, the second amid the tagger's, the third ends.
    for number, left in (("one", 3), ("two", 6 + 4)):
        with pytest.raises(StopRequested):
            make_chains(server, records, tmp_path / "runs" / number / "output", left=left)
    assert 0 < sum("response_format" in body for body in server.requests) < 10
    counts = make_chains(server, records, tmp_path / "runs" / "three" / "output")
    output = tmp_path / "runs" / "three" / "output"
    asked = [json.dumps(body, sort_keys=True) for body in server.requests]
    # 5 records x 2 samples, one record that is refused twice for each sample; 10 chains to tag, one of them twice.
    # Of two requests at once one may have been under way when a run stopped.
    assert 10 + 4 + 11 == len(set(asked)) <= len(asked) <= 25 + 2
    assert counts["teacher_requests"] == 10 + 4
    assert counts["tagger_requests"] == 11
    assert (counts["teacher_completion_tokens"], counts["tagger_prompt_tokens"]) == (14 * 7, 1100)
    assert counts["teacher_requests_kept_from_before"] == 14
    assert 0 < counts["tagger_requests_kept_from_before"] < 11
    assert (counts["chains_not_had"], counts["chains_not_tagged"]) == (2, 1)
    assert (counts["teacher_failed_malformed"], counts["tagger_failed_malformed"]) == (2, 1)
    assert [json.loads(line) for line in (output / "not_had.jsonl").read_text().splitlines()] == [
        {"asked": "teacher", "record_id": "r5", "sample_index": 0, "reason": "malformed"},
        {"asked": "teacher", "record_id": "r5", "sample_index": 1, "reason": "malformed"},
        {"asked": "tagger", "record_id": "r3", "sample_index": None, "reason": "malformed"},
    ]
    kept, rejected = read_chains(output), read_rejected_chains(output)
    assert (len(kept), len(rejected)) == (7, 2)
    assert {chain.teacher for chain in kept} == {"openai:m"}
    assert {chain.rejected for chain in rejected} == {"wrong_answer"}
    assert all("<examine_examples>Item <1> gives" in chain.completion for chain in kept)
    assert server.keys == {f"Bearer {KEY}"}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_arms_with_tags_and_without_pay_once_and_keep_the_same_chains(
    server: EndpointServer, records: Path, tmp_path: Path
) -> None:
    make_chains(server, records, tmp_path / "runs" / "nine" / "output")
    paid = len(server.requests)
    counts = make_chains(server, records, tmp_path / "runs" / "none" / "output", tags=())
    assert len(server.requests) == paid
    assert counts["teacher_requests"] == counts["teacher_requests_kept_from_before"] == 14
    nine, none = (read_chains(tmp_path / "runs" / name / "output") for name in ("nine", "none"))
    assert [(c.record_id, c.sample_index) for c in nine] == [(c.record_id, c.sample_index) for c in none]
    assert all("<examine_examples>" not in chain.completion for chain in none)
