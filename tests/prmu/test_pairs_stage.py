"""Pairs of a few people from a policy that writes noise: every type, from the right people, and what they cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tagpr.chains.tags import TagVocabulary
from tagpr.data.retrieval import BM25Retriever
from tagpr.prmu import pairs_stage
from tagpr.prmu.pairs import PolicySample
from tagpr.prmu.pairs.base import make_pair
from tagpr.storage import read_json, read_pairs, read_parquet, read_records, write_records
from tests.prmu.stages import PAIRS, STYLE, LabelEngine, context


def test_pairs_of_every_type_from_the_right_people(folder, made_pairs):
    output, counts = made_pairs
    pairs = read_pairs(output)
    records = {r.record_id: r for r in read_records(folder / "records")}
    # Of people who share a query, right labels are N1's already (N2), and labels are not edited (N5).
    assert {p.negative_type for p in pairs} == {"N1", "N1_label", "N3", "N4", "N6"}
    for pair in pairs:
        record = records[pair.record_id]
        assert record.split == pair.split
        assert record.purpose in ("pairs", "dev")
        assert pair.chosen == record.gold or pair.negative_type == "N4"
        assert pair.chosen != pair.rejected
    assert {p.query for p in pairs if p.split == "train"} & {p.query for p in pairs if p.split == "dev"} == set()
    assert sum(n for name, n in counts.items() if name.startswith(("train_", "dev_"))) == len(pairs)
    # Nine people with three `pairs` questions each, all compared with one another; dev keeps half of shared queries.
    assert counts["gold_labels"] == 27
    report = read_json(output / "pairs.json")
    assert report["shortcuts"]["accuracy"]["user_agnostic"]["N1"] == 0.5
    for split, by_type in report["accounts"].items():
        for kind, one in by_type.items():
            assert one["made"] == one["kept"] + sum(one["dropped"].values())
            assert one["kept"] == sum(p.negative_type == kind and p.split == split for p in pairs)
            assert counts.get(f"{split}_{kind}", 0) == one["kept"]
    assert "| N1 | " in (output / "pairs.md").read_text()


def test_answers_under_another_history(folder, backbone, tmp_path):
    # Prompts must show a history for another's to stand in its place.
    shown = [replace(record, retrieved=(0, 1, 2)) for record in read_records(folder / "records")]
    write_records(tmp_path / "records", shown)
    mix = dict.fromkeys(PAIRS.mix, 0.0) | {"N2": 1.0}
    counts = pairs_stage.run(
        backbone=backbone,
        prompt=STYLE,
        tags=TagVocabulary(names=()),
        engine=LabelEngine,
        retrieval=BM25Retriever(k=3),
        pairs=replace(PAIRS, mix=mix),
        inputs={"records": tmp_path / "records", "sft": folder / "sft"},
        output=tmp_path,
        context=context(tmp_path, "pairs"),
    )
    pairs = read_pairs(tmp_path)
    records = {record.record_id: record for record in shown}
    lenders = {
        row["record_id"]: row["lender_id"] for row in read_parquet(tmp_path / "samples.parquet") if row["lender_id"]
    }
    assert counts["train_N2"] == sum(p.split == "train" for p in pairs) > 0
    assert {p.negative_type for p in pairs} == {"N2"}
    for record_id, lender_id in lenders.items():
        own, lender = records[record_id], records[lender_id]
        assert (own.query, own.split) == (lender.query, lender.split)  # everybody is asked the same here
        assert own.gold != lender.gold
    for pair in pairs:
        own, other = records[pair.record_id], records[pair.other_record_id]
        assert (pair.chosen, pair.rejected) == (own.gold, other.gold)
        assert lenders.get(pair.record_id) == pair.other_record_id or lenders[pair.other_record_id] == pair.record_id
    # Of train people only asked and lending questions were looked at: nine at most, and no other type was wanted.
    golds = {r for p in pairs if p.split == "train" for r in (p.record_id, p.other_record_id)}
    asked = {row["record_id"] for row in read_parquet(tmp_path / "samples.parquet") if row["split"] == "train"}
    assert counts["gold_labels"] == len(golds | asked)


def test_samples_carry_their_scores(made_pairs):
    samples = [PolicySample(**row) for row in read_parquet(made_pairs[0] / "samples.parquet")]
    assert {s.split for s in samples} == {"train", "dev"}
    assert {s.with_history for s in samples} == {True, False}
    assert all(not s.parsed and s.score == 0.0 for s in samples if s.answer == "nonsense")
    assert any(s.score == 1.0 for s in samples)
    assert made_pairs[1]["samples_parsed"] == sum(s.parsed for s in samples) < len(samples)


def report_with(*exceeded: str) -> dict:
    return {"exceeded": list(exceeded), "limit": 0.65}


def test_a_shortcut_stops_simulated_runs_and_is_told_of_real_ones():
    found = report_with("length on N2: 0.700 of 90 questions")
    with pytest.raises(
        pairs_stage.ShortcutError, match=r"length on N2: 0\.700 of 90 .* at most 0\.65.*pairs\.mix\.N2=0"
    ):
        pairs_stage.judge_shortcuts(found, simulated=True)
    with pytest.warns(pairs_stage.ShortcutWarning, match=r"length on N2: 0\.700"):
        pairs_stage.judge_shortcuts(found, simulated=False)
    pairs_stage.judge_shortcuts(report_with(), simulated=True)


def test_repetition_is_taste_in_the_simulated_world_and_told_of_real_ones():
    found = report_with("history_overlap on N1: 0.800 of 90 questions")
    pairs_stage.judge_shortcuts(found, simulated=True)
    with pytest.warns(pairs_stage.ShortcutWarning, match="history_overlap"):
        pairs_stage.judge_shortcuts(found, simulated=False)


def test_golds_are_counted_once_and_only_where_they_were_looked_at(make_record):
    train = [
        make_record("a", "u", query="shared"),
        make_record("b", "v", query="shared"),
        make_record("c", "w", query="own"),
        make_record("d", "w", query="another", task="S5", gold="text"),
        make_record("e", "x", query="a third", task="S5", gold="text"),
    ]
    none = dict.fromkeys(PAIRS.mix, 0.0)
    pair = make_pair(train[0], "cosy", "N2", other_record_id="b")

    def count(*pairs, samples=(), **mix):
        return pairs_stage.num_golds(train, pairs, samples, mix=none | mix)

    assert count(N3=1.0) == 0
    assert count(pair, pair, N3=1.0) == 2
    assert count(N1=1.0) == 2  # compared, whether or not they disagree
    assert count(N1_label=1.0) == 3  # counted
    assert count(N5=1.0) == 2  # drawn from
    assert count(pair, N1=1.0, N1_label=1.0, N5=1.0) == 5
    dev = make_record("z", "z", split="dev")
    assert count(make_pair(dev, "cosy", "N3"), N3=1.0) == 0  # dev people's golds are not train people's
