import math
import random
from dataclasses import replace

import bm25s
import pytest

from tagpr.data.retrieval import (
    BM25Retriever,
    NoRetriever,
    OfficialBM25Retriever,
    RandomRetriever,
    RecencyRetriever,
    bm25_scores,
    official_bm25_scores,
)
from tagpr.errors import BadInputError
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


@pytest.mark.parametrize("seed", range(4))
def test_bm25_is_that_of_bm25s(seed):
    """Which leaves out the constant factor k1 + 1, and takes 5 times as long for one query per corpus."""
    rng = random.Random(seed)
    documents = [rng.choices("abcdefghij", k=rng.randint(1, 12)) for _ in range(30)]
    query = rng.choices("abcdefghijklm", k=8)
    other = bm25s.BM25(method="lucene", k1=1.5, b=0.75, dtype="float64", backend="numpy")
    other.index(documents, show_progress=False)
    assert bm25_scores(query, documents) == pytest.approx(2.5 * other.get_scores(query), abs=1e-12)


def test_bm25_puts_shared_words_first_and_of_equals_the_latest():
    rated = record("A blue kettle", ["red bicycle", "the KETTLE", "grey stone", "blue kettle!"])
    assert BM25Retriever(k=3).rank(rated, TASK, seed=0) == (3, 1, 2)


@pytest.mark.parametrize("retriever", [BM25Retriever(k=9), OfficialBM25Retriever(k=9), RandomRetriever(k=9)])
def test_the_own_entry_is_never_retrieved(retriever):
    by_text = record("same words", ["same words ", "other words", "same words too"])
    assert sorted(retriever.rank(by_text, TASK, seed=0)) == [1, 2]
    by_id = record("query", ["one", "two"], record_id="e1")
    assert retriever.rank(by_id, TASK, seed=0) == (0,)
    tweet = record("neutral words", ["", ""], task="LaMP_7", gold="5")
    assert retriever.rank(tweet, ALL_TASKS["LaMP_7"], seed=0) == ()


@pytest.mark.parametrize(
    "retriever",
    [
        *(BM25Retriever(k=2), OfficialBM25Retriever(k=2), RecencyRetriever(k=2)),
        *(RandomRetriever(k=2), NoRetriever()),
    ],
)
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


# --- the official ranking --------------------------------------------------------------------------------------------


def test_official_bm25_worked_by_hand():
    # N 3, mean length 2. Words in 1 document: idf log 2.5 - log 1.5 = x; "a" in 2: -x. The mean over a, b, c, d is
    # (-x + 3x) / 4 = x / 2, so "a" counts x / 8. Norms of lengths 2, 3, 1 as above. "b" is asked twice.
    scores = official_bm25_scores(["a", "b", "b", "zz"], [["a", "c"], ["a", "a", "b"], ["d"]])
    idf = math.log(2.5 / 1.5)
    expected = [idf / 8 * 2.5 / 2.5, idf / 8 * 2 * 2.5 / 4.0625 + 2 * idf * 2.5 / 3.0625, 0.0]
    assert scores == pytest.approx(expected, abs=1e-12)


def test_official_bm25_where_the_mean_idf_itself_is_negative():
    # N 1: "a" and "b" have idf log .5 - log 1.5 = -log 3 each; a quarter of the mean is -log(3) / 4. Length = mean.
    assert official_bm25_scores(["a"], [["a", "b"]]) == pytest.approx([-math.log(3) / 4 * 2.5 / 2.5], abs=1e-12)
    assert official_bm25_scores(["a"], [[], []]) == [0.0, 0.0]


def test_official_bm25_keeps_case_and_punctuation():
    rated = record("A blue kettle", ["red bicycle", "the KETTLE", "grey stone", "kettle"])
    assert OfficialBM25Retriever(k=4).rank(rated, TASK, seed=0) == (3, 2, 1, 0)
    assert BM25Retriever(k=2).rank(rated, TASK, seed=0) == (3, 1)


# --- recency ---------------------------------------------------------------------------------------------------------


def dated(*dates: str) -> Record:
    asked = record("query", [f"text {i}" for i in range(len(dates))])
    return replace(asked, profile=tuple(replace(e, date=d) for e, d in zip(asked.profile, dates, strict=True)))


def test_recency_gives_the_newest_first():
    # a year alone is before every day of it; of one day the later in the profile is the newer
    asked = dated("2014-12-31", "2015-10-01", "2015-9-30", "2015", "2015-10-01")
    assert RecencyRetriever(k=4).rank(asked, TASK, seed=0) == (4, 1, 2, 3)


@pytest.mark.parametrize("date", ["", "last week"])
def test_recency_without_dates_says_what_to_do(date):
    with pytest.raises(BadInputError, match=rf"LaMP_3 q, profile entry 1 has the date '{date}'.*--split time"):
        RecencyRetriever(k=1).rank(dated("2014", date), TASK, seed=0)


def test_recency_never_gives_the_own_entry():
    asked = replace(dated("2014", ""), record_id="e1")
    assert RecencyRetriever(k=2).rank(asked, TASK, seed=0) == (0,)
