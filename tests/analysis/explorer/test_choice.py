"""tagpr.analysis.explorer.choice: who is drawn, in which order, and what is said of wrong names."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.analysis.explorer.choice import Candidate, as_typed, check_name, draw, fitting, short_path
from tagpr.errors import UserError


def candidate(place, user, task="S2", *flags):
    return Candidate(place=place, record_id=f"q{place}", task=task, user_id=user, flags=frozenset(flags))


# ann has three questions, bob two, cat one.
SIX = [
    candidate(place, user) for place, user in enumerate(("ann", "ann", "bob", "ann", "cat", "bob"))
]  # fmt: skip


@given(seed=st.integers(0, 1000))
def test_everybody_is_asked_once_before_anybody_is_asked_twice(seed):
    people = [one.user_id for one in draw(SIX, number=6, seed=seed)]
    assert sorted(people[:3]) == ["ann", "bob", "cat"]
    assert sorted(people[3:5]) == ["ann", "bob"]
    assert people[5] == "ann"


@given(seed=st.integers(0, 1000), number=st.integers(1, 8))
def test_a_larger_number_goes_on_where_a_smaller_one_ends(seed, number):
    assert draw(SIX, number=number, seed=seed) == draw(SIX, number=6, seed=seed)[:number]


def test_the_seed_decides_and_every_order_of_people_occurs():
    orders = {tuple(one.user_id for one in draw(SIX, number=3, seed=seed)) for seed in range(60)}
    assert len(orders) == 6
    firsts = {draw(SIX[:2], number=1, seed=seed)[0].place for seed in range(20)}
    assert firsts == {0, 1}


def test_only_what_fits_is_drawn_from_and_nothing_is_told():
    mixed = [candidate(0, "ann", "S2", "wrong"), candidate(1, "ann", "S3", "wrong"), candidate(2, "bob", "S3")]
    assert [one.place for one in fitting(mixed, task=None, only=None)] == [0, 1, 2]
    assert [one.place for one in fitting(mixed, task="S3", only=None)] == [1, 2]
    assert [one.place for one in fitting(mixed, task=None, only="wrong")] == [0, 1]
    assert [one.place for one in fitting(mixed, task="S3", only="wrong")] == [1]
    with pytest.raises(UserError, match="None of 3 fits --task S2 and --only right: there is nothing to show"):
        fitting(mixed, task="S2", only="right")


def test_a_wrong_name_is_told_with_the_nearest():
    check_name("--only", "wrong", ["right", "wrong"])
    with pytest.raises(UserError, match=r"--only wrogn: .*only right, wrong\. Did you mean wrong\?"):
        check_name("--only", "wrogn", ["right", "wrong"])
    with pytest.raises(UserError, match=r"only right, wrong\.$"):
        check_name("--only", "zzz", ["right", "wrong"])


def test_the_page_can_say_how_it_was_made_and_not_on_which_machine():
    assert as_typed(30, 1, None, "wrong") == "--questions 30 --seed 1 --only wrong"
    assert short_path(Path("/elsewhere/runs/cache/rl_guided/0123")) == Path("runs/cache/rl_guided/0123")
