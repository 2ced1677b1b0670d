"""From rewards to advantages: how much better a rollout is than the others of its prompt. Pure functions."""

from __future__ import annotations

import torch
from torch import Tensor

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
    _check_group(rewards.total)
    return _normalise(rewards.total, torch.ones_like(rewards.total, dtype=torch.bool), min_std=min_std)


def group_mean(rewards: Rewards, *, min_std: float) -> Tensor:
    """Total reward against its group's mean, in reward units.

    A = R - mean_G R. Source: Dr. GRPO, arXiv:2503.20783: dividing by the std weighs up prompts that are nearly solved
    or hopeless. Groups without variance get exact zeros, as in `group`.

    Raises:
        ValueError: fewer than two rollouts per prompt.
    """
    _check_group(rewards.total)
    centred = rewards.total - rewards.total.mean(dim=1, keepdim=True)
    return torch.where(without_variance(rewards.total, min_std=min_std).unsqueeze(1), 0.0, centred)


def decoupled(rewards: Rewards, *, min_std: float, gate_weight: float) -> Tensor:
    """Each reward term against its group on its own, then the weighted sum, scaled by its spread over the batch.

    A = a / std_batch(a), a = sum_k w_k (r_k - mean_G r_k) / std_G r_k. Source: GDPO, arXiv:2601.05242.
    Summing first lets the term with the widest spread decide alone; here every term speaks in its own unit.
    Ours: terms are taken before the gate and compared among the rollouts with g_answer = 1 only, or a failed format
    would be counted once in each; g_answer is a term of its own. The batch mean is 0 by construction and not
    subtracted, which keeps the zeros of groups without variance exact.

    Args:
        gate_weight: weight of g_answer as a term.
    Raises:
        ValueError: fewer than two rollouts per prompt.
    """
    _check_group(rewards.total)
    everyone = torch.ones_like(rewards.gate, dtype=torch.bool)
    valid = rewards.gate > 0
    summed = gate_weight * _normalise(rewards.gate, everyone, min_std=min_std)
    for name, values in rewards.terms.items():
        summed = summed + rewards.weights[name] * _normalise(values, valid, min_std=min_std)
    spread = summed.std()
    return summed / spread if spread > min_std else torch.zeros_like(summed)


def without_variance(values: Tensor, *, min_std: float) -> Tensor:
    """(B,) True for groups whose values are all the same up to rounding: std over G at most min_std * max(1, |mean|).

    Args:
        values: (B, G).
    """
    return values.std(dim=1) <= min_std * values.mean(dim=1).abs().clamp(min=1.0)


def _normalise(values: Tensor, included: Tensor, *, min_std: float) -> Tensor:
    """(B, G) z-scores within each group over the included rollouts; exact 0 for the others and for tied groups."""
    count = included.sum(dim=1, keepdim=True)
    mean = torch.where(included, values, 0.0).sum(dim=1, keepdim=True) / count.clamp(min=1)
    centred = torch.where(included, values - mean, 0.0)
    std = (centred.square().sum(dim=1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    varies = std > min_std * mean.abs().clamp(min=1.0)
    return torch.where(varies, centred / torch.where(varies, std, 1.0), 0.0)


def _check_group(values: Tensor) -> None:
    if values.dim() != 2 or values.shape[1] < 2:
        raise ValueError(
            f"rewards have shape {tuple(values.shape)}, expected (B, G) with G >= 2: one rollout has nothing to be "
            "compared with. Set rl.rollouts_per_prompt=2 or more."
        )
