"""Means of quantities that some questions lack."""

import pytest

from tagpr.evaluation.partial import partial_means


def test_a_mean_over_tasks_counts_only_questions_and_tasks_that_have_the_quantity():
    rows = [
        (0, "ann", "S2", {"x": 1.0, "y": 1.0}),
        (0, "ann", "S2", {"x": 0.0}),
        (0, "bob", "S3", {"x": 1.0}),
        (0, "cat", "S3", {}),
    ]
    found = partial_means(rows, nested=True)
    assert found["x"].value == pytest.approx((0.5 + 1.0) / 2)
    assert (found["x"].questions, found["x"].people) == (3, 2)
    assert (found["y"].value, found["y"].questions, found["y"].people) == (1.0, 1, 1)
    assert found["x"].low is None  # three people
    assert partial_means([(0, "ann", "S2", {})], nested=True) == {}


def test_intervals_exist_from_twenty_people_with_the_quantity_on():
    rows = [(0, f"u{i}", "S2", {"all": float(i % 2), **({"some": 1.0} if i < 19 else {})}) for i in range(20)]
    found = partial_means(rows, nested=True)
    # 20 people, half of them 1: standard error sqrt(.25 / 20) = .112, the percentile interval is .5 +- .2
    assert (found["all"].low, found["all"].high) == pytest.approx((0.3, 0.7), abs=0.051)
    assert found["some"].low is None


def test_people_of_two_worlds_are_two_people_and_of_one_world_one():
    rows = [(seed, "ann", "S2", {"x": float(seed)}) for seed in (0, 1)]
    assert partial_means(rows, nested=True)["x"].people == 2
    assert partial_means(rows, nested=False)["x"].people == 1
    assert partial_means(rows, nested=False)["x"].value == 0.5
