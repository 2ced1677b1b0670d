"""Packed rows: the tokens of several prompts and their completions in one row without padding, all prompts first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from tagpr.lm.padding import Padding


class PackedAttention(Protocol):
    """Attention over the tokens of one packed row; passed to the model as `packed=...`, asked in every layer."""

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, rows: Tensor | None = None
    ) -> Tensor:
        """(N, H, d) queries and (N, K, d) keys and values, after rotation -> (N, H, d).

        Args:
            rows: the queries, and what is given back, are those of these tokens alone; None: of all.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class PrefixLayout:
    """How a packed micro-batch of B prompts with G completions each is laid out."""

    num_prompt_tokens: int
    prompts: Padding  # B rows
    completions: Padding | None  # B * G rows; None where there are no completion tokens
    prompt_bias: Tensor | None  # (B, 1, 1, P) 0 or -inf, added to scores against prompt keys; None: no padding

    @classmethod
    def of_masks(cls, prompt_mask: Tensor, completion_mask: Tensor, *, dtype: torch.dtype) -> Self:
        """From (B, P) and (B, G, T) masks, True = a token that is fed to the model."""
        prompts = Padding.of_mask(prompt_mask)
        has_completions = completion_mask.numel() > 0 and bool(completion_mask.any())
        bias = None
        if prompts.slots is not None:
            bias = torch.zeros(prompt_mask.shape, dtype=dtype, device=prompt_mask.device)
            bias = bias.masked_fill_(~prompt_mask, float("-inf"))[:, None, None, :]
        return cls(
            num_prompt_tokens=int(prompt_mask.sum()),
            prompts=prompts,
            completions=Padding.of_mask(completion_mask.flatten(0, 1)) if has_completions else None,
            prompt_bias=bias,
        )
