"""Baselines on histories small enough to work by hand."""

from dataclasses import replace

import pytest

from tagpr.data.simulated.baselines import (
    BASELINES,
    bag_of_words,
    blind_majority,
    bm25_vote,
    nearest_entry,
    population_majority,
    symbolic,
    trained_blind,
)
from tagpr.data.simulated.gates import scores

QUERY = "this club : food soggy, staff devoted, room tidy"  # 2, 5, 3


@pytest.fixture
def asked(hand_record):
    entries = [
        ("this hall : food rotten, staff slow, room splendid", "5"),
        ("this club : food soggy, staff rude, room tidy", "1"),
        ("in autumn the room was dim, the staff polite", "2"),
    ]
    return hand_record("S3", QUERY, "3", entries, noise=0.1)


def test_one_answer_for_all_is_the_best_on_train_golds(asked):
    train = [replace(asked, gold=gold) for gold in ("1", "1", "4", "5")]
    # Errors of 4: 3 + 3 + 0 + 1 = 7, of 1: 0 + 0 + 3 + 4 = 7, of 5: 8; of equals the first.
    assert blind_majority(train, [asked, asked]) == ["1", "1"]


def test_texts_have_a_commonest_manner(hand_record):
    query = "we compare kites and bees in a short diary"
    golds = ("judging owls with tides!", "judging owls and tides.", "mapping owls and tides!")
    train = [hand_record("S5", query, gold, [], noise=0.1) for gold in golds]
    assert blind_majority(train, train[:1]) == ["judging kites and bees!"]


def test_other_people_who_were_asked_the_same(asked):
    people = [replace(asked, user_id=str(i), gold=gold) for i, gold in enumerate(("3", "5", "4", "4"))]
    elsewhere = replace(asked, query="another", user_id="9", gold="1")
    # For the first the others say 5, 4, 4; for the third 3, 5, 4: the middle one errs least.
    assert population_majority([replace(asked, gold="2")], [*people, elsewhere]) == ["4", "4", "4", "4", "2"]


def test_the_nearest_entry_shares_most_words(asked):
    assert nearest_entry([], [asked]) == ["1"]
    assert nearest_entry([], [replace(asked, profile=())]) == [""]


def test_the_vote_is_the_middle_of_the_nearest(asked):
    # 5, 1, 2: errors of 2 are 3 + 1, of 1: 4 + 1, of 5: 4 + 3.
    assert bm25_vote([], [asked]) == ["2"]


def test_a_symbolic_learner_finds_the_aspect(hand_record):
    entries = [("a snug cafe by the pier", "seaside"), ("a calm hall by the ridge", "mountain")]
    record = hand_record("S2", "a noisy club by the barn with dice", "village", entries, noise=0.1)
    assert symbolic([replace(record, gold="lively")], [record]) == ["village"]
    assert symbolic([replace(record, gold="lively")], [replace(record, profile=())]) == ["lively"]


def test_a_symbolic_learner_fits_levels(hand_record):
    levels = {1: "rotten", 2: "bland", 3: "plain", 4: "tasty", 5: "superb"}
    entries = [(f"this cafe : food {levels[n]}, staff slow, room dim", str(n)) for n in (1, 2, 4, 5, 1, 5)]
    record = hand_record("S3", "this cafe : food superb, staff slow, room dim", "5", entries, noise=0.1)
    train = [replace(record, gold="3", query=text) for text, _ in entries]
    assert symbolic(train, [record]) == ["5"]
    assert symbolic(train, [replace(record, profile=())]) == ["3"]


def test_a_symbolic_reader_of_manners_takes_the_commonest_part(hand_record):
    query = "we compare kites and bees in a short diary"
    said = ("judging owls with tides!", "mapping owls with tides.", "judging owls and tides~")
    record = hand_record("S5", query, "judging kites with bees!", [(query, text) for text in said], noise=0.1)
    # Endings are all equal: train people's commonest of them.
    assert symbolic([replace(record, gold="mapping owls and tides~")], [record]) == ["judging kites with bees~"]


def test_learners_beat_chance_and_history_helps_where_counting_helps(world):
    of_task = {t: [r for r in world if r.task == t] for t in ("S2", "S5")}
    for task, records in of_task.items():
        train = [r for r in records if r.split == "train"]
        test = [r for r in records if r.split == "test" and not r.truth["held_out_words"]][:120]

        def mean(baseline, train=train, test=test):
            return sum(scores(test, baseline(train, test))) / len(test)

        assert mean(trained_blind) >= mean(blind_majority) - 0.05
        if task == "S5":
            assert mean(bag_of_words) > mean(trained_blind) + 0.1


def test_every_baseline_answers_every_question(world):
    for task in ("S1", "S7"):
        records = [r for r in world if r.task == task]
        train, test = [r for r in records if r.split == "train"][:100], [r for r in records if r.split == "test"][:10]
        for name, baseline in BASELINES.items():
            answers = baseline(train, test)
            assert len(answers) == 10, name
            assert all(answers), name
