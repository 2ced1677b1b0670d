import math

import pytest

from tagpr.data.retrieval import BM25Retriever, NoRetriever, RandomRetriever, bm25_scores
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Record

TASK = ALL_TASKS["LaMP_3"]


def record(query: str, inputs: list[str], *, record_id: str = "q", task: str = "LaMP_3", gold: str = "5") -> Record:
    return Record(
        record_id=record_id,
        user_id="u",
        task=task,
        split="train",
        purpose="sft",
        question=ALL_TASKS[task].write_question(query),
        query=query,
        gold=gold,
        profile=tuple(ProfileEntry(entry_id=f"e{i}", input=text, response="5") for i, text in enumerate(inputs)),
        retrieved=(),
    )


def test_bm25_worked_by_hand():
    # N 3, mean length 2; "a" in 2 documents: idf log(1 + 1.5/2.5); "b" in 1: idf log(1 + 2.5/1.5). k1 1.5, b .75.
    # norm of lengths 2, 3, 1: 1.5 * (.25 + .75 * l / 2) = 1.5, 2.0625, .9375
    scores = bm25_scores(["a", "b", "zz"], [["a", "c"], ["a", "a", "b"], ["c"]])
    idf_a, idf_b = math.log(1.6), math.log(1 + 2.5 / 1.5)
    expected = [idf_a * 2.5 / 2.5, idf_a * 2 * 2.5 / 4.0625 + idf_b * 2.5 / 3.0625, 0.0]
    assert scores == pytest.approx(expected, abs=1e-12)


def test_bm25_puts_shared_words_first_and_of_equals_the_latest():
    rated = record("A blue kettle", ["red bicycle", "the KETTLE", "grey stone", "blue kettle!"])
    assert BM25Retriever(k=3).rank(rated, TASK, seed=0) == (3, 1, 2)


@pytest.mark.parametrize("retriever", [BM25Retriever(k=9), RandomRetriever(k=9)])
def test_the_own_entry_is_never_retrieved(retriever):
    by_text = record("same words", ["same words ", "other words", "same words too"])
    assert sorted(retriever.rank(by_text, TASK, seed=0)) == [1, 2]
    by_id = record("query", ["one", "two"], record_id="e1")
    assert retriever.rank(by_id, TASK, seed=0) == (0,)
    tweet = record("neutral words", ["", ""], task="LaMP_7", gold="5")
    assert retriever.rank(tweet, ALL_TASKS["LaMP_7"], seed=0) == ()


@pytest.mark.parametrize("retriever", [BM25Retriever(k=2), RandomRetriever(k=2), NoRetriever()])
def test_an_empty_profile_gives_nothing(retriever):
    assert retriever.rank(record("query", []), TASK, seed=0) == ()


def test_random_draws_without_replacement_and_by_its_seed():
    asked = record("query", [f"text {i}" for i in range(20)])
    drawn = [RandomRetriever(k=15).rank(asked, TASK, seed=seed) for seed in (0, 0, 1)]
    assert len(set(drawn[0])) == 15
    assert drawn[0] == drawn[1] != drawn[2]


def test_k_below_one_is_an_error():
    with pytest.raises(ValueError, match="retrieval=none"):
        BM25Retriever(k=0)
