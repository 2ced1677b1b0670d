"""Histories of every length in training, whole ones elsewhere."""

from collections import Counter
from dataclasses import replace

import pytest

from tagpr.data.retrieval import RandomRetriever
from tagpr.data.varied_history import VariedRetriever
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Record

TASK = ALL_TASKS["LaMP_3"]


def record(number: int, *, split: str, entries: int = 9) -> Record:
    profile = tuple(ProfileEntry(entry_id=f"e{i}", input=f"text {i}", response="5") for i in range(entries))
    return Record(
        record_id=f"q{number}", user_id="u", task="LaMP_3", split=split, purpose="sft", question="", query="a text",
        gold="5", profile=profile, retrieved=(),
    )  # fmt: skip


@pytest.mark.parametrize("split", ["dev", "test"])
def test_test_and_dev_people_keep_the_whole_random_order(split):
    for number in range(5):
        own = record(number, split=split)
        assert VariedRetriever(k=4).rank(own, TASK, seed=3) == RandomRetriever(k=4).rank(own, TASK, seed=3)


def test_train_people_see_the_beginning_of_the_same_order_in_every_length():
    lengths = Counter()
    for number in range(500):
        own = record(number, split="train")
        shown = VariedRetriever(k=4).rank(own, TASK, seed=3)
        assert shown == RandomRetriever(k=4).rank(own, TASK, seed=3)[: len(shown)]
        lengths[len(shown)] += 1
    # 500 log((n + 2) / (n + 1)) / log 6: 193.4, 113.1, 80.3, 62.3, 50.9; a standard deviation is at most 10.9
    expected = {0: 193.4, 1: 113.1, 2: 80.3, 3: 62.3, 4: 50.9}
    assert lengths == {n: pytest.approx(count, abs=45) for n, count in expected.items()}


def test_a_short_profile_bounds_the_length_and_the_seed_decides():
    own = [record(number, split="train", entries=2) for number in range(50)]
    drawn = {seed: [len(VariedRetriever(k=8).rank(one, TASK, seed=seed)) for one in own] for seed in (0, 1)}
    assert set(drawn[0]) == {0, 1, 2}
    assert drawn[0] != drawn[1]
    assert drawn[0] == [len(VariedRetriever(k=8).rank(one, TASK, seed=0)) for one in own]
    assert VariedRetriever(k=8).rank(replace(own[0], profile=()), TASK, seed=0) == ()


def test_no_entries_at_all_are_another_retriever():
    with pytest.raises(ValueError, match="retrieval=none"):
        VariedRetriever(k=0)
