"""Which golds stand in profiles, and that training reads none of another split or purpose."""

import json
from collections import defaultdict

import numpy as np
import pytest

from tagpr.context import StageContext
from tagpr.data.lamp import LampSource
from tagpr.data.leaks import LeakGuard, asked_of
from tagpr.data.retrieval import BM25Retriever
from tagpr.data.stage import run
from tagpr.prmu.pairs import shared_query_pairs
from tagpr.storage import read_records
from tagpr.types import ProfileEntry, Record

TRAINING = ("sft", "pairs", "rl")


def source(root, drop=TRAINING):
    return LampSource(
        root=str(root), tasks=[], report="dev", people_shares={"train": 60, "dev": 20, "test": 20},
        question_shares={"sft": 50, "pairs": 20, "rl": 30}, drop_golds_from=drop, folds=None,
        fold=0,
    )  # fmt: skip


def records_and_leaks(data, output):
    context = StageContext(stage="records", seed=0, checkpoints=output)
    counts = run(data=data, retrieval=BM25Retriever(k=20), inputs={}, output=output, context=context)
    return read_records(output), json.loads((output / "leaks.json").read_text()), counts


def by_purpose(figures):
    return {(one["in_profiles_of"], one["answer_to"]): (one["entries"], one["golds"]) for one in figures["by_purpose"]}


def sibling_golds_shown(records):
    """(record, other) where the record's prompt may show the other's query with its gold."""
    asked = defaultdict(list)
    for record in records:
        asked[record.query, record.gold].append(record)
    return [
        (record, other)
        for record in records
        for i in record.retrieved
        for other in asked[record.profile[i].input, record.profile[i].response]
    ]


# --- LaMP-2N's form: 10 authors, 5 questions each, 3 more articles ---------------------------------------------------
# An author's 5 profiles hold 4 sibling golds each: 20. 6 authors train, with 3 questions for sft, 1 for pairs and 1 for
# rl; in their profiles stand 3*2 golds of sft in sft, 3 of pairs and 3 of rl in sft, 3 + 1 in pairs and 3 + 1 in rl.

TRAIN = {
    ("sft", "sft"): (36, 18), ("sft", "pairs"): (18, 6), ("sft", "rl"): (18, 6), ("pairs", "sft"): (18, 18),
    ("pairs", "rl"): (6, 6), ("rl", "sft"): (18, 18), ("rl", "pairs"): (6, 6),
}  # fmt: skip


@pytest.mark.parametrize("named", [False, True])
def test_authors_and_sibling_golds_are_found_exactly(tmp_path, news_authors, named):
    root = news_authors(tmp_path / "LaMP_2", authors=10, questions_each=5, entries=3, named=named)
    records, leaks, counts = records_and_leaks(source(root), tmp_path)
    assert (leaks["questions"], leaks["people"], leaks["questions_per_person"]) == (50, 10, {"5": 10})
    assert by_purpose(leaks["sibling_golds"]) == {**TRAIN, ("dev", "dev"): (40, 10), ("test", "test"): (40, 10)}
    assert (leaks["sibling_golds"]["entries"], leaks["sibling_golds"]["golds"]) == (200, 50)
    assert (leaks["stranger_golds"]["entries"], leaks["own_entries"], leaks["own_golds_elsewhere"]) == (0, 0, 0)
    assert leaks["dropped_entries"] == {"sft": 36, "pairs": 24, "rl": 24}
    assert (counts["sibling_gold_entries"], counts["dropped_gold_entries"]) == (200, 84)
    several = leaks["people_with_several_ids"]
    assert (several["n"], several["count_once"]) == (10 if named else 0, True)
    if named:
        assert several["ids"]["u5"] == ["u5", "u6", "u7", "u8", "u9"]
    # One author, one split; and what a prompt may show of siblings is of the same purpose.
    split_of = defaultdict(set)
    for record in records:
        split_of[int(record.record_id[1:]) // 5].add(record.split)
    assert all(len(splits) == 1 for splits in split_of.values())
    assert {(a.purpose, b.purpose) for a, b in sibling_golds_shown(records)} == {
        ("sft", "sft"), ("dev", "dev"), ("test", "test"),
    }  # fmt: skip


def test_profiles_stay_as_downloaded_where_that_is_asked_for(tmp_path, news_authors):
    root = news_authors(tmp_path / "LaMP_2", authors=10, questions_each=5, entries=3)
    records, leaks, counts = records_and_leaks(source(root, drop=[]), tmp_path)
    assert all(len(record.profile) == 4 + 3 for record in records)
    assert leaks["sibling_golds"]["entries"] == len(sibling_golds_shown(records)) == 200
    assert (leaks["dropped_entries"], counts["dropped_gold_entries"]) == ({}, 0)
    assert leaks["left_entries"] == {"sft": 36, "pairs": 24, "rl": 24, "dev": 0, "test": 0}
    with pytest.raises(ValueError, match=r"data\.drop_golds_from names \['train'\]"):
        LeakGuard([], drop_from=["train"])


def test_authors_without_sibling_golds_give_none(tmp_path, news_authors):
    root = news_authors(tmp_path / "LaMP_2", authors=10, questions_each=5, entries=6, siblings=False)
    records, leaks, counts = records_and_leaks(source(root), tmp_path)
    assert leaks["people"] == 10, "the six other articles still tell the authors"
    nothing = {"entries": 0, "golds": 0, "by_purpose": []}
    assert leaks["sibling_golds"] == leaks["stranger_golds"] == nothing
    assert counts["dropped_gold_entries"] == 0
    assert all(len(record.profile) == 6 for record in records)


def test_an_author_of_both_official_splits_is_tested_alone(tmp_path, news_authors):
    """user-based files: the one of 8 authors whom both splits hold trains nothing, and all of dev is reported."""
    for split, first in (("train", 0), ("dev", 7)):
        folder = news_authors(tmp_path / "made", authors=8 + first, questions_each=2, entries=5)
        questions = json.loads((folder / "dev_questions.json").read_text())[2 * first :]
        golds = json.loads((folder / "dev_outputs.json").read_text())["golds"][2 * first :]
        for one in (*questions, *golds):
            one["id"] = f"{split}-{one['id']}"
        place = tmp_path / "root" / "LaMP_2" / split
        place.mkdir(parents=True)
        (place / f"{split}_questions.json").write_text(json.dumps(questions))
        (place / f"{split}_outputs.json").write_text(json.dumps({"task": "LaMP_2", "golds": golds}))
    records, leaks, _ = records_and_leaks(source(tmp_path / "root"), tmp_path)
    of = {split: {r.record_id for r in records if r.split == split} for split in ("train", "dev", "test")}
    assert of["test"] == {f"dev-q{i}" for i in range(14, 30)}
    assert of["train"] | of["dev"] == {f"train-q{i}" for i in range(14)}, "author 7 (14, 15) is left out"
    assert {(one, other) for one, other in by_purpose(leaks["sibling_golds"])} <= {
        (a, b) for a in TRAINING for b in TRAINING
    } | {("dev", "dev"), ("test", "test")}


# --- one record at a time --------------------------------------------------------------------------------------------


def record(record_id, user, purpose, query, gold, *profile, task="LaMP_3"):
    return Record(
        record_id=record_id, user_id=user, task=task, split="train" if purpose in TRAINING else purpose,
        purpose=purpose, question=query, query=query, gold=gold, retrieved=(),
        profile=tuple(
            ProfileEntry(entry_id=f"{record_id}.{i}", input=a, response=b) for i, (a, b) in enumerate(profile)
        ),
    )  # fmt: skip


def guarded(*records):
    guard = LeakGuard(map(asked_of, records), drop_from=TRAINING)
    kept = {one.record_id: [entry.entry_id for entry in guard.guarded(one).profile] for one in records}
    return kept, guard.report({})


@pytest.mark.parametrize(
    "task, kept_of_1",
    [("LaMP_4", ["1.1", "1.2"]), ("LaMP_3", ["1.0", "1.1", "1.2"])],  # one text is a copy, one rating is none
)
def test_a_strangers_text_of_another_split_is_not_read_in_training(task, kept_of_1):
    four, three, two, five = ("wind and rain", "a", "b", "c") if task == "LaMP_4" else ("4", "3", "2", "5")
    kept, leaks = guarded(
        # of the three entries the first answers a test question, the second a train question of somebody else; the
        # third is the test question answered otherwise
        record("1", "ann", "sft", "one", five, ("nine", four), ("two", three), ("nine", two), task=task),
        record("2", "bob", "rl", "two", three, task=task),
        record("9", "cat", "test", "nine", four, ("one", five), task=task),
    )
    assert kept == {"1": kept_of_1, "2": [], "9": ["9.0"]}
    assert by_purpose(leaks["stranger_golds"]) == {
        ("sft", "rl"): (1, 1),
        ("sft", "test"): (1, 1),
        ("test", "sft"): (1, 1),
    }
    assert leaks["sibling_golds"]["entries"] == 0


def test_own_entries_are_no_siblings():
    kept, leaks = guarded(
        record("1", "ann", "sft", "one", "5", ("one ", "5"), ("else", "1")),
        record("2", "ann", "rl", "one", "5", ("else", "2")),
    )
    # The same question asked twice: its entry is 1's own, which no retriever returns.
    assert (leaks["own_entries"], leaks["sibling_golds"]["entries"]) == (1, 0)
    assert kept["1"] == ["1.0", "1.1"]


def test_a_text_is_given_away_by_the_response_alone_among_siblings_only():
    kept, leaks = guarded(
        record(
            "1", "ann", "sft", "q1", "A long title", ("other", "A  long title"), ("z", "Second title"), task="LaMP_5"
        ),
        record("2", "ann", "rl", "q2", "Second title", task="LaMP_5"),
        record("3", "bob", "test", "q3", "Third", ("y", "Second title"), task="LaMP_5"),
    )
    assert (leaks["own_golds_elsewhere"], leaks["stranger_golds"]["entries"]) == (1, 0)
    assert by_purpose(leaks["sibling_golds"]) == {("sft", "rl"): (1, 1)}
    assert kept == {"1": ["1.0"], "2": [], "3": ["3.0"]}


def test_two_tasks_share_no_golds():
    _, leaks = guarded(
        record("1", "ann", "sft", "one", "5", ("two", "3")), record("2", "bob", "test", "two", "3", task="LaMP_2")
    )
    assert leaks["stranger_golds"]["entries"] == 0


def test_ids_of_one_profile_are_nobodys_negatives(tmp_path, news_authors):
    """N1 compares people: two ids of one author who answer one query otherwise are not two people."""
    root = news_authors(tmp_path / "LaMP_2", authors=6, questions_each=2, entries=8, named=True)
    questions = json.loads((root / "dev_questions.json").read_text())
    for one in questions[:4]:  # two authors, two ids each
        one["input"] = questions[0]["input"]
    (root / "dev_questions.json").write_text(json.dumps(questions))
    asked = [r for r in source(root).records(seed=0) if r.record_id in ("q0", "q1", "q2", "q3")]
    blocks = shared_query_pairs(asked, people_per_query=9, generator=np.random.default_rng(0))
    pairs = {frozenset((pair.record_id, pair.other_record_id)) for block in blocks for pair in block}
    assert pairs
    assert not pairs & {frozenset(("q0", "q1")), frozenset(("q2", "q3"))}
