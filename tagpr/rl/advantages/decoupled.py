"""GDPO's advantage: each term normalised on its own."""

from __future__ import annotations

import torch
from torch import Tensor

from tagpr.rl.advantages.base import check_group, normalise
from tagpr.rl.rewards.combine import PENALTIES, Rewards


def decoupled(rewards: Rewards, *, min_std: float, gate_weight: float) -> Tensor:
    """Each reward term against its group on its own, then the weighted sum, scaled by its spread over the batch.

    A = a / std_batch(a), a = sum_k w_k (r_k - mean_G r_k) / std_G r_k. Source: GDPO, arXiv:2601.05242.
    Summing first lets the term with the widest spread decide alone; here every term speaks in its own unit.
    Ours: terms are taken before the gate and compared among the rollouts with g_answer = 1 only, or a failed format
    would be counted once in each; g_answer is a term of its own. Penalties (KL, overlong) hit unreadable answers too
    and are compared among all. The batch mean is 0 by construction and not subtracted, which keeps the zeros of groups
    without variance exact.

    Args:
        gate_weight: weight of g_answer as a term.
    Raises:
        ValueError: fewer than two rollouts per prompt.
    """
    check_group(rewards.total)
    everyone = torch.ones_like(rewards.gate, dtype=torch.bool)
    valid = rewards.gate > 0
    summed = gate_weight * normalise(rewards.gate, everyone, min_std=min_std)
    for name, values in sorted(rewards.terms.items()):
        included = everyone if name in PENALTIES else valid
        summed = summed + rewards.weights[name] * normalise(values, included, min_std=min_std)
    spread = summed.std()
    return summed / spread if spread > min_std else torch.zeros_like(summed)
