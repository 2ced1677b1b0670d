"""Round trips of what the rooms hand over."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr import storage
from tagpr.types import Prediction, PreferencePair, ProfileEntry, Record, Rollout, TaggedChain

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


def record(
    split: str, record_id: str, profile: tuple[ProfileEntry, ...], gold: str | None, truth: dict | None
) -> Record:
    return Record(
        record_id=record_id, user_id="u1", task="S2", split=split, purpose="sft" if split == "train" else split,
        question="q: x", query="x", gold=gold, profile=profile, retrieved=tuple(range(len(profile))), truth=truth,
    )  # fmt: skip


@given(TEXT, TEXT, st.none() | TEXT, st.none() | st.dictionaries(TEXT, st.integers(-5, 5) | st.lists(TEXT, max_size=2)))
def test_records_round_trip(tmp_path_factory, record_id, text, gold, truth):
    folder = tmp_path_factory.mktemp("records")
    entries = (
        ProfileEntry(entry_id="1", input=text, response=record_id),
        ProfileEntry(entry_id="2", input="", response=""),
    )
    records = [record("train", record_id, entries, gold, truth), record("test", "b", (), gold, truth)]
    storage.write_records(folder, records)
    assert storage.read_records(folder) == records
    assert storage.read_records(folder, ["dev"]) == []
    assert storage.read_records(folder, ["test"]) == records[1:]


def test_chains_pairs_rollouts_predictions_round_trip(tmp_path):
    chain = TaggedChain(
        record_id="a", task="S2", sample_index=3, completion="<think>x</think>y", answer="y", score=0.25,
        teacher="scripted", habitual=True, rejected="",
    )  # fmt: skip
    storage.write_chains(tmp_path, [chain], [])
    assert storage.read_chains(tmp_path) == [chain]
    assert storage.read_rejected_chains(tmp_path) == []
    pairs = [
        PreferencePair(record_id="a", user_id="u", task="S2", query="q", chosen="x", rejected="y", negative_type="N1",
                       other_record_id="b", split=split)
        for split in ("train", "dev")
    ]  # fmt: skip
    storage.write_pairs(tmp_path / "pairs", pairs)
    assert storage.read_pairs(tmp_path / "pairs") == pairs
    assert storage.read_pairs(tmp_path / "pairs", ["dev"]) == pairs[1:]
    rollout = Rollout(
        record_id="a", user_id="u", task="S2", stage="guided", step=7, sample_index=1, completion="c", answer="y",
        num_tokens=5, truncated=False, reward_terms={"task": 1.0}, weights={"task": 0.7}, reward=0.7, advantage=-1.5,
    )  # fmt: skip
    storage.write_rollouts(tmp_path / "rollouts" / "step_000007.parquet", [rollout])
    assert storage.read_rollouts(tmp_path / "rollouts") == [rollout]
    prediction = Prediction(
        record_id="a", user_id="u", task="S2", decoding="greedy", sample_index=0, completion="c", answer="y",
        parsed=True, lenient_answer="y", gold=None, score=0.5, lenient_score=1.0,
    )  # fmt: skip
    storage.write_predictions(tmp_path / "predictions.parquet", [prediction])
    assert storage.read_predictions(tmp_path / "predictions.parquet") == [prediction]


def test_json_is_atomic_and_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    storage.write_json(path, {"x": 1})
    with pytest.raises(ValueError, match="Out of range float values"):
        storage.write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text()) == {"x": 1}
