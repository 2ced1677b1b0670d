"""The default: an answer is liked by whom its encoding agrees with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tagpr.prmu.arch.base import PrmuArch
from tagpr.prmu.text_encoder import Encode
from tagpr.prmu.texts import Exchange, History
from tagpr.prmu.user_encoder import UserEncoder


class Bilinear(PrmuArch):
    """R(u, x, y) = w.c + c' A e_u / sqrt(k), c = g(x, y) through the history's own encoder (O).

    The h of the plain quality term w.h is c itself: one forward pass per answer instead of two. A starts as the
    transpose of the user encoder's orthonormal projection, so that from step 0 the second term is the dot product of
    the answer with the pooled history; started at random it is an XOR-like problem that stays at chance for long.
    Concatenation with a linear head would not do at all: v.e_u cancels in every pair of one user.

    One c serves every user: scoring B answers for U users costs B + (entries of U histories) encodings and one matrix
    product; with a pooling that reads the query, an encoding per query and U x B products of k numbers more.

    Args:
        dim, prior_entries, recency_buckets, pooling: see UserEncoder.
    """

    def __init__(self, *, hidden_size: int, dim: int, prior_entries: float, recency_buckets: int, pooling: str) -> None:
        super().__init__()
        self.user_encoder = UserEncoder(
            hidden_size=hidden_size,
            dim=dim,
            prior_entries=prior_entries,
            recency_buckets=recency_buckets,
            pooling=pooling,
        )
        self.head = nn.Linear(hidden_size, 1, bias=False)
        nn.init.zeros_(self.head.weight)
        self.interaction = nn.Parameter(self.user_encoder.projection.weight.detach().T.clone())  # (D, k)

    def hyperparameters(self) -> dict[str, Any]:
        return self.user_encoder.hyperparameters()

    def score(
        self, encode: Encode, users: Sequence[History], candidates: Sequence[Exchange], *, needed: Tensor | None
    ) -> Tensor:
        return self.combine(*self.user_encoder.encode(encode, users, candidates))

    def combine(self, c: Tensor, e: Tensor) -> Tensor:
        """(U, B) from encoded candidates (B, D) and user vectors, (U, B, k) or (U, 1, k) for all candidates alike."""
        read = c @ self.interaction
        agreement = e[:, 0] @ read.T if e.shape[1] == 1 else torch.einsum("ubk,bk->ub", e, read)
        return self.head(c).T + agreement / e.shape[-1] ** 0.5

    def user_vectors(self, encode: Encode, users: Sequence[History]) -> Tensor:
        """(U, k), for no query in particular."""
        return self.user_encoder.vectors(encode, users)
