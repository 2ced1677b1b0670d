"""The whole swap stage with a policy that repeats the first response it is shown."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from tagpr import storage
from tagpr.chains.tags import TagVocabulary
from tagpr.context import StageContext
from tagpr.data.prompts import CompactStyle
from tagpr.data.retrieval import BM25Retriever
from tagpr.errors import UserError
from tagpr.evaluation import swap_stage
from tagpr.evaluation.specificity import MEAN
from tagpr.evaluation.swap import CONDITIONS
from tagpr.lm.backbone import ShippedBackbone, tiny_base_path
from tagpr.lm.generation.base import Completion, RolloutEngine
from tagpr.schema import EvaluatedPeople, SwapSettings
from tests.devices import watch_places

STYLE = CompactStyle(thinking=False, history_tokens=192, entry_tokens=48, query_tokens=96, order="time")


class Parrot(RolloutEngine):
    """Answers with the first response of the prompt; "nothing" where it shows none."""

    asked: ClassVar[list[int]] = []

    def __init__(self, *, tokenizer, device: str = "cpu") -> None:
        super().__init__(device=device)
        self.tokenizer = tokenizer

    def generate(self, model, prompts: Sequence[Sequence[int]], *, num_samples, sampling, seed, on_done):
        assert (num_samples, sampling.temperature) == (1, 0.0)
        Parrot.asked.append(len(prompts))
        texts = [self.tokenizer.decode(ids) for ids in prompts]
        said = [re.findall(r"=>\s*(\S+)", text.split("?")[0]) or ["nothing"] for text in texts]
        return [[Completion(token_ids=(), logprobs=(), text=own[0], truncated=False)] for own in said]


@pytest.fixture
def records(simulated_records):
    return [replace(r, retrieved=tuple(range(len(r.profile)))) for r in simulated_records if r.task != "S5"]


@pytest.fixture
def start(tmp_path, records):
    """`start(engine=..., max_records=...)`: the stage on 24 people's questions; returns counts and output folder."""
    shutil.copytree(tiny_base_path(), tmp_path / "policy" / "policy")
    storage.write_records(tmp_path / "records", records)
    (tmp_path / "checkpoints").mkdir()

    def run(*, engine=partial(Parrot), max_records=None, output="out", style=STYLE):
        (tmp_path / output).mkdir()
        Parrot.asked = []
        counts = swap_stage.run(
            prompt=style, tags=TagVocabulary(names=[]), engine=engine,
            backbone=ShippedBackbone(dtype="float32", attention="two_part"), retrieval=BM25Retriever(k=8),
            evaluation=EvaluatedPeople(splits=["test"], max_records=None),
            swap=SwapSettings(
                policies=["sft"], max_records=max_records, max_new_tokens=8, candidates=20, length_band=0.25
            ),
            inputs={"records": tmp_path / "records", "policy": tmp_path / "policy"}, output=tmp_path / output,
            context=StageContext(stage="swap", seed=3, checkpoints=tmp_path / "checkpoints"),
        )  # fmt: skip
        return counts, tmp_path / output

    return run


def test_every_question_is_answered_under_every_condition(start, records):
    counts, folder = start()
    answers = swap_stage.read_answers(folder / "swap.parquet")
    tests = {(r.task, r.record_id): r for r in records if r.split == "test"}
    assert counts["records"] == len(tests) == 96
    assert counts["answers"] == len(answers) == 5 * 96
    assert {(a.task, a.record_id, a.condition) for a in answers} == {(*key, c) for key in tests for c in CONDITIONS}
    for one in answers:
        own = tests[one.task, one.record_id]
        assert (one.user_id, one.gold) == (own.user_id, own.gold)
        if one.condition == "own":
            assert one.answer == own.profile[0].response
        if one.condition in ("nearest", "random"):
            lender = next(r for r in records if (r.user_id, r.task) == (one.other_user_id, one.task))
            assert one.other_user_id != one.user_id
            assert one.answer == lender.profile[0].response
        else:
            assert one.other_user_id == ""
        if one.condition == "none":
            assert (one.entries, one.parsed, one.truncated) == (0, False, False)
        assert one.other_answer_from in ("gold", "rule")
    # People who were asked the same read the same prompt without history.
    assert sum(Parrot.asked) < 5 * 96
    summary = storage.read_json(folder / "swap.json")
    assert set(summary["tasks"]) == {"S2", "S3", MEAN}
    exact = summary["matching"]["nearest"]
    assert exact["exact"] + exact["closest"] == 96
    assert counts["nearest_exact"] == exact["exact"] > 80
    observer = summary["tasks"]["S2"]["figures"]
    assert observer["bayes_own"]["value"] > observer["bayes_nearest"]["value"] + 0.1
    assert observer["gain"]["low"] is not None


class Broken(Parrot):
    def generate(self, *args, **kwargs):
        raise AssertionError("a finished chunk was computed again")


def test_what_is_done_is_not_done_again(start, monkeypatch):
    monkeypatch.setattr(swap_stage, "CHUNK", 5)
    _, first = start(max_records=12)
    assert len(Parrot.asked) == 3
    _, again = start(max_records=12, engine=partial(Broken), output="again")
    assert swap_stage.read_answers(again / "swap.parquet") == pytest.approx(
        swap_stage.read_answers(first / "swap.parquet")
    )


def test_answers_do_not_depend_on_how_questions_are_divided(start, monkeypatch, tmp_path):
    _, whole = start(max_records=24)
    shutil.rmtree(tmp_path / "checkpoints")
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(swap_stage, "CHUNK", 7)
    _, parts = start(max_records=24, output="parts")
    assert Path(whole / "swap.json").read_text() == (parts / "swap.json").read_text()


def test_prompts_without_history_have_nothing_to_swap(start, records, tmp_path):
    storage.write_records(tmp_path / "records", [replace(r, retrieved=()) for r in records])
    with pytest.raises(UserError, match="no prompt shows an entry of the person's history"):
        start()


def test_the_policy_is_asked_where_the_engine_says(start, monkeypatch):
    found = watch_places(monkeypatch, Parrot)
    start(max_records=6, engine=partial(Parrot, device="cuda:1"))
    assert found == ["cuda:1"]
