import numpy as np
import pytest

from tagpr.evaluation.official import quantities
from tagpr.evaluation.statistics import sign_flip_test
from tagpr.evaluation.uncertainty import bounds, gather, swap_test
from tagpr.tasks import ALL_TASKS

RATING, MOVIE = ALL_TASKS["LaMP_3"], ALL_TASKS["LaMP_2"]


def test_a_swap_of_a_mean_is_a_flip_of_signs():
    people = [f"u{i}" for i in range(8)]
    one = np.array([[e, e * e] for e in (0, 1, 0, 2, 0, 1, 0, 0)], dtype=float)
    other = np.array([[e, e * e] for e in (1, 1, 2, 0, 1, 3, 1, 4)], dtype=float)
    p = swap_test(gather(RATING, people, [one, other]), 0, 1, num_swaps=0, seed=0)
    assert p[0] == pytest.approx(sign_flip_test(one[:, 0] - other[:, 0], num_flips=0, seed=0))


def test_the_rmse_of_two_people_by_hand():
    # Errors 0, 0 against 3.3, 0.4: swaps give |rmse differences| full, smaller, smaller, full -> p = 2 / 4.
    values = [np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([[3.3, 3.3**2], [0.4, 0.4**2]])]
    assert swap_test(gather(RATING, ["a", "b"], values), 0, 1, num_swaps=0, seed=0).tolist() == [0.5, 0.5]


def test_a_person_is_swapped_whole():
    # 60 questions of 3 people, one system always right: only the 2 of 8 swaps that move all people differ as much.
    golds = ["comedy", "action"] * 30
    readings = gather(
        MOVIE, [f"u{i % 3}" for i in range(60)], [quantities(MOVIE, golds, golds), quantities(MOVIE, ["x"] * 60, golds)]
    )
    assert swap_test(readings, 0, 1, num_swaps=0, seed=0)[0] == 0.25
    assert readings.resampled(num_resamples=10, seed=0) is None


def test_equal_systems_and_many_people():
    rng = np.random.default_rng(0)
    errors = rng.integers(0, 3, size=(40, 1)).astype(float)
    same, worse = np.hstack([errors, errors**2]), np.hstack([errors + 1, (errors + 1) ** 2])
    readings = gather(RATING, [f"u{i}" for i in range(40)], [same, same, worse])
    assert swap_test(readings, 0, 1, num_swaps=100, seed=0).tolist() == [1.0, 1.0]
    assert swap_test(readings, 0, 2, num_swaps=500, seed=0).tolist() == [1 / 500, 1 / 500]
    samples = readings.resampled(num_resamples=50, seed=0)
    assert samples.shape == (50, 3, 2)
    # The same people for each reading: a lead of exactly 1 on everybody has no spread.
    assert np.ptp(samples[:, 2, 0] - samples[:, 0, 0]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("num_people", [50, 200])
def test_intervals_of_rmse_cover_the_truth(num_people):
    rng, hits = np.random.default_rng(2), 0
    for trial in range(200):
        shift = rng.normal(0, 0.6, size=num_people)
        errors = (shift[:, None] + rng.normal(0, 0.8, size=(num_people, 3))).reshape(-1, 1)
        people = np.repeat(np.arange(num_people), 3).astype(str)
        low, high = bounds(
            gather(RATING, people, [np.hstack([np.abs(errors), errors**2])]).resampled(num_resamples=400, seed=trial)
        )
        hits += low[0, 1] <= 1.0 <= high[0, 1]  # sqrt(.36 + .64)
    assert 0.88 <= hits / 200 <= 0.99
