"""The whole loss of a micro-batch: the policy loss, KL to a reference and entropy, each if it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tagpr.rl.losses.base import LossBatch
from tagpr.rl.losses.kl import kl_k2, kl_k3

PolicyLoss = Callable[[Tensor, LossBatch], tuple[Tensor, dict[str, Tensor]]]


def regularised_loss(
    policy_logprobs: Tensor,
    entropy: Tensor,
    batch: LossBatch,
    *,
    policy_loss: PolicyLoss,
    kl_weight: float,
    entropy_weight: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """L = L_policy + kl_weight * mean_t k2_t - entropy_weight * mean_t H_t, means over the tokens of the window.

    k2's gradient is that of the KL while the policy is the one that sampled; from the second step of a window on it is
    as stale as the rollouts. Groups without variance have no part in L_policy, but in the other two they have.

    Args:
        policy_logprobs: (B, G, T) natural log, with gradient.
        entropy: (B, G, T) of the policy's distribution at each token, nats; with gradient where it has a weight.
    Returns:
        The loss, and statistics that add up to the window's means: the policy loss's own, `entropy`, with a reference
        `reference_kl` (k3), with importance weights `importance`.
    Raises:
        ValueError: a KL weight without a reference.
    """
    if kl_weight and batch.reference_logprobs is None:
        raise ValueError("kl_weight is not 0, but the batch has no reference_logprobs: give the stage a reference.")
    mask, num_tokens = batch.completion_mask, batch.counts.num_tokens
    loss, stats = policy_loss(policy_logprobs, batch)
    mean_entropy = torch.where(mask, entropy, 0.0).sum() / num_tokens
    stats["entropy"] = mean_entropy.detach()
    if batch.importance is not None:
        stats["importance"] = torch.where(mask, batch.importance, 0.0).sum() / num_tokens
    if batch.reference_logprobs is not None:
        # Cut out before squaring: padding may hold infinities.
        policy = torch.where(mask, policy_logprobs, 0.0)
        reference = torch.where(mask, batch.reference_logprobs, 0.0)
        stats["reference_kl"] = kl_k3((reference - policy).detach()).sum() / num_tokens
        if kl_weight:
            loss = loss + kl_weight * kl_k2(policy, reference).sum() / num_tokens
    if entropy_weight:
        loss = loss - entropy_weight * mean_entropy
    return loss, stats
