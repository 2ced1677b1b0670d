"""Intervals of several replicates: hand-worked values, and coverage by simulation."""

import math

import numpy as np
import pytest

from tagpr.evaluation.spread import Spread, replicate_p, spreads
from tagpr.evaluation.statistics import Cells, mean_over_tasks


def one(means):
    return mean_over_tasks(0)(means)[:, None]


def cells_of(values, *, nested):
    """(R, U) scores, a question each."""
    values = np.asarray(values, dtype=float)[:, :, None]
    return Cells(sums=values[..., None], counts=np.ones_like(values), nested=nested)


def spread_of(values, *, nested, num_resamples=10_000):
    return spreads(cells_of(values, nested=nested), one, num_resamples=num_resamples, seed=0)[0]


def test_own_people_give_the_t_interval_of_the_replicates_means():
    spread = spread_of([[0.2] * 20, [0.4] * 20, [0.9] * 20], nested=True)
    # mean .5; s^2 = (.09 + .01 + .16) / 2 = .13; V = .13 / 3; t with 2 degrees of freedom 4.3027: half .8957
    ((variance, df),) = spread.variances
    assert (variance, df) == (pytest.approx(0.13 / 3, rel=0.03), 2)
    assert spread.interval(0.95) == pytest.approx((0.5 - 0.8957, 0.5 + 0.8957), abs=0.02)


def test_each_source_has_its_own_t():
    spread = Spread(value=1.0, variances=((0.04, 2), (0.01, 99)), samples=None, num_people=100)
    # 4.302653^2 * .04 + 1.984217^2 * .01 = .779884
    assert spread.interval(0.95) == pytest.approx((1 - math.sqrt(0.779884), 1 + math.sqrt(0.779884)), abs=1e-5)
    assert spread.standard_error == pytest.approx(math.sqrt(0.05))


def test_p_is_where_the_interval_reaches_zero():
    # one source, two degrees of freedom: t = 4.302653 is the 95 % point
    spread = Spread(value=-4.302653 * 0.2, variances=((0.04, 2),), samples=None, num_people=100)
    assert spread.p_of_zero() == pytest.approx(0.05, abs=1e-6)
    still = {"variances": ((0.0, 2),), "samples": None, "num_people": 100}
    assert Spread(value=0.1, **still).p_of_zero() == pytest.approx(0.0, abs=1e-9)
    assert Spread(value=0.0, **still).p_of_zero() == 1.0
    with pytest.raises(ValueError, match="several replicates"):
        Spread(value=0.1, variances=((0.1, 3),), samples=np.zeros(3), num_people=100).p_of_zero()


def test_people_who_never_change_count_whole_in_every_replicate():
    # 50 people, half always 1 and half always 0, in 4 replicates: nothing from replicates, .25 / 49 from people.
    replicates, people = spread_of([[0.0, 1.0] * 25] * 4, nested=False).variances
    assert replicates == (0.0, 3)
    assert people == (pytest.approx(0.25 / 49, rel=0.04), 49)


def test_noise_of_single_answers_is_not_counted_for_people_too():
    # A checkerboard: every row and every column has the same mean, so nothing is owed to replicate or person.
    board = np.indices((4, 40)).sum(axis=0) % 2
    replicates, people = spread_of(board, nested=False).variances
    assert replicates[0] == pytest.approx(0.0, abs=1e-12)
    assert people[0] == pytest.approx(0.0, abs=1e-12)


def test_a_single_replicate_has_percentiles_over_people():
    spread = spread_of([[0.0, 1.0] * 20], nested=True)
    # Binomial(40, .5) / 40 has its 2.5 % and 97.5 % points at .35 and .65
    assert spread.interval(0.95) == pytest.approx((0.35, 0.65), abs=0.011)
    assert spread.standard_error == pytest.approx(0.5 / math.sqrt(39), rel=0.03)


def test_no_interval_for_few_people_or_without_a_value():
    assert spread_of([[0.0] * 19], nested=True).interval(0.95) is None
    assert spread_of([[0.0] * 19] * 3, nested=False).interval(0.95) is None
    assert spread_of([[0.0] * 20], nested=True).interval(0.95) == (0.0, 0.0)
    assert spread_of([[np.nan] * 20] * 3, nested=True, num_resamples=10).interval(0.95) is None


def test_a_resample_without_a_tasks_people_is_left_out():
    counts = np.ones((1, 20, 2))
    counts[0, 1:, 1] = 0  # one person alone has the second task
    cells = Cells(sums=0.5 * counts[..., None], counts=counts, nested=True)
    (spread,) = spreads(cells, one, num_resamples=500, seed=0)
    assert 250 < len(spread.samples) < 400  # 1 - (19/20)^20 = .64 of the draws hold that person
    assert spread.interval(0.95) == (0.5, 0.5)


def test_shared_people_are_not_replicates():
    # Ten replicates of the same 25 people agree to the last digit: the flips know nothing of other people.
    rng = np.random.default_rng(0)
    leads = [0.03] * 10
    values = np.tile(rng.normal(0, 0.2, size=25), (10, 1))
    spread = spread_of(values - values.mean() + 0.03, nested=False)
    assert replicate_p(leads, spread, nested=True, num_flips=0, seed=0) == pytest.approx(2 / 1024)
    # 0.03 against .2 / 5 = .04
    assert 0.3 < replicate_p(leads, spread, nested=False, num_flips=0, seed=0) < 0.6


@pytest.mark.parametrize("num_replicates", [3, 10])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("replicate_sd", [0.0, 0.3])
def test_intervals_cover_the_truth(num_replicates, nested, replicate_sd):
    rng, hits, trials = np.random.default_rng(1), 0, 300
    for _ in range(trials):
        people = rng.normal(0, 0.3, size=(num_replicates if nested else 1, 30))
        values = people + rng.normal(0, replicate_sd, size=(num_replicates, 1))
        values = values + rng.normal(0, 0.1, size=(num_replicates, 30))
        low, high = spread_of(values, nested=nested, num_resamples=250).interval(0.95)
        hits += low <= 0 <= high
    # three binomial standard deviations of 300 trials about .95
    assert 0.912 <= hits / trials <= 0.988
