"""From a user's encoded history to the user's vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tagpr.prmu.texts import History


class UserEncoder(nn.Module):
    """e_u = n/(n+n0) LN(P pool_i g_i) + n0/(n+n0) e_0 (O): n entries, pooled by attention, shrunk to a generic user.

    Inductive: it holds nothing about any one person, so people never seen in training work. With n = 0 it is e_0
    exactly, and the spread over users goes to 0 with n. The pooling starts as the plain mean (the shape that learned in
    the prototype).

    Args:
        hidden_size: D of the text encoder.
        dim: k of the user vector; the projection P starts orthonormal, so that dot products survive it.
        prior_entries: n0 > 0, how many entries the generic user counts for.
    """

    def __init__(self, *, hidden_size: int, dim: int, prior_entries: float) -> None:
        super().__init__()
        if prior_entries <= 0:
            raise ValueError(f"user_encoder.prior_entries={prior_entries}, expected > 0: an empty history needs e_0.")
        self.dim = dim
        self.prior_entries = prior_entries
        self.attention = nn.Parameter(torch.zeros(hidden_size))
        self.projection = nn.Linear(hidden_size, dim, bias=False)
        nn.init.orthogonal_(self.projection.weight)
        self.norm = nn.LayerNorm(dim)
        self.generic = nn.Parameter(torch.zeros(dim))

    def forward(self, entries: Tensor, entry_mask: Tensor) -> Tensor:
        """User vectors.

        Args:
            entries: (U, H, D) encoded entries; what stands where the mask is False does not matter.
            entry_mask: (U, H) bool.
        Returns:
            (U, k).
        """
        logits = entries @ self.attention / entries.shape[-1] ** 0.5
        logits = logits.masked_fill(~entry_mask, torch.finfo(logits.dtype).min)
        weights = logits.softmax(dim=1) * entry_mask
        pooled = torch.einsum("uh,uhd->ud", weights, entries.masked_fill(~entry_mask[..., None], 0.0))
        count = entry_mask.sum(dim=1, keepdim=True).to(entries.dtype)
        share = count / (count + self.prior_entries)
        return share * self.norm(self.projection(pooled)) + (1.0 - share) * self.generic


def drop_entries(history: History, *, max_dropout: float, max_entries: int, generator: np.random.Generator) -> History:
    """A random part of a history, so that any history length works later and no pair shows the same history twice.

    The rate is drawn anew from [0, max_dropout] for each call, every entry is then dropped at that rate, and of what is
    left at most max_entries stay (a random choice). The order is kept.
    """
    rate = generator.uniform(0.0, max_dropout)
    kept = np.flatnonzero(generator.random(len(history)) >= rate)
    if len(kept) > max_entries:
        kept = np.sort(generator.choice(kept, size=max_entries, replace=False))
    return tuple(history[i] for i in kept)


def pad_entries(hidden: Tensor, histories: Sequence[History]) -> tuple[Tensor, Tensor]:
    """Rows of `hidden`, one per entry in the histories' order, as ((U, H, D), (U, H) mask), H at least 1."""
    longest = max([1, *(len(history) for history in histories)])
    entry_mask = torch.zeros(len(histories), longest, dtype=torch.bool, device=hidden.device)
    for row, history in zip(entry_mask, histories, strict=True):
        row[: len(history)] = True
    entries = hidden.new_zeros(len(histories), longest, hidden.shape[-1])
    return entries.masked_scatter(entry_mask[..., None], hidden), entry_mask
