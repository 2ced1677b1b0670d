"""Clipped policy-gradient losses: pure functions from log-probs and advantages to one number.

Each is a sum over rollouts divided by a count of the *whole window*, fixed before its first micro-batch. So the
losses of the micro-batches of a window add up to the loss of the window, however it is cut; a mean per micro-batch
would weigh a token by the company it keeps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowCounts:
    """What a window holds, over all of its micro-batches. Filled by RolloutWindow."""

    num_rollouts: int
    num_tokens: int  # completion tokens
    max_new_tokens: int  # the longest completion that sampling allows


@dataclass(frozen=True, kw_only=True, slots=True)
class LossBatch:
    """What a policy loss needs beside the policy's log-probs: a micro-batch of a window. Filled by RolloutWindow."""

    rollout_logprobs: Tensor  # (B, G, T) under the policy that sampled; natural log
    advantages: Tensor  # (B, G), or (B, G, T) where tokens are credited one by one
    completion_mask: Tensor  # (B, G, T) bool, True where a token was sampled
    counts: WindowCounts


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
    surrogate, stats = _token_surrogate(policy_logprobs, batch, clip_low=clip_low, clip_high=clip_high)
    per_rollout = surrogate.sum(dim=-1) / batch.completion_mask.sum(dim=-1).clamp(min=1)
    return -per_rollout.sum() / batch.counts.num_rollouts, stats


def dr_grpo(
    policy_logprobs: Tensor, batch: LossBatch, *, clip_low: float, clip_high: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Token ratios, summed over tokens and divided by a constant length, so that long wrong rollouts are not let off.

    L = -1/(N L_max) sum_i sum_t min(r A, clip(r) A), L_max the longest completion that sampling allows.
    Source: Dr. GRPO, arXiv:2503.20783, section 3.2. Its advantages are `group_mean`, chosen apart.
    """
    surrogate, stats = _token_surrogate(policy_logprobs, batch, clip_low=clip_low, clip_high=clip_high)
    return -surrogate.sum() / (batch.counts.num_rollouts * batch.counts.max_new_tokens), stats


def dapo(
    policy_logprobs: Tensor, batch: LossBatch, *, clip_low: float, clip_high: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Token ratios, mean over all tokens of the window, with more room upwards than downwards.

    L = -1/(sum_i |o_i|) sum_i sum_t min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), clip_high > clip_low.
    Source: DAPO, arXiv:2503.14476, equation 8, sections 3.1 and 3.3. Its dynamic sampling is no part of the loss.
    """
    surrogate, stats = _token_surrogate(policy_logprobs, batch, clip_low=clip_low, clip_high=clip_high)
    return -surrogate.sum() / batch.counts.num_tokens, stats


def gspo(
    policy_logprobs: Tensor, batch: LossBatch, *, clip_low: float, clip_high: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """One ratio per rollout, the geometric mean of its tokens' ratios, clipped as a whole.

    L = -1/N sum_i min(s A, clip(s) A), s = exp(mean_t (policy - rollout log-prob)).
    Source: GSPO, arXiv:2507.18071, equations 5 to 7. Clipped shares count rollouts, not tokens.

    Raises:
        ValueError: advantages differ between the tokens of a rollout, which one ratio per rollout cannot credit.
    """
    if batch.advantages.dim() != 2:
        raise ValueError(
            f"policy_loss=gspo got advantages of shape {tuple(batch.advantages.shape)}, expected (B, G): it has one "
            "ratio per rollout and cannot credit tokens apart. Choose policy_loss=grpo, dr_grpo or dapo."
        )
    log_ratio = _log_ratio(policy_logprobs, batch)
    mean_log_ratio = log_ratio.sum(dim=-1) / batch.completion_mask.sum(dim=-1).clamp(min=1)
    surrogate, clipped_low, clipped_high = _clip(
        mean_log_ratio.exp(), batch.advantages, clip_low=clip_low, clip_high=clip_high
    )
    stats = _stats(log_ratio, batch)
    stats["clip_low"] = clipped_low.sum() / batch.counts.num_rollouts
    stats["clip_high"] = clipped_high.sum() / batch.counts.num_rollouts
    return -surrogate.sum() / batch.counts.num_rollouts, stats


def _token_surrogate(
    policy_logprobs: Tensor, batch: LossBatch, *, clip_low: float, clip_high: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """(B, G, T) clipped objective of each token, 0 outside the mask, and the statistics."""
    log_ratio = _log_ratio(policy_logprobs, batch)
    advantages = batch.advantages.unsqueeze(-1) if batch.advantages.dim() == 2 else batch.advantages
    surrogate, clipped_low, clipped_high = _clip(log_ratio.exp(), advantages, clip_low=clip_low, clip_high=clip_high)
    stats = _stats(log_ratio, batch)
    stats["clip_low"] = (clipped_low & batch.completion_mask).sum() / batch.counts.num_tokens
    stats["clip_high"] = (clipped_high & batch.completion_mask).sum() / batch.counts.num_tokens
    return torch.where(batch.completion_mask, surrogate, 0.0), stats


def _log_ratio(policy_logprobs: Tensor, batch: LossBatch) -> Tensor:
    # Padding may hold anything, infinities included: it is cut out before exp, or its gradient would be NaN times 0.
    return torch.where(batch.completion_mask, policy_logprobs - batch.rollout_logprobs, 0.0)


def _clip(ratio: Tensor, advantages: Tensor, *, clip_low: float, clip_high: float) -> tuple[Tensor, Tensor, Tensor]:
    """The pessimistic objective min(r A, clip(r) A), and where it is cut below and above."""
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
    cut_low = (ratio < 1.0 - clip_low) & (advantages < 0)
    cut_high = (ratio > 1.0 + clip_high) & (advantages > 0)
    return torch.minimum(ratio * advantages, clipped * advantages), cut_low, cut_high


def _stats(log_ratio: Tensor, batch: LossBatch) -> dict[str, Tensor]:
    log_ratio = log_ratio.detach()
    mask, num_tokens = batch.completion_mask, batch.counts.num_tokens
    return {
        "ratio": torch.where(mask, log_ratio.exp(), 0.0).sum() / num_tokens,
        "kl": kl_k3(log_ratio).sum() / num_tokens,
    }


def kl_k3(log_ratio: Tensor) -> Tensor:
    """Estimate of KL(sampler || policy) from the sampler's tokens, never negative: r - 1 - log r. To be logged, not
    minimised.

    As a loss its gradient is not that of the KL. Source: Schulman, "Approximating KL divergence" (2020), estimator k3.
    """
    return log_ratio.exp() - 1.0 - log_ratio
