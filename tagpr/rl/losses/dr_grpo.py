"""Dr. GRPO: a constant length in the denominator."""

from __future__ import annotations

from torch import Tensor

from tagpr.rl.losses.base import LossBatch, token_surrogate


def dr_grpo(
    policy_logprobs: Tensor, batch: LossBatch, *, clip_low: float, clip_high: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Token ratios, summed over tokens and divided by a constant length, so that long wrong rollouts are not let off.

    L = -1/(N L_max) sum_i sum_t min(r A, clip(r) A), L_max the longest completion that sampling allows.
    Source: Dr. GRPO, arXiv:2503.20783, section 3.2. Its advantages are `group_mean`, chosen apart.

    Args and returns: as `grpo`.
    """
    surrogate, stats = token_surrogate(policy_logprobs, batch, clip_low=clip_low, clip_high=clip_high)
    return -surrogate.sum() / (batch.counts.num_rollouts * batch.counts.max_new_tokens), stats
