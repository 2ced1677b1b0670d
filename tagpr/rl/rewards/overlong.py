"""Overlong shaping: a penalty that grows as a completion nears the length limit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tagpr.errors import UserError
from tagpr.rl.rollouts import RolloutBatch


@dataclass(frozen=True, kw_only=True)
class OverlongPenalty:
    """DAPO's soft length penalty. Built from `rl.overlong`.

    Args:
        weight: of the penalty in the reward; 0: off.
        buffer: tokens before the length limit over which it grows from 0 to -1.
    """

    weight: float
    buffer: int

    def __post_init__(self) -> None:
        if self.weight < 0 or self.buffer < 1:
            raise UserError(
                f"rl.overlong has weight={self.weight} and buffer={self.buffer}, expected weight >= 0 (0: off) and "
                "buffer >= 1 tokens."
            )

    def __call__(self, rollouts: RolloutBatch, *, max_new_tokens: int) -> Tensor:
        """(B, G) raw penalty of each completion, in [-1, 0]."""
        lengths = torch.tensor([[len(one.token_ids) for one in group] for group in rollouts.completions])
        truncated = torch.tensor([[one.truncated for one in group] for group in rollouts.completions])
        return overlong_penalty(lengths, truncated, max_new_tokens=max_new_tokens, buffer=self.buffer)


def overlong_penalty(lengths: Tensor, truncated: Tensor, *, max_new_tokens: int, buffer: int) -> Tensor:
    """0 up to `max_new_tokens - buffer` tokens, then in a straight line to -1 at the limit; -1 where it was cut off.

    Source: DAPO, arXiv:2503.14476, equation 13, whose L_max is the length limit here and whose L_cache is `buffer`.
    Ours: a completion that ends by itself at the very limit earns -1 as one that is cut off there, and nothing is
    longer, because sampling stops.

    Args:
        lengths: (B, G) tokens.
        truncated: (B, G) True where the limit cut it off.
    Raises:
        ValueError: a buffer longer than the completions may be.
    """
    if buffer > max_new_tokens:
        raise ValueError(
            f"rl.overlong.buffer={buffer} is longer than rl.max_new_tokens={max_new_tokens}, so the shortest "
            "completions would be punished: lower it."
        )
    over = (lengths - (max_new_tokens - buffer)).clamp(min=0, max=buffer)
    return torch.where(truncated, -1.0, -(over / buffer))
