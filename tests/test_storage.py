"""Round trips of what the rooms hand over."""

import json

import pyarrow.parquet as pq
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


def reviews(number: int) -> tuple[ProfileEntry, ...]:
    return tuple(ProfileEntry(entry_id=str(i), input=f"{i} of {number}", response="5") for i in range(number))


def test_records_in_many_groups_are_the_same_records(tmp_path, monkeypatch):
    records = [record("train" if i % 3 else "dev", str(i), reviews(i % 7), "x", {"i": i}) for i in range(200)]
    monkeypatch.setattr(storage, "GROUP_CHARACTERS", 200)
    storage.write_records(tmp_path, iter(records))
    assert pq.ParquetFile(tmp_path / "train.parquet").num_row_groups > 5
    assert storage.read_records(tmp_path, ["train"]) == [r for r in records if r.split == "train"]
    assert storage.read_records(tmp_path, ["dev"]) == [r for r in records if r.split == "dev"]


def test_records_are_written_before_the_last_is_there_and_read_one_group_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "GROUP_CHARACTERS", 1)
    written = []
    write = storage._ParquetFile.write
    monkeypatch.setattr(storage._ParquetFile, "write", lambda file, items: (written.extend(items), write(file, items)))

    def records():
        for i in range(5):
            assert [item.record_id for item in written] == [str(j) for j in range(i)]
            yield record("train", str(i), reviews(3), None, None)

    storage.write_records(tmp_path, records())
    assert len(written) == 5
    assert next(storage.iterate_records(tmp_path)).record_id == "0"


def test_records_that_break_off_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "GROUP_CHARACTERS", 1)

    def records():
        yield record("train", "0", reviews(3), None, None)
        raise ValueError("the file ends here")

    with pytest.raises(ValueError, match="the file ends here"):
        storage.write_records(tmp_path, records())
    assert list(tmp_path.iterdir()) == []


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
