"""GSPO: one ratio for a whole rollout."""

from __future__ import annotations

from torch import Tensor

from tagpr.rl.losses.base import LossBatch, clip, masked_log_ratio, ratio_stats


def gspo(
    policy_logprobs: Tensor, batch: LossBatch, *, clip_low: float, clip_high: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """One ratio per rollout, the geometric mean of its tokens' ratios, clipped as a whole.

    L = -1/N sum_i min(s A, clip(s) A), s = exp(mean_t (policy - rollout log-prob)).
    Source: GSPO, arXiv:2507.18071, equations 5 to 7. Clipped shares count rollouts, not tokens. Ours: an importance
    weight per token becomes one per rollout, their geometric mean, as the ratio is.

    Args and returns: as `grpo`.
    Raises:
        ValueError: advantages differ between the tokens of a rollout, which one ratio per rollout cannot credit.
    """
    if batch.advantages.dim() != 2:
        raise ValueError(
            f"policy_loss=gspo got advantages of shape {tuple(batch.advantages.shape)}, expected (B, G): it has one "
            "ratio per rollout and cannot credit tokens apart. Choose policy_loss=grpo, dr_grpo or dapo."
        )
    lengths = batch.completion_mask.sum(dim=-1).clamp(min=1)
    log_ratio = masked_log_ratio(policy_logprobs, batch)
    surrogate, clipped_low, clipped_high = clip(
        (log_ratio.sum(dim=-1) / lengths).exp(), batch.advantages, clip_low=clip_low, clip_high=clip_high
    )
    if batch.importance is not None:
        # 1 outside the mask, so that its logarithm adds nothing.
        surrogate = surrogate * (batch.importance.log().sum(dim=-1) / lengths).exp()
    stats = ratio_stats(log_ratio, batch)
    stats["clip_low"] = clipped_low.sum() / batch.counts.num_rollouts
    stats["clip_high"] = clipped_high.sum() / batch.counts.num_rollouts
    return -surrogate.sum() / batch.counts.num_rollouts, stats
