"""The default: an answer is liked by whom its encoding agrees with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tagpr.prmu.arch.base import Encode, PrmuArch
from tagpr.prmu.texts import Exchange, History
from tagpr.prmu.user_encoder import UserEncoder, pad_entries


class Bilinear(PrmuArch):
    """R(u, x, y) = w.c + c' A e_u / sqrt(k), c = g(x, y) through the history's own encoder (O).

    The h of the plain quality term w.h is c itself: one forward pass per answer instead of two. A starts as the
    transpose of the user encoder's orthonormal projection, so that from step 0 the second term is the dot product of
    the answer with the pooled history; started at random it is an XOR-like problem that stays at chance for long.
    Concatenation with a linear head would not do at all: v.e_u cancels in every pair of one user.

    One c serves every user: scoring B answers for U users costs B + (entries of U histories) encodings and one matrix
    product.

    Args:
        dim: k of the user vector.
        prior_entries: n0, see UserEncoder.
    """

    def __init__(self, *, hidden_size: int, dim: int, prior_entries: float) -> None:
        super().__init__()
        self.user_encoder = UserEncoder(hidden_size=hidden_size, dim=dim, prior_entries=prior_entries)
        self.head = nn.Linear(hidden_size, 1, bias=False)
        nn.init.zeros_(self.head.weight)
        self.interaction = nn.Parameter(self.user_encoder.projection.weight.detach().T.clone())  # (D, k)

    def hyperparameters(self) -> dict[str, Any]:
        return {"dim": self.user_encoder.dim, "prior_entries": self.user_encoder.prior_entries}

    def score(self, encode: Encode, users: Sequence[History], candidates: Sequence[Exchange]) -> Tensor:
        entries = [entry for history in users for entry in history]
        hidden = encode([*candidates, *entries])  # in one call: an entry may be a candidate as well
        c, entries_hidden = hidden[: len(candidates)], hidden[len(candidates) :]
        return self.combine(c, self.user_encoder(*pad_entries(entries_hidden, users)))

    def combine(self, c: Tensor, e: Tensor) -> Tensor:
        """(U, B) from encoded candidates (B, D) and user vectors (U, k)."""
        return self.head(c).T + e @ (c @ self.interaction).T / e.shape[-1] ** 0.5

    def user_vectors(self, encode: Encode, users: Sequence[History]) -> Tensor:
        """(U, k)."""
        with torch.no_grad():
            return self.user_encoder(*pad_entries(encode([entry for history in users for entry in history]), users))
