"""How the raw terms make one reward. Each function says what every term contributes; their sum is paid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tagpr.rl.rewards.process import ProcessRewards

GATE = "gate"  # the contribution of g_answer where it is paid by itself
# Terms that no gate multiplies: what is too long or too far from the reference is so whether it can be read or not.
OVERLONG, KL = "overlong", "kl"
PENALTIES = (OVERLONG, KL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewards:
    """The rewards of B prompts with G rollouts each. Filled by CompositeReward."""

    terms: Mapping[str, Tensor]  # (B, G) raw value of each term, before weights and gates
    weights: Mapping[str, float]  # of each term at this step
    gate: Tensor  # (B, G) g_answer: 1.0 or 0.0
    contributions: Mapping[str, Tensor]  # (B, G) what each term adds to the total
    total: Tensor  # (B, G) what the policy is paid
    process: ProcessRewards | None = None  # what each span is worth by itself, where advantages ask for it


def total_of(contributions: Mapping[str, Tensor], *, like: Tensor) -> Tensor:
    """(B, G) their sum, in the order of names, so that a replay from disk adds them up in the same order."""
    total = torch.zeros_like(like)
    for _, values in sorted(contributions.items()):
        total = total + values
    return total


def with_penalty(rewards: Rewards, name: str, values: Tensor, *, weight: float) -> Rewards:
    """The rewards with one more term, out of PENALTIES, that no gate multiplies.

    Args:
        values: (B, G), not positive where it punishes.
        weight: > 0.
    """
    contributions = {**rewards.contributions, name: weight * values}
    return replace(
        rewards,
        terms={**rewards.terms, name: values},
        weights={**rewards.weights, name: weight},
        contributions=contributions,
        total=total_of(contributions, like=rewards.gate),
    )


def gated(terms: Mapping[str, Tensor], *, weights: Mapping[str, float], gate: Tensor) -> dict[str, Tensor]:
    """R = g_answer * sum_k w_k r_k: an answer that cannot be read earns nothing at all. Ours, the default.

    Args:
        terms: (B, G) each.
        gate: (B, G) g_answer.
    """
    return {name: gate * weights[name] * values for name, values in terms.items()}


def additive(
    terms: Mapping[str, Tensor], *, weights: Mapping[str, float], gate: Tensor, gate_weight: float
) -> dict[str, Tensor]:
    """R = sum_k w_k r_k + gate_weight * g_answer: a readable answer is a bonus beside the others."""
    return {name: weights[name] * values for name, values in terms.items()} | {GATE: gate_weight * gate}


def paper_like(terms: Mapping[str, Tensor], *, weights: Mapping[str, float], gate: Tensor) -> dict[str, Tensor]:
    """R = alpha g_answer R_task + beta R_tag + gamma R_prmu: the gate belongs to the first term alone.

    Source: P, arXiv 2509.23140, whose first term is itself a composite; that it joins the metric and the format is
    our reading.
    """
    return {name: weights[name] * (gate * values if name == "task" else values) for name, values in terms.items()}
