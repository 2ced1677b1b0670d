"""The attribution stage with a policy whose answer is known: it copies what its chain came to."""

import re
import threading
from functools import partial
from pathlib import Path

import pytest

from tagpr import storage
from tagpr.chains.tags import TAGS, TagVocabulary
from tagpr.context import StageContext, StopRequested
from tagpr.data.prompts import CompactStyle
from tagpr.evaluation import attribution_stage
from tagpr.evaluation.attribution import NO_CHAIN, UNEDITED, AttributedAnswer
from tagpr.lm.backbone import ShippedBackbone, tiny_base_path
from tagpr.lm.generation.base import Completion, RolloutEngine
from tagpr.schema import AttributionSettings, EvaluatedPeople
from tagpr.types import ProfileEntry, Record
from tests.devices import watch_places

LABELS = {"u0": ("mood", "cosy"), "u1": ("place", "city"), "u2": ("theme", "books")}
TAGGED = TagVocabulary(names=list(TAGS))


class Copier(RolloutEngine):
    """Writes a chain about the history's first label, then the answer of the last `so :`; `grand` where there is
    none."""

    def __init__(
        self, *, tokenizer, stop: threading.Event, calls: list[int], stop_after: int | None, device: str = "cpu"
    ):
        super().__init__(device=device)
        self.tokenizer, self.stop, self.calls, self.stop_after = tokenizer, stop, calls, stop_after

    def generate(self, model, prompts, *, num_samples, sampling, seed, on_done=None):
        self.calls.append(len(prompts))
        if self.stop_after is not None and len(self.calls) >= self.stop_after:
            self.stop.set()
        return [[self._complete(self.tokenizer.decode(list(ids)), sampling.max_new_tokens)] for ids in prompts]

    def _complete(self, text: str, room: int) -> Completion:
        label = re.search(r"=> (\w+)", text)[1]
        chain = text.rpartition("<think>")[2] if "<think>" in text else ""
        rest = ""
        if "<think>" not in text:
            rest = f"<think><infer_preference>user : {label}</infer_preference>"
            chain = rest
        if "</think>" not in text and not chain.endswith("<apply_preference>"):
            rest += "<apply_preference>"
        if "</think>" not in text:
            # what is written anew follows the stated preference
            stated = re.findall(r"user :? ?(\w+)", chain)
            rest += f"so : {stated[-1] if stated else 'grand'}</apply_preference></think>"
        said = re.findall(r"so :? ?(\w+)", chain + rest)
        rest += said[-1] if said else "grand"
        ids = self.tokenizer(rest, add_special_tokens=False)["input_ids"]
        assert len(ids) <= room
        return Completion(token_ids=(*ids, self.tokenizer.eos_token_id), logprobs=(), text=rest, truncated=False)


@pytest.fixture
def inputs(tmp_path) -> dict[str, Path]:
    records = [
        Record(
            record_id=f"{user}-{number}", user_id=user, task="S2", split="test", purpose="test", question="", query="x",
            gold=label, profile=(ProfileEntry(entry_id="e", input="a", response=label),), retrieved=(0,),
        )
        for user, (_, label) in LABELS.items()
        for number in range(2)
    ]  # fmt: skip
    storage.write_records(tmp_path / "records", records)
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "policy").symlink_to(tiny_base_path(), target_is_directory=True)
    return {"records": tmp_path / "records", "policy": tmp_path / "sft"}


def run(
    inputs, output, *, tags=TAGGED, thinking=True, max_records=None, stop_after=None, calls=None, device="cpu"
):  # fmt: skip
    stop = threading.Event()
    style = CompactStyle(thinking=thinking, history_tokens=64, entry_tokens=32, query_tokens=16, order="time")
    return attribution_stage.run(
        prompt=style, tags=tags, backbone=ShippedBackbone(dtype="float32", attention="two_part"),
        engine=partial(Copier, stop=stop, calls=[] if calls is None else calls, stop_after=stop_after, device=device),
        attribution=AttributionSettings(policies=["sft"], max_records=max_records, max_new_tokens=40),
        evaluation=EvaluatedPeople(splits=["test"], max_records=None), inputs=inputs, output=output,
        context=StageContext(stage="attribution", seed=0, checkpoints=output / "checkpoints", stop=stop),
    )  # fmt: skip


def rows_of(output):
    rows = [AttributedAnswer(**row) for row in storage.read_parquet(output / "attribution.parquet")]
    assert len({(row.record_id, row.tag, row.edit) for row in rows}) == len(rows)
    return rows


def test_effects_of_a_policy_that_follows_its_chain(inputs, tmp_path):
    output = tmp_path / "out"
    assert run(inputs, output)["records"] == 6
    about = storage.read_json(output / "attribution.json")
    assert (about["questions"], about["left_out"], about["other_tokens"], about["unedited_changed"]) == (6, {}, 0, 0)
    shares = {(one["tag"], one["edit"]): one["changed"]["value"] for one in about["effects"] if one["questions"]}
    infer, apply = "infer_preference", "apply_preference"
    assert shares[NO_CHAIN, UNEDITED] == 0
    assert shares[NO_CHAIN, "early_answer"] == 1
    # the answer copies what the chain came to: the rule matters only where the rest is written anew
    assert [shares[infer, edit] for edit in ("drop", "swap", "paraphrase")] == [0, 0, 0]
    assert [shares[infer, edit] for edit in ("drop_rewrite", "swap_rewrite", "paraphrase_rewrite")] == [1, 1, 0]
    assert [shares[apply, edit] for edit in ("drop", "swap", "paraphrase")] == [1, 1, 0]
    rows = rows_of(output)
    dropped = [row for row in rows if (row.tag, row.edit) == (apply, "drop")]
    assert {(row.answer, row.parsed, row.score_change) for row in dropped} == {("grand", True, -1.0)}
    swapped = [row for row in rows if (row.tag, row.edit) == (infer, "swap_rewrite")]
    own = {user: label for user, (_, label) in LABELS.items()}
    assert all(row.answer != own[row.user_id] and row.answer in own.values() for row in swapped)


def test_a_stopped_stage_goes_on_and_ends_with_the_same_rows(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(attribution_stage, "EDITED_CHUNK", 2)
    whole, calls = tmp_path / "whole", []
    run(inputs, whole, calls=calls)
    assert calls[0] == 6
    assert len(calls) == 1 + 3 * 2
    broken, first = tmp_path / "broken", []
    with pytest.raises(StopRequested):
        run(inputs, broken, stop_after=3, calls=first)
    second: list[int] = []
    run(inputs, broken, calls=second)
    assert len(first) + len(second) == len(calls)
    assert [str(row) for row in rows_of(broken)] == [str(row) for row in rows_of(whole)]


@pytest.mark.parametrize(
    "settings, reason",
    [({"tags": TagVocabulary(names=[])}, "have no tags"), ({"thinking": False}, "answers without thinking")],
)
def test_without_tags_there_is_nothing_to_attribute_and_the_files_say_so(settings, reason, inputs, tmp_path):
    assert run(inputs, tmp_path / "out", **settings)["answers"] == 0
    about = storage.read_json(tmp_path / "out" / "attribution.json")
    assert reason in about["why_none"]
    assert about["effects"] == []
    assert rows_of(tmp_path / "out") == []


def test_a_sample_of_the_questions(inputs, tmp_path):
    assert run(inputs, tmp_path / "out", max_records=3) | {"answers": 0, "not_applied": 0} == {
        "records": 3, "people": 3, "answers": 0, "not_applied": 0,
    }  # fmt: skip


def test_the_policy_is_asked_where_the_engine_says(inputs, tmp_path, monkeypatch):
    found = watch_places(monkeypatch, Copier)
    run(inputs, tmp_path / "out", device="cuda:1")
    assert found == ["cuda:1"] * 3  # its own answers, and behind either kind of edited chain
