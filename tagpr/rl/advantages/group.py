"""GRPO's advantage."""

from __future__ import annotations

import torch
from torch import Tensor

from tagpr.rl.advantages.base import check_group, normalise
from tagpr.rl.rewards.combine import Rewards


def group(rewards: Rewards, *, min_std: float) -> Tensor:
    """Total reward against its group, in units of the group's own spread.

    A = (R - mean_G R) / std_G R. Source: DeepSeekMath, arXiv:2402.03300 (GRPO, outcome supervision).
    Ours: groups whose std is below min_std * max(1, |mean|) get exact zeros; an eps in the denominator would turn their
    rounding noise into advantages.

    Args:
        min_std: > 0, in reward units.
    Returns:
        (B, G) advantages, without unit; the mean over G is 0.
    Raises:
        ValueError: fewer than two rollouts per prompt.
    """
    check_group(rewards.total)
    return normalise(rewards.total, torch.ones_like(rewards.total, dtype=torch.bool), min_std=min_std)
