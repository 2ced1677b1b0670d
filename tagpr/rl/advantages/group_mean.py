"""Dr. GRPO's advantage."""

from __future__ import annotations

import torch
from torch import Tensor

from tagpr.rl.advantages.base import check_group, without_variance
from tagpr.rl.rewards.combine import Rewards


def group_mean(rewards: Rewards, *, min_std: float) -> Tensor:
    """Total reward against its group's mean, in reward units.

    A = R - mean_G R. Source: Dr. GRPO, arXiv:2503.20783: dividing by the std weighs up prompts that are nearly solved
    or hopeless. Groups without variance get exact zeros, as in `group`.

    Raises:
        ValueError: fewer than two rollouts per prompt.
    """
    check_group(rewards.total)
    centred = rewards.total - rewards.total.mean(dim=1, keepdim=True)
    return torch.where(without_variance(rewards.total, min_std=min_std).unsqueeze(1), 0.0, centred)
