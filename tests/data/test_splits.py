import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.data.splits import Fold, apportion, assign_purposes, divide, leak_groups
from tagpr.errors import BadInputError

PEOPLE = {"train": 60, "dev": 20, "test": 20}
QUESTIONS = {"sft": 50, "pairs": 20, "rl": 30}


def test_apportion_by_largest_remainder():
    # 6 of 60/20/20: 3.6, 1.2, 1.2 -> 3, 1, 1 and one more to the largest remainder
    assert apportion(6, PEOPLE) == {"train": 4, "dev": 1, "test": 1}
    # 4 of 50/20/30: 2, .8, 1.2
    assert apportion(4, QUESTIONS) == {"sft": 2, "pairs": 1, "rl": 1}


@pytest.mark.parametrize("shares", [{}, {"a": 0}, {"a": -1, "b": 3}])
def test_senseless_shares_are_errors(shares):
    with pytest.raises(ValueError, match="expected numbers >= 0"):
        apportion(3, shares)


@given(st.sets(st.text(min_size=1), min_size=3, max_size=40), st.integers(0, 5))
def test_everybody_is_in_one_split_and_no_split_is_empty(people, seed):
    parts = divide(sorted(people), PEOPLE, seed=seed, stream="people")
    assert set(parts) == people
    assert set(parts.values()) == set(PEOPLE)
    assert parts == divide(sorted(people, reverse=True), PEOPLE, seed=seed, stream="people")


def test_another_seed_or_stream_divides_otherwise():
    people = [str(i) for i in range(30)]
    parts = divide(people, PEOPLE, seed=0, stream="people")
    assert parts != divide(people, PEOPLE, seed=1, stream="people")
    assert parts != divide(people, PEOPLE, seed=0, stream="purposes")


def test_people_with_several_questions_divide_them_and_others_are_divided_whole():
    questions = {"many": [f"m{i}" for i in range(10)], **{f"p{i}": [f"p{i}a", f"p{i}b"] for i in range(10)}}
    purposes = assign_purposes(questions, QUESTIONS, seed=0)
    many = [purposes["many", question] for question in questions["many"]]
    assert [many.count(name) for name in QUESTIONS] == [5, 2, 3]
    whole = [purposes[f"p{i}", f"p{i}a"] for i in range(10)]
    assert [whole.count(name) for name in QUESTIONS] == [5, 2, 3]
    assert all(purposes[f"p{i}", f"p{i}a"] == purposes[f"p{i}", f"p{i}b"] for i in range(10))


def test_three_questions_serve_each_purpose_once():
    purposes = assign_purposes({"u": ["a", "b", "c"]}, QUESTIONS, seed=0)
    assert sorted(purposes.values()) == sorted(QUESTIONS)


def test_siblings_are_told_by_what_their_profiles_share():
    # 0 and 2 share 3 of 4; 1 shares one popular item with everybody; 4 holds half of 3's two; 5 and 6 are empty.
    items = [{1, 2, 3, 9}, {9, 20, 21, 22}, {1, 2, 3, 4, 5}, {30, 31}, {31, 40, 41, 42, 9}, set(), set()]
    assert leak_groups(items) == [0, 1, 0, 3, 3, 5, 6]


def test_ids_of_nearly_one_profile_are_one_person():
    shelf = set(range(10))
    items = [shelf, {1, 2, 3, 4, 50, 51}, shelf | {10}, {0, 1, 2, 3, 4, 5, 6, 7, 60, 61}, {1, 2}, {1, 2}]
    # a and c share 10 of 10; d has 8 of 10 with them; b has 4 of 6; e and f are too small to say anything
    assert leak_groups(items, list("abcdef")) == [0, 1, 0, 0, 4, 5]
    # co-authors: 6 of 10 are two ids' business, and one person where nobody is named
    coauthors = [shelf, {0, 1, 2, 3, 4, 5, 70, 71, 72, 73}]
    assert leak_groups(coauthors, ["a", "b"]) == [0, 1]
    assert leak_groups(coauthors, ["a", ""]) == leak_groups(coauthors) == [0, 0]
    # one id is one person, whatever the profiles
    assert leak_groups([{1}, {2}, {3}], ["a", "b", "a"]) == [0, 1, 0]


def test_what_everybody_holds_makes_nobody_one_person():
    # 21 people who liked the same five films, each with one of their own; 20 of them would be few enough
    films = set(range(5))
    many = [films | {100 + i} for i in range(21)]
    names = [f"u{i}" for i in range(21)]
    assert leak_groups(many, names) == list(range(21))
    assert leak_groups(many[:20], names[:20]) == [0] * 20


@given(st.lists(st.sets(st.integers(0, 12), max_size=6), max_size=8))
def test_groups_are_those_of_comparing_everybody_with_everybody(items):
    groups = list(range(len(items)))
    for _ in items:
        for i, a in enumerate(items):
            for j, b in enumerate(items):
                smaller = min(len(a), len(b))
                if i != j and smaller and 2 * len(a & b) >= smaller:
                    groups[i] = groups[j] = min(groups[i], groups[j])
    assert leak_groups(items) == groups


# --- folds -----------------------------------------------------------------------------------------------------------


@given(st.sets(st.text(min_size=1), min_size=8, max_size=40), st.integers(2, 6), st.integers(0, 5))
def test_over_all_folds_everybody_is_tested_once(people, count, seed):
    folds = [Fold(count=count, index=i).divide(sorted(people), PEOPLE, seed=seed) for i in range(count)]
    tested = [[person for person, split in parts.items() if split == "test"] for parts in folds]
    assert sorted(person for fold in tested for person in fold) == sorted(people)
    assert max(map(len, tested)) - min(map(len, tested)) <= 1
    assert all(set(parts) == people for parts in folds)
    assert folds[0] == Fold(count=count, index=0).divide(sorted(people, reverse=True), PEOPLE, seed=seed)


def test_the_people_outside_a_fold_are_train_and_dev_by_their_shares():
    parts = Fold(count=5, index=2).divide([f"p{i}" for i in range(110)], PEOPLE, seed=0)
    # 22 tested; of 88 three quarters, as 60 to 20
    assert {split: list(parts.values()).count(split) for split in PEOPLE} == {"train": 66, "dev": 22, "test": 22}
    whole = Fold(count=None, index=0).divide([f"p{i}" for i in range(110)], PEOPLE, seed=0)
    assert whole == divide([f"p{i}" for i in range(110)], PEOPLE, seed=0, stream="people")


@pytest.mark.parametrize(
    "count, index, message",
    [
        (None, 1, "data.fold=1, but data.folds is null"),
        (1, 0, "two folds or more"),
        (5, 5, "from 0"),
        (5, -1, "from 0"),
    ],
)
def test_a_fold_that_there_is_not(count, index, message):
    with pytest.raises(BadInputError, match=message):
        Fold(count=count, index=index)


def test_more_folds_than_people():
    with pytest.raises(BadInputError, match=r"data\.folds=4, but there are 3 people"):
        Fold(count=4, index=0).divide(["a", "b", "c"], PEOPLE, seed=0)
