import math

import pytest
import torch

from tagpr.prmu.calibration import brier, calibrate, expected_calibration_error, fit_temperature


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
