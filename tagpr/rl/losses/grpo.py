"""GRPO: every rollout weighs the same, whatever its length."""

from __future__ import annotations

from torch import Tensor

from tagpr.rl.losses.base import LossBatch, token_surrogate


def grpo(
    policy_logprobs: Tensor, batch: LossBatch, *, clip_low: float, clip_high: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Token ratios, mean over the tokens of each rollout, then over rollouts.

    L = -1/N sum_i 1/|o_i| sum_t min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), r = exp(policy - rollout log-prob).
    Source: DeepSeekMath, arXiv:2402.03300, equation 3, without its KL term.

    Args:
        policy_logprobs: (B, G, T) natural log, with gradient.
    Returns:
        The loss, and statistics that add up to the window's means.
    """
    surrogate, stats = token_surrogate(policy_logprobs, batch, clip_low=clip_low, clip_high=clip_high)
    per_rollout = surrogate.sum(dim=-1) / batch.completion_mask.sum(dim=-1).clamp(min=1)
    return -per_rollout.sum() / batch.counts.num_rollouts, stats
