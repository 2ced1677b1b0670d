"""What every clipped policy-gradient loss shares: its batch, the ratio, the clip and the statistics.

Each loss is a sum over rollouts divided by a count of the *whole window*, fixed before its first micro-batch. So the
losses of the micro-batches of a window add up to the loss of the window, however it is cut; a mean per micro-batch
would weigh a token by the company it keeps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tagpr.rl.losses.kl import kl_k3


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
    importance: Tensor | None = None  # (B, G, T) weights of `truncated_importance`; None: each token counts once
    reference_logprobs: Tensor | None = None  # (B, G, T) under the frozen reference; None: there is none

    def to(self, device: torch.device) -> LossBatch:
        importance, reference = (
            None if one is None else one.to(device) for one in (self.importance, self.reference_logprobs)
        )
        return LossBatch(
            rollout_logprobs=self.rollout_logprobs.to(device),
            advantages=self.advantages.to(device),
            completion_mask=self.completion_mask.to(device),
            counts=self.counts,
            importance=importance,
            reference_logprobs=reference,
        )


def token_surrogate(
    policy_logprobs: Tensor, batch: LossBatch, *, clip_low: float, clip_high: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """(B, G, T) clipped objective of each token, 0 outside the mask, and the statistics."""
    log_ratio = masked_log_ratio(policy_logprobs, batch)
    advantages = batch.advantages.unsqueeze(-1) if batch.advantages.dim() == 2 else batch.advantages
    surrogate, clipped_low, clipped_high = clip(log_ratio.exp(), advantages, clip_low=clip_low, clip_high=clip_high)
    stats = ratio_stats(log_ratio, batch)
    stats["clip_low"] = (clipped_low & batch.completion_mask).sum() / batch.counts.num_tokens
    stats["clip_high"] = (clipped_high & batch.completion_mask).sum() / batch.counts.num_tokens
    if batch.importance is not None:
        surrogate = surrogate * batch.importance
    return torch.where(batch.completion_mask, surrogate, 0.0), stats


def masked_log_ratio(policy_logprobs: Tensor, batch: LossBatch) -> Tensor:
    """(B, G, T) policy minus rollout log-prob, 0 outside the mask."""
    # Padding may hold anything, infinities included: it is cut out before exp, or its gradient would be NaN times 0.
    return torch.where(batch.completion_mask, policy_logprobs - batch.rollout_logprobs, 0.0)


def clip(ratio: Tensor, advantages: Tensor, *, clip_low: float, clip_high: float) -> tuple[Tensor, Tensor, Tensor]:
    """The pessimistic objective min(r A, clip(r) A), and where it is cut below and above."""
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
    cut_low = (ratio < 1.0 - clip_low) & (advantages < 0)
    cut_high = (ratio > 1.0 + clip_high) & (advantages > 0)
    return torch.minimum(ratio * advantages, clipped * advantages), cut_low, cut_high


def ratio_stats(log_ratio: Tensor, batch: LossBatch) -> dict[str, Tensor]:
    """Mean ratio and KL to the policy that sampled, as parts that add up to the window's means."""
    log_ratio = log_ratio.detach()
    mask, num_tokens = batch.completion_mask, batch.counts.num_tokens
    return {
        "ratio": torch.where(mask, log_ratio.exp(), 0.0).sum() / num_tokens,
        "kl": kl_k3(log_ratio).sum() / num_tokens,
    }
