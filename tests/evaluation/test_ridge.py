"""The ridge text model: what it learns, what it may read, and that nothing of test people reaches it."""

from dataclasses import replace

import pytest

from tagpr.evaluation.references import references
from tagpr.evaluation.ridge import fit_ridge
from tagpr.types import ProfileEntry, Prompt, Record


def rated(number, query, gold, ratings=("3",), *, split="train", task="LaMP_3", truth=None):
    """Question `number`, of a person of its own."""
    profile = tuple(ProfileEntry(entry_id=str(i), input="x", response=said) for i, said in enumerate(ratings))
    return Record(
        record_id=f"r{number}", user_id=f"u{number}", task=task, split=split, purpose="sft", question="", query=query,
        gold=gold, profile=profile, retrieved=(), truth=truth,
    )  # fmt: skip


def kettles(count=24):
    """Good kettles get 5 and bad ones 1 from people whose own mean is 3: the words tell all."""
    return [rated(i, f"a {'good' if i % 2 else 'bad'} kettle", "5" if i % 2 else "1") for i in range(count)]


def test_words_decide_where_people_are_alike():
    rater = fit_ridge(kettles())["LaMP_3"]
    good, bad = (rater.rating(rated(99, f"a {word} kettle", None, split="test")) for word in ("good", "bad"))
    assert good == pytest.approx(5, abs=0.05)
    assert bad == pytest.approx(1, abs=0.05)
    assert rater.rating(rated(99, "an unheard of thing", None, split="test")) == pytest.approx(3, abs=0.1)


def test_the_persons_mean_decides_where_words_say_nothing():
    train = [rated(i, f"thing{i}", str(1 + i % 5), (str(1 + i % 5),) * 2) for i in range(40)]
    rater = fit_ridge(train)["LaMP_3"]
    assert rater.rating(rated(99, "new", None, ("2", "2"))) == pytest.approx(2, abs=0.05)
    # half of a 1 and a 4
    assert rater.rating(rated(99, "new", None, ("1", "4"))) == pytest.approx(2.5, abs=0.05)
    assert rater.rating(rated(99, "new", None, ())) == pytest.approx(3, abs=0.05), "nobody's mean is the typical one"


def test_ratings_stay_on_the_scale():
    train = [rated(i, "a kettle", str(1 + 2 * (i % 3)), (str(2 + i % 3),)) for i in range(30)]
    rater = fit_ridge(train)["LaMP_3"]
    # means 2, 3, 4 got 1, 3, 5: twice the distance from 3
    assert rater.rating(rated(99, "a kettle", None, ("5",))) == 5
    assert rater.rating(rated(99, "a kettle", None, ("1",))) == 1


def test_no_gold_of_test_or_dev_people_reaches_the_fit():
    others = [rated(100 + i, "a good kettle", "1", split=split) for i in range(20) for split in ("test", "dev")]
    asked = others[0]
    alone, beside = fit_ridge(kettles())["LaMP_3"], fit_ridge([*kettles(), *others])["LaMP_3"]
    assert beside.rating(asked) == alone.rating(asked)
    assert beside.alpha == alone.alpha
    # the record asked about keeps its answer whatever its own gold is
    assert {alone.rating(replace(asked, gold=gold)) for gold in ("1", "3", "5", None)} == {alone.rating(asked)}


def test_it_is_the_same_every_time_and_reads_ratings_of_real_people_alone():
    assert fit_ridge(kettles())["LaMP_3"].rating(kettles()[0]) == fit_ridge(kettles())["LaMP_3"].rating(kettles()[0])
    assert fit_ridge([rated(0, "a", "comedy", task="LaMP_2"), rated(1, "b", "4", truth={"rule": 1})]) == {}
    assert fit_ridge([rated(0, "a", None)]) == {}


def test_one_question_is_enough_to_answer():
    assert fit_ridge([rated(0, "a kettle", "4")])["LaMP_3"].rating(rated(1, "a boat", None)) == pytest.approx(4)


def test_both_readings_stand_among_the_references():
    record = rated(99, "a good kettle", "5", split="test")
    prompt = Prompt(record=record, text="", history=(), thinking=False, num_cut=0, num_dropped=0)
    found = {one.name: one for one in references(prompt, {}, fit_ridge(kettles()))}
    assert float(found["ridge"].answer) == pytest.approx(5, abs=0.05)
    assert found["ridge_rounded"].answer == "5"
    assert found["ridge_rounded"].score == 1.0
