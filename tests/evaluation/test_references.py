import math

import pytest

from tagpr.evaluation.references import NAMES, population_modes, references
from tagpr.types import ProfileEntry, Prompt, Record


def record_of(task, gold, responses=(), record_id="r"):
    profile = tuple(ProfileEntry(entry_id=str(i), input="", response=said) for i, said in enumerate(responses))
    return Record(
        record_id=record_id, user_id="u", task=task, split="test", purpose="test", question="", query="", gold=gold,
        profile=profile, retrieved=(),
    )  # fmt: skip


def beside(record, modes, shown=0, raters=None):
    prompt = Prompt(record=record, text="", history=record.profile[:shown], thinking=False, num_cut=0, num_dropped=0)
    return {reference.name: reference for reference in references(prompt, modes, raters or {})}


def test_population_modes_skip_texts_and_withheld_golds_and_break_ties_by_name():
    train = [
        record_of("LaMP_3", "4"), record_of("LaMP_3", "5"), record_of("LaMP_3", None), record_of("LaMP_3", None),
        record_of("LaMP_2", "comedy"), record_of("LaMP_2", "comedy"), record_of("LaMP_2", "action"),
        record_of("LaMP_5", "A title"),
    ]  # fmt: skip
    assert population_modes(train) == {"LaMP_3": "4", "LaMP_2": "comedy"}


@pytest.mark.parametrize(
    "responses, mode, mean",
    [
        (("5", "5", "1"), "5", "4"),  # 11/3 = 3.67
        (("2", "3"), "2", "3"),  # a tie: the smaller; 2.5 goes up
        (("4", "3", "4", "3"), "3", "4"),  # 3.5 goes up too
        (("1",), "1", "1"),
    ],
)
def test_a_persons_own_ratings(responses, mode, mean):
    found = beside(record_of("LaMP_3", "4", responses), {"LaMP_3": "5"})
    assert {name: one.answer for name, one in found.items()} == {
        "population_mode": "5", "profile_mode": mode, "profile_mean": mean,
    }  # fmt: skip
    assert found["population_mode"].score == 0.75


def test_the_whole_profile_counts_not_only_what_the_prompt_shows():
    assert beside(record_of("LaMP_3", "1", ("5", "1", "1")), {}, shown=1)["profile_mode"].answer == "1"


def test_an_empty_profile_and_a_text_task_have_no_profile_rows():
    assert list(beside(record_of("LaMP_3", "4"), {"LaMP_3": "5"})) == ["population_mode"]
    assert beside(record_of("LaMP_5", "A title", ("One", "Two")), {}) == {}
    labels = beside(record_of("LaMP_2", "comedy", ("comedy", "action", "action")), {})
    assert {name: one.answer for name, one in labels.items()} == {"profile_mode": "action"}


def test_without_gold_there_is_an_answer_but_no_score():
    assert math.isnan(beside(record_of("LaMP_3", None, ("4",)), {})["profile_mode"].score)


def test_simulated_people_have_a_floor_and_a_ceiling(simulated_records):
    test = [record for record in simulated_records if record.split == "test"]
    modes = population_modes(record for record in simulated_records if record.split == "train")
    whole = [beside(record, modes, shown=len(record.profile)) for record in test]
    empty = [beside(record, modes, shown=0) for record in test]
    # Order: from what knows nothing to what knows most.
    assert all(list(found) == [name for name in NAMES if name in found] for found in whole)
    assert all({"blind", "bayes"} <= found.keys() for found in whole)

    def mean(found, name):
        return sum(each[name].score for each in found) / len(found)

    assert mean(whole, "bayes") > mean(whole, "blind") + 0.1
    # An observer who is shown nothing is the blind one.
    assert [each["bayes"].answer for each in empty] == [each["blind"].answer for each in empty]
