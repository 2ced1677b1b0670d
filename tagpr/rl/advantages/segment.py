"""Segment credit: the tokens of a span are credited for what that span did. Ours."""

from __future__ import annotations

import torch
from torch import Tensor

from tagpr.rl.advantages.group import group
from tagpr.rl.rewards.combine import Rewards
from tagpr.rl.rewards.process import ProcessReward, ProcessRewards


class SegmentAdvantage:
    """The rollout's own advantage on all its tokens, and each span's process advantage on the span's tokens.

    Args:
        span_weight: of the process advantage, whose spread over the window is 1.
        process: what a span is paid for; the stage opens it and fills `Rewards.process`.
    """

    def __init__(self, *, span_weight: float, process: ProcessReward) -> None:
        self.span_weight = span_weight
        self.process = process

    def __call__(self, rewards: Rewards, *, min_std: float) -> Tensor:
        """(B, G, T) advantages: `group` + span_weight * `span_advantages`.

        Raises:
            ValueError: rewards without process rewards, or fewer than two rollouts per prompt.
        """
        if rewards.process is None:
            raise ValueError("advantage=segment needs Rewards.process, which the stage fills; it is None.")
        outcome = group(rewards, min_std=min_std).unsqueeze(-1)
        return outcome + self.span_weight * span_advantages(rewards.process, min_std=min_std)


def span_advantages(process: ProcessRewards, *, min_std: float) -> Tensor:
    """Each span's reward per token against the span tokens of its group, in units of the window's spread.

    a_t = (r_j / |span j| - mean over the group's span tokens) / std over the window's span tokens, for t in span j; 0
    outside spans. Ours (O): the reward of a span is shared by its tokens and centred per group, so that a group's
    span tokens are neither all raised nor all lowered. One scale for the window, not one per group, keeps what the
    spans did in a prompt comparable with what they did in another.

    Args:
        min_std: > 0; a group whose tokens vary less than min_std * max(1, |mean|) gets exact zeros.
    Returns:
        (B, G, T) with T the longest completion.
    """
    values, inside = per_token(process)
    count = inside.sum(dim=(1, 2), keepdim=True)
    mean = values.sum(dim=(1, 2), keepdim=True) / count.clamp(min=1)
    centred = torch.where(inside, values - mean, 0.0)
    std = (centred.square().sum(dim=(1, 2), keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    centred = torch.where(std > min_std * mean.abs().clamp(min=1.0), centred, 0.0)
    spread = (centred.square().sum() / (count.sum() - 1).clamp(min=1)).sqrt()
    return centred / spread if spread > 0 else torch.zeros_like(centred)


def per_token(process: ProcessRewards) -> tuple[Tensor, Tensor]:
    """(B, G, T) reward of the span that a token stands in, divided by the span's length; and True inside spans."""
    longest = max(length for group in process.lengths for length in group)
    shape = (len(process.spans), len(process.spans[0]), longest)
    values, inside = torch.zeros(shape), torch.zeros(shape, dtype=torch.bool)
    for b, group_of_spans in enumerate(process.spans):
        for g, spans in enumerate(group_of_spans):
            for span in spans:
                values[b, g, span.first : span.end] = span.reward / (span.end - span.first)
                inside[b, g, span.first : span.end] = True
    return values, inside
