"""How far the policy may go from the one that the stage began with. Off unless asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tagpr.errors import UserError
from tagpr.rl.losses.kl import kl_k1, kl_k3


@dataclass(frozen=True, kw_only=True)
class KlPenalty:
    """What a distance to the stage's first policy costs. Built from `rl.kl`.

    k1 goes into the reward and k2 into the loss; `tagpr.rl.losses.kl` says why neither may stand in the other's place.

    Args:
        measured: whether the distance is logged where it costs nothing; it needs a second copy of the policy.
        in_reward: per nat of a rollout's k1, summed over its tokens; 0: none.
        in_loss: per nat of k2, mean over tokens; 0: none.
    """

    measured: bool
    in_reward: float
    in_loss: float

    def __post_init__(self) -> None:
        if self.in_reward < 0 or self.in_loss < 0:
            raise UserError(
                f"rl.kl has in_reward={self.in_reward} and in_loss={self.in_loss}, expected 0 (off) or more: a "
                "negative weight would pay for going away."
            )

    @property
    def needs_reference(self) -> bool:
        return self.measured or self.in_reward > 0 or self.in_loss > 0


def kl_reward(sampled_logprobs: Tensor, reference_logprobs: Tensor, mask: Tensor) -> Tensor:
    """(B, G) minus k1 of each rollout, summed over its tokens, in nats.

    E grad of (weight * this reward) is minus weight times grad KL(policy || reference) of whole completions: exact with
    `advantage=group_mean`; `group` divides by the std of the group's whole reward.

    Args:
        sampled_logprobs, reference_logprobs: (B, G, T) natural log, of the weights that sampled and of the reference.
        mask: (B, G, T) True where a token was sampled.
    """
    return -torch.where(mask, kl_k1(sampled_logprobs, reference_logprobs), 0.0).sum(dim=-1)


def kl_metrics(sampled_logprobs: Tensor, reference_logprobs: Tensor, mask: Tensor) -> dict[str, float]:
    """Mean k1 and k3 per token of a window as it was sampled, in nats: two estimates of one KL.

    The per-step `rl/policy/reference_kl` is k3 of the policy as it has become since.
    """
    k1 = kl_k1(sampled_logprobs[mask], reference_logprobs[mask])
    return {"rl/kl/k1": float(k1.mean()), "rl/kl/k3": float(kl_k3(-k1).mean())}
