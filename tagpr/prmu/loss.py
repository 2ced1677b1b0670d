"""PRMU's mathematics: Bradley-Terry on pairs, the personal contrast, and the figures made of them. Pure functions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def pair_loss(chosen: Tensor, rejected: Tensor, weights: Tensor, *, margin: float, temperature: float) -> Tensor:
    """Bradley-Terry: sum_i w_i * -log sigma((R+_i - R-_i - m) / tau).

    Source: Bradley & Terry 1952, as in InstructGPT (arXiv:2203.02155, eq. 1); margin, temperature and weights are ours
    (O).
    The weights carry the 1/n_u of each user *and* the division by the step's size, so micro-batches add up.

    Args:
        chosen, rejected: (P,) rewards of the two sides, for the pair's own user.
        weights: (P,) >= 0.
    Returns:
        A scalar; 0 for no pairs.
    """
    return (weights * F.softplus(-(chosen - rejected - margin) / temperature)).sum()


def personal_contrast(own_margin: Tensor, other_margin: Tensor) -> Tensor:
    """D = [R(u,x,y_u) - R(u,x,y')] - [R(v,x,y_u) - R(v,x,y')]: what is left when a(x,y) and b(u,x) are taken out (O).

    Args:
        own_margin: (C,) R(u,x,y_u) - R(u,x,y').
        other_margin: (C,) the same two answers, judged for v.
    """
    return own_margin - other_margin


def contrast_loss(contrast: Tensor, weights: Tensor, *, temperature: float) -> Tensor:
    """sum_i w_i * -log sigma(D_i / tau), on couples whose answers differ; a weight of 0 masks a couple.

    Args:
        contrast: (C,) D of `personal_contrast`.
        weights: (C,) >= 0; as in `pair_loss`, they carry the division.
    """
    return (weights * F.softplus(-contrast / temperature)).sum()


def score_penalty(chosen: Tensor, rejected: Tensor, weights: Tensor) -> Tensor:
    """L2 on rewards: sum_i w_i * (R+^2 + R-^2) / 2. Pairs leave an offset per query free; this ties it to 0 (O)."""
    return (weights * (chosen.square() + rejected.square()) / 2).sum()


def win_share(differences: Tensor) -> Tensor:
    """1 where the difference is positive, 1/2 at a tie, else 0: accuracy and swap accuracy are means of it.

    A tie is |difference| <= 1e-6 * max(1, largest): a user-blind model's D is rounding noise around 0, which must not
    count.
    """
    tolerance = 1e-6 * differences.abs().max().clamp(min=1.0) if differences.numel() else 0.0
    return torch.where(differences.abs() <= tolerance, 0.5, (differences > 0).to(differences.dtype))


def user_weights(users: list[str]) -> list[float]:
    """A weight per item so that every user's items weigh the same together, and all weights have mean 1."""
    counts: dict[str, int] = {}
    for user in users:
        counts[user] = counts.get(user, 0) + 1
    return [len(users) / (len(counts) * counts[user]) for user in users]
