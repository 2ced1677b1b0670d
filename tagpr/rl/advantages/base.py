"""What advantages share: groups without variance, z-scores within a group."""

from __future__ import annotations

import torch
from torch import Tensor


def without_variance(values: Tensor, *, min_std: float) -> Tensor:
    """(B,) True for groups whose values are all the same up to rounding: std over G at most min_std * max(1, |mean|).

    Args:
        values: (B, G).
    """
    return values.std(dim=1) <= min_std * values.mean(dim=1).abs().clamp(min=1.0)


def normalise(values: Tensor, included: Tensor, *, min_std: float) -> Tensor:
    """(B, G) z-scores within each group over the included rollouts; exact 0 for the others and for tied groups."""
    count = included.sum(dim=1, keepdim=True)
    mean = torch.where(included, values, 0.0).sum(dim=1, keepdim=True) / count.clamp(min=1)
    centred = torch.where(included, values - mean, 0.0)
    std = (centred.square().sum(dim=1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    varies = std > min_std * mean.abs().clamp(min=1.0)
    return torch.where(varies, centred / torch.where(varies, std, 1.0), 0.0)


def check_group(values: Tensor) -> None:
    if values.dim() != 2 or values.shape[1] < 2:
        raise ValueError(
            f"rewards have shape {tuple(values.shape)}, expected (B, G) with G >= 2: one rollout has nothing to be "
            "compared with. Set rl.rollouts_per_prompt=2 or more."
        )
