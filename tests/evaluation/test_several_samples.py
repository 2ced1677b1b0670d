"""The evaluate stage with several samples per question: what it writes, and that it goes on after a kill."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from tagpr import storage
from tagpr.analysis.runs import Evaluation
from tagpr.chains.tags import TagVocabulary
from tagpr.context import StageContext
from tagpr.data.prompts import CompactStyle
from tagpr.evaluation import stage
from tagpr.evaluation.asked import AskedPeople
from tagpr.lm.backbone import ShippedBackbone, tiny_base_path
from tagpr.lm.generation.base import Completion, RolloutEngine
from tagpr.lm.generation.torch_engine import TorchEngine
from tagpr.schema import Decoding
from tests.devices import DEVICES, watch_places

STYLE = CompactStyle(thinking=False, history_tokens=192, entry_tokens=48, query_tokens=96, order="time")


class Counting(RolloutEngine):
    """The samples of a question are the ratings 1, 2, 3, ..."""

    def __init__(self, *, tokenizer, device: str = "cpu") -> None:
        super().__init__(device=device)

    def generate(self, model, prompts: Sequence[Sequence[int]], *, num_samples, sampling, seed, on_done):
        on_done(len(prompts) * num_samples)
        texts = [str(index + 1) for index in range(num_samples)]
        return [
            [Completion(token_ids=(), logprobs=(), text=text, truncated=text == "3") for text in texts] for _ in prompts
        ]


class Broken(Counting):
    def generate(self, *args, **kwargs):
        raise AssertionError("a finished chunk was computed again")


@pytest.fixture
def start(tmp_path, simulated_records, monkeypatch):
    monkeypatch.setattr(stage, "CHUNK", 5)
    shutil.copytree(tiny_base_path(), tmp_path / "policy" / "policy")
    storage.write_records(tmp_path / "records", [r for r in simulated_records if r.task == "S3"])
    (tmp_path / "checkpoints").mkdir()

    def run(engine, output, entries=None):
        (tmp_path / output).mkdir()
        counts = stage.run(
            prompt=STYLE, tags=TagVocabulary(names=[]), engine=engine,
            backbone=ShippedBackbone(dtype="float32", attention="two_part"),
            decoding=Decoding(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=4, num_samples=3),
            evaluation=AskedPeople(splits=["test"], max_records=12, entries=entries),
            inputs={"records": tmp_path / "records", "policy": tmp_path / "policy"}, output=tmp_path / output,
            context=StageContext(stage="evaluate", seed=3, checkpoints=tmp_path / "checkpoints"),
        )  # fmt: skip
        return counts, tmp_path / output

    return run


def test_every_sample_is_kept_and_questions_are_the_unit(start, tmp_path):
    counts, folder = start(partial(Counting), "out")
    predictions = storage.read_predictions(folder / "predictions.parquet")
    assert (counts["records"], counts["predictions"], counts["truncated"]) == (12, 36, 12)
    assert [p.sample_index for p in predictions[:6]] == [0, 1, 2, 0, 1, 2]
    assert [p.answer for p in predictions[:3]] == ["1", "2", "3"]
    lamp = storage.read_json(folder / "predictions" / "S3.json")["golds"]
    assert [one["output"] for one in lamp] == ["1"] * 12
    golds = {p.record_id: int(p.gold) for p in predictions}
    scores = {key: [1 - abs(gold - said) / 4 for said in (1, 2, 3)] for key, gold in golds.items()}
    found = storage.read_json(folder / "scores.json")
    assert (found["num_samples"], found["tasks"]["S3"]["n"]) == (3, 12)
    assert found["tasks"]["S3"]["score"] == pytest.approx(sum(map(sum, scores.values())) / 36)
    assert found["tasks"]["S3"]["samples"]["best_of_n"] == pytest.approx(sum(map(max, scores.values())) / 12)
    questions = Evaluation(folder=folder).questions
    assert {key[1]: list(one.samples) for key, one in questions.items()} == scores
    # Killed after the last chunk, it draws nothing again.
    _, again = start(partial(Broken), "again")
    assert storage.read_predictions(again / "predictions.parquet") == predictions


@pytest.mark.parametrize("entries, shown", [(0, []), (1, [4]), (2, [1, 4]), (99, [1, 4, 5])])
def test_prompts_show_the_first_retrieved_entries_and_references_know_no_more(start, tmp_path, entries, shown):
    ranked = [replace(r, retrieved=(4, 1, 5)) for r in storage.read_records(tmp_path / "records", ["test"])]
    shutil.rmtree(tmp_path / "records")
    storage.write_records(tmp_path / "records", ranked)
    _, folder = start(partial(Counting), f"first_{entries}", entries=entries)
    positions = storage.read_json(folder / "shown_entries.json")["S3"]
    assert len(positions) == 12
    assert all(own == shown for own in positions.values())
    answers = Evaluation(folder=folder).references
    assert (answers["bayes"] == answers["blind"]) == (entries == 0)


def test_the_policy_is_asked_where_the_engine_says(start, monkeypatch):
    found = watch_places(monkeypatch, Counting)
    start(partial(Counting, device="cuda:1"), "out")
    assert found == ["cuda:1"] * 3


@pytest.mark.parametrize("device", DEVICES)
def test_answers_are_those_of_a_cpu(start, tmp_path, monkeypatch, device):
    asked = []

    class Watched(TorchEngine):
        def generate(self, model, *arguments, **keywords):
            asked.append(model.device.type)
            return super().generate(model, *arguments, **keywords)

    _, folder = start(partial(Watched, max_tokens=4096, device=device), "out")
    shutil.rmtree(tmp_path / "checkpoints")
    (tmp_path / "checkpoints").mkdir()
    _, expected = start(partial(Watched, max_tokens=4096, device="cpu"), "cpu")
    assert asked == [device] * 3 + ["cpu"] * 3
    found, expected = (storage.read_predictions(one / "predictions.parquet") for one in (folder, expected))
    assert [one.completion for one in found] == [one.completion for one in expected]
    assert len({one.completion for one in found}) > 1
