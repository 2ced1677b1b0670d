"""Rejection-sampling fine-tuning as an advantage: the best rollouts are imitated, the others left alone."""

from __future__ import annotations

import torch
from torch import Tensor

from tagpr.rl.advantages.base import check_group, without_variance
from tagpr.rl.rewards.combine import Rewards


def best_of_group(rewards: Rewards, *, min_std: float) -> Tensor:
    """The same weight for every rollout that is kept, whatever its reward, and 0 for those that are rejected.

    A = N / K for the K rollouts of the window's N = B G that are kept. A rollout is kept if its total reward ties for
    the highest of its group, its gate is open (an answer that nobody can read is never imitated), and the group varies.
    As -A log p summed over N rollouts and divided by N is the mean of -log p over the K, one step on fresh rollouts is
    a step of SFT on them, of the same size whether few or many were kept. Its gradient under each policy loss, with
    NLL_i = -sum_t log p of rollout i:

    | policy_loss | gradient of |
    |---|---|
    | grpo, gspo | 1/K sum_kept NLL_i / length_i |
    | dapo | 1/K sum_kept NLL_i / mean length of all N |
    | dr_grpo | 1/K sum_kept NLL_i / rl.max_new_tokens |

    p is the policy's at the sampling temperature. On fresh rollouts grpo's *value* is -1 whatever they are, its ratios
    being 1; the gradient is what counts. Later steps of the same window are clipped upwards as those of RL are.
    Source: RAFT, arXiv:2304.06767 (the best of G per prompt, then maximum likelihood); RAFT++ with clipped ratios,
    arXiv:2504.11343.
    Ours: of several that tie for the best all are kept, not one at random. Groups without variance are left out, those
    in which all are right too, so that this arm learns from the same groups as RL does. Where answers are right or
    wrong that only weighs prompts: what a group adds to the sum over kept rollouts has the expected gradient
    G (1 - P^(G-1)) grad P, P the probability of a right answer, in the place of G grad P.

    Args:
        min_std: > 0, in reward units; a group that varies less is left out, and a reward that is less than this, times
            max(1, |mean|), below its group's best ties with it.
    Returns:
        (B, G) weights, their mean over the window 1; all 0 where nothing is kept.
    Raises:
        ValueError: fewer than two rollouts per prompt.
    """
    check_group(rewards.total)
    best = rewards.total.amax(dim=1, keepdim=True)
    rounding = min_std * rewards.total.mean(dim=1, keepdim=True).abs().clamp(min=1.0)
    varies = ~without_variance(rewards.total, min_std=min_std).unsqueeze(1)
    kept = (rewards.total >= best - rounding) & (rewards.gate > 0) & varies
    weight = kept.numel() / kept.sum().clamp(min=1)
    return torch.where(kept, weight, 0.0).to(rewards.total.dtype)
