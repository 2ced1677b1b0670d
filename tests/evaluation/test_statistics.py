"""Figures, resamples and tests: hand-worked values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.evaluation import statistics as s


def rows_of_two_people():
    # one replicate; ann: task a 1, 0; task b 1.  bob: task a 1.   values: (score, blind, best)
    return [
        (0, "ann", "a", (1.0, 0.25, 1.0)),
        (0, "ann", "a", (0.0, 0.25, 1.0)),
        (0, "ann", "b", (1.0, 0.50, 1.0)),
        (0, "bob", "a", (1.0, 0.25, 0.5)),
    ]


def test_means_are_over_questions_then_over_tasks():
    cells = s.collect(rows_of_two_people(), nested=True)
    assert cells.sums.shape == (1, 2, 2, 3)
    # task a: 2/3, task b: 1 -> 5/6
    assert s.estimate(cells, s.mean_over_tasks(0)) == pytest.approx(5 / 6)
    # blind: (.25 + .5) / 2 = .375; best: ((2.5 / 3) + 1) / 2 = 11/12; gap closed = (5/6 - .375) / (11/12 - .375)
    assert s.estimate(cells, s.gap_closed(0, 1, 2)) == pytest.approx((5 / 6 - 0.375) / (11 / 12 - 0.375))
    assert s.estimate(cells, s.difference(0, 1)) == pytest.approx(5 / 6 - 0.375)


def test_gap_closed_without_a_gap_is_nan_not_infinite():
    cells = s.collect([(0, "ann", "a", (1.0, 0.5, 0.5))], nested=True)
    assert np.isnan(s.estimate(cells, s.gap_closed(0, 1, 2)))


def test_one_task_and_the_mean_of_tasks():
    cells = s.collect(rows_of_two_people(), nested=True)
    gap = s.gap_closed(0, 1, 2)
    # task a: (2/3 - 1/4) / (5/6 - 1/4) = 5/7; task b: (1 - 1/2) / (1 - 1/2) = 1
    assert [s.estimate(cells, s.of_task(gap, task)) for task in (0, 1)] == pytest.approx([5 / 7, 1.0])
    assert s.estimate(cells, s.mean_of_tasks(gap, 2)) == pytest.approx(6 / 7)


def test_people_of_different_replicates_are_kept_apart_only_when_nested():
    rows = [(r, f"u{i}", "a", (float(r),)) for r in range(2) for i in range(15)]
    assert s.collect(rows, nested=True).num_people == 30
    assert s.collect(rows, nested=False).num_people == 15


def test_bootstrap_is_the_same_whatever_the_chunk(monkeypatch):
    cells = s.collect([(0, f"u{i}", "a", (float(i),)) for i in range(25)], nested=True)
    whole = s.bootstrap(cells.by_person(), s.mean_over_tasks(0), num_resamples=300, seed=3)
    monkeypatch.setattr(s, "_CHUNK_FLOATS", 25 * 7)
    monkeypatch.setattr(s, "_CACHED_COUNTERS", 25 * 7)
    assert np.array_equal(s.bootstrap(cells.by_person(), s.mean_over_tasks(0), num_resamples=300, seed=3), whole)
    assert whole.shape == (300,)
    assert whole.std() == pytest.approx(np.std(np.arange(25)) / 5, rel=0.15)


def test_sign_flip_by_hand():
    # all 8 sign patterns of (1, 2, 3): |mean| >= 2 only for +++ and ---
    assert s.sign_flip_test([1.0, 2.0, 3.0], num_flips=0, seed=0) == pytest.approx(2 / 8)
    assert s.sign_flip_test([0.0, 0.0], num_flips=0, seed=0) == 1.0
    assert s.sign_flip_test([1.0] * 20, num_flips=1000, seed=0) == pytest.approx(1 / 1000)


def test_holm_by_hand():
    assert s.holm([0.01, 0.04, 0.03], num_listed=3) == pytest.approx([0.03, 0.06, 0.06])
    assert s.holm([0.9, 0.8], num_listed=2) == pytest.approx([1.0, 1.0])
    # two of five could not be tested: they count as p = 1
    assert s.holm([0.01, 0.04, 0.03], num_listed=5) == pytest.approx(s.holm([0.01, 0.04, 0.03, 1, 1], num_listed=5)[:3])
    assert s.holm([], num_listed=2) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_and_keeps_the_order(p_values):
    adjusted = s.holm(p_values, num_listed=len(p_values))
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    order = np.argsort(p_values)
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


@pytest.mark.parametrize(
    ("estimate", "p", "bounds", "expected"),
    [
        (0.02, 0.01, (0.01, 0.03), "holds"),
        (-0.02, 0.01, (-0.03, -0.01), "fails"),
        (0.02, 0.05, (0.01, 0.03), "holds"),  # the level itself
        (0.02, 0.0501, (0.01, 0.03), "undecided"),
        (0.001, 0.6, (-0.009, 0.009), "tie"),
        (0.001, 0.6, (-0.011, 0.009), "undecided"),
        (0.001, 0.6, None, "undecided"),
    ],
)
def test_outcomes(estimate, p, bounds, expected):
    given = {"estimate": estimate, "adjusted_p": p, "interval_90": bounds, "margin": 0.01}
    assert s.outcome(**given, num_replicates=10) == expected
    assert s.outcome(**given, num_replicates=9) == "undecided"
