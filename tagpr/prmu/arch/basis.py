"""A few kinds of taste, and each person a mixture of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tagpr.errors import UserError
from tagpr.prmu.arch.base import PrmuArch
from tagpr.prmu.text_encoder import Encode
from tagpr.prmu.texts import Exchange, History
from tagpr.prmu.user_encoder import UserEncoder


class Basis(PrmuArch):
    """R(u, x, y) = sum_j pi_j(u) v_j.c, pi = softmax(M e_u), c = g(x, y) (O; the idea as in LoRe and PAL).

    Few prototypes v_j say how much people can differ; pi says who is like whom. M starts with orthogonal rows and V as
    M read through the user encoder's projection, so that a prototype likes from step 0 the answers that are like the
    histories it is picked for; started at random it would stay at chance for long.

    One c serves every user, as in Bilinear.

    Args:
        num_prototypes: J >= 2; one would see no user.
        dim, prior_entries, recency_buckets, pooling: see UserEncoder.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        num_prototypes: int,
        dim: int,
        prior_entries: float,
        recency_buckets: int,
        pooling: str,
    ) -> None:
        super().__init__()
        if num_prototypes < 2:
            raise UserError(f"prmu.arch.num_prototypes={num_prototypes}, expected 2 or more: one would see no user.")
        self.user_encoder = UserEncoder(
            hidden_size=hidden_size,
            dim=dim,
            prior_entries=prior_entries,
            recency_buckets=recency_buckets,
            pooling=pooling,
        )
        self.mixture = nn.Linear(dim, num_prototypes, bias=False)  # M
        nn.init.orthogonal_(self.mixture.weight)
        start = self.mixture.weight @ self.user_encoder.projection.weight
        self.prototypes = nn.Parameter(start.detach().clone())  # V, (J, D)

    def hyperparameters(self) -> dict[str, Any]:
        return {"num_prototypes": len(self.prototypes), **self.user_encoder.hyperparameters()}

    def score(
        self, encode: Encode, users: Sequence[History], candidates: Sequence[Exchange], *, needed: Tensor | None
    ) -> Tensor:
        c, e = self.user_encoder.encode(encode, users, candidates)
        share, liked = self.mixture(e).softmax(dim=-1), c @ self.prototypes.T
        return share[:, 0] @ liked.T if share.shape[1] == 1 else torch.einsum("ubj,bj->ub", share, liked)

    def user_vectors(self, encode: Encode, users: Sequence[History]) -> Tensor:
        """(U, k), for no query in particular."""
        return self.user_encoder.vectors(encode, users)
