"""How far PRMU's stated certainty can be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from tagpr.types import PreferencePair

NUM_DRAWS = 1000  # of a calibrated judge's luck


def fit_temperature(differences: Tensor) -> float:
    """The T > 0 under which sigma((R+ - R-) / T) has the least log loss; within [1e-2, 1e2].

    Source: temperature scaling, Guo et al., arXiv:1706.04599.

    Args:
        differences: (P,) R+ - R- of held-out pairs.
    """
    differences = differences.double()

    def log_loss(log_temperature: float) -> float:
        return float(F.softplus(-differences / math.exp(log_temperature)).mean())

    bounds = (math.log(1e-2), math.log(1e2))
    found: Any = minimize_scalar(log_loss, bounds=bounds, method="bounded")
    return math.exp(float(found.x))


def expected_calibration_error(differences: Tensor, *, temperature: float, num_bins: int) -> float:
    """Mean |accuracy - confidence| over equal-width bins of the confidence max(p, 1 - p), weighted by bin size.

    The more likely side is the model's choice; it is right where it is the chosen one, half right at a tie.
    """
    if not differences.numel():
        return math.nan
    confidence = torch.sigmoid(differences.double().abs() / temperature)
    right = torch.where(differences == 0, 0.5, (differences > 0).double())
    bins = ((confidence - 0.5) * 2 * num_bins).long().clamp(max=num_bins - 1)
    error = 0.0
    for b in bins.unique():
        inside = bins == b
        error += float(inside.double().mean() * (right[inside].mean() - confidence[inside].mean()).abs())
    return error


def brier(differences: Tensor, *, temperature: float) -> float:
    """Mean (1 - sigma((R+ - R-) / T))^2."""
    return float((1 - torch.sigmoid(differences.double() / temperature)).square().mean())


def ece_if_calibrated(differences: Tensor, *, num_bins: int) -> float:
    """What ECE comes to on average where every stated certainty is true: it is above 0, the more the fewer pairs.

    Outcomes are drawn from the certainties, pair by pair. Pairs of one person are right or wrong together more often
    than that, so a calibrated judge of real pairs shows somewhat more.

    Args:
        differences: (P,) (R+ - R-) / T.
    """
    if not differences.numel():
        return math.nan
    sizes = differences.double().abs()
    right = torch.sigmoid(sizes)
    generator = torch.Generator().manual_seed(0)
    drawn = [
        torch.where(torch.rand(len(sizes), dtype=torch.float64, generator=generator) < right, sizes, -sizes)
        for _ in range(NUM_DRAWS)
    ]
    errors = [expected_calibration_error(one, temperature=1.0, num_bins=num_bins) for one in drawn]
    return sum(errors) / NUM_DRAWS


def halves(pairs: Sequence[PreferencePair]) -> Tensor:
    """(P,) bool: which half of the people each pair's user belongs to."""
    people = {user: place for place, user in enumerate(sorted({pair.user_id for pair in pairs}))}
    return torch.tensor([people[pair.user_id] % 2 == 0 for pair in pairs])


def cross_fitted(differences: Tensor, folds: Tensor) -> Tensor:
    """(R+ - R-) / T, T fitted on the other half of the people, or on this one where there is no other.

    Args:
        differences: (P,) R+ - R-.
        folds: (P,) bool, which half of the users the pair's user belongs to.
    """
    scaled = differences.double().clone()
    for half in (folds, ~folds):
        if half.any():
            scaled[half] /= fit_temperature(differences[~half if (~half).any() else half])
    return scaled


def calibrate(differences: Tensor, folds: Tensor, *, num_bins: int) -> dict[str, float]:
    """Temperature from all pairs; ECE and Brier cross-fitted, so that nobody judges a temperature fitted on them.

    Args:
        differences, folds: see cross_fitted.
    """
    scaled = cross_fitted(differences, folds)
    return {
        "temperature": fit_temperature(differences),
        "ece": expected_calibration_error(scaled, temperature=1.0, num_bins=num_bins),
        "ece_if_calibrated": ece_if_calibrated(scaled, num_bins=num_bins),
        "brier": brier(scaled, temperature=1.0),
        "ece_uncalibrated": expected_calibration_error(differences, temperature=1.0, num_bins=num_bins),
        "num_pairs": float(differences.numel()),
    }
