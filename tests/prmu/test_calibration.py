import math

import pytest
import torch

from tagpr.prmu.calibration import (
    brier,
    calibrate,
    cross_fitted,
    ece_if_calibrated,
    expected_calibration_error,
    fit_temperature,
)


def test_temperature_by_hand():
    # Differences of 2, three of four right: the best p is 3/4, so sigma(2 / T) = 3/4, T = 2 / log 3.
    differences = torch.tensor([2.0, 2.0, 2.0, -2.0])
    assert fit_temperature(differences) == pytest.approx(2 / math.log(3), rel=1e-3)


def test_ece_by_hand():
    # Confidence sigma(log 3) = .75 four times (accuracy 3/4), sigma(log 9) = .9 twice (accuracy 1/2): 1/3 * .4.
    d3, d9 = math.log(3), math.log(9)
    differences = torch.tensor([d3, d3, d3, -d3, d9, -d9], dtype=torch.float64)
    assert expected_calibration_error(differences, temperature=1.0, num_bins=5) == pytest.approx(0.4 / 3, abs=1e-9)
    assert expected_calibration_error(torch.zeros(3), temperature=1.0, num_bins=5) == 0.0
    assert math.isnan(expected_calibration_error(torch.zeros(0), temperature=1.0, num_bins=5))


def test_brier_by_hand():
    assert brier(torch.tensor([math.log(3), -math.log(3)]), temperature=1.0) == pytest.approx((1 / 16 + 9 / 16) / 2)


def test_calibration_recovers_an_overconfident_scale():
    torch.manual_seed(0)
    true = torch.randn(4000).abs()
    right = torch.rand(4000) < torch.sigmoid(true)
    stated = 5 * torch.where(right, true, -true)
    report = calibrate(stated, torch.arange(4000) % 2 == 0, num_bins=10)
    assert report["temperature"] == pytest.approx(5.0, rel=0.1)
    assert report["ece"] < 0.03 < 0.15 < report["ece_uncalibrated"]
    assert report["ece"] < 3 * report["ece_if_calibrated"]


def test_what_a_calibrated_judge_shows_by_hand():
    # One pair of certainty 3/4: right three times in four, off by 1/4 then and by 3/4 else: 3/8. Of two pairs with
    # the same certainty 9/16 are both right (off by 1/4), 6/16 one (1/4), 1/16 none (3/4): 9/32.
    sure = math.log(3)
    assert ece_if_calibrated(torch.tensor([-sure]), num_bins=5) == pytest.approx(3 / 8, abs=0.02)
    assert ece_if_calibrated(torch.tensor([sure, -sure]), num_bins=5) == pytest.approx(9 / 32, abs=0.02)
    assert ece_if_calibrated(torch.zeros(3), num_bins=5) == 0.0
    assert math.isnan(ece_if_calibrated(torch.zeros(0), num_bins=5))


def test_more_pairs_leave_less_to_luck():
    few, many = torch.ones(100), torch.ones(6400)  # eight times narrower
    assert ece_if_calibrated(few, num_bins=10) == pytest.approx(8 * ece_if_calibrated(many, num_bins=10), rel=0.1)


def test_nobody_judges_a_temperature_fitted_on_them():
    # Half of the people always right by 2, half half right by 2: each gets the other's temperature.
    differences = torch.tensor([2.0, 2.0, 2.0, -2.0])
    folds = torch.tensor([True, True, False, False])
    bold, timid = fit_temperature(differences[:2]), fit_temperature(differences[2:])
    torch.testing.assert_close(
        cross_fitted(differences, folds), differences.double() / torch.tensor([timid, timid, bold, bold]).double()
    )
    alone = torch.ones(4, dtype=torch.bool)
    torch.testing.assert_close(cross_fitted(differences, alone), differences.double() / fit_temperature(differences))
