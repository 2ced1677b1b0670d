"""Truncated importance weights: for samples that come from another engine than the one that is trained."""

from __future__ import annotations

import torch
from torch import Tensor


def truncated_importance(trainer_logprobs: Tensor, sampler_logprobs: Tensor, mask: Tensor, *, cap: float) -> Tensor:
    """How much likelier each sampled token was under the trainer's own forward than under the sampler's, at most `cap`.

    w_t = min(exp(trainer_t - sampler_t), cap), both of the weights that sampled, without gradient; it multiplies the
    token's part of the loss, while the clipped ratio stays policy / trainer. Source: Yao et al., "Your efficient RL
    framework secretly brings you off-policy RL training" (2025), TIS. An engine with other kernels, another precision
    or a quantised copy samples from a slightly other distribution than the one whose gradient is taken.

    Args:
        trainer_logprobs, sampler_logprobs: (B, G, T) natural log, at the sampling temperature.
        mask: (B, G, T) True where a token was sampled.
        cap: > 0; without one, a single unlikely token could outweigh a window.
    Returns:
        (B, G, T) weights in (0, cap], 1 outside the mask.
    Raises:
        ValueError: a cap that is not positive.
    """
    if cap <= 0:
        raise ValueError(f"rl.importance_cap={cap}, expected a number above 0 such as 2.0, or null for no weights.")
    log_weights = torch.where(mask, trainer_logprobs - sampler_logprobs, 0.0).detach()
    return torch.where(mask, log_weights.exp().clamp(max=cap), 1.0)
