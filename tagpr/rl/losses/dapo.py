"""DAPO: every token weighs the same, and may rise further than it may fall."""

from __future__ import annotations

from torch import Tensor

from tagpr.rl.losses.base import LossBatch, token_surrogate


def dapo(
    policy_logprobs: Tensor, batch: LossBatch, *, clip_low: float, clip_high: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Token ratios, mean over all tokens of the window, with more room upwards than downwards.

    L = -1/(sum_i |o_i|) sum_i sum_t min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), clip_high > clip_low.
    Source: DAPO, arXiv:2503.14476, equation 8, sections 3.1 and 3.3. Its dynamic sampling (`rl.extra_rounds`) and its
    overlong shaping (`rl.overlong`) are no part of the loss.

    Args and returns: as `grpo`.
    """
    surrogate, stats = token_surrogate(policy_logprobs, batch, clip_low=clip_low, clip_high=clip_high)
    return -surrogate.sum() / batch.counts.num_tokens, stats
