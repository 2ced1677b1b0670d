"""How much each past entry counts in a user's vector."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Pooling(nn.Module, ABC):
    """Logits of a softmax over a user's entries. All start at 0: the plain mean, the shape that learned in trials."""

    reads_query: bool  # whether a user's vector differs from query to query

    @abstractmethod
    def logits(self, entries: Tensor, queries: Tensor | None) -> Tensor:
        """(U, Q, H), Q = 1 where the query is not read.

        Args:
            entries: (U, H, D).
            queries: (Q, D) encoded contexts without a response; None: for no query in particular.
        """


class MeanAttention(Pooling):
    """a.g_i / sqrt(D): some entries tell more of a person than others, whatever is asked (O)."""

    reads_query = False

    def __init__(self, *, hidden_size: int) -> None:
        super().__init__()
        self.attention = nn.Parameter(torch.zeros(hidden_size))

    def logits(self, entries: Tensor, queries: Tensor | None) -> Tensor:
        return (entries @ self.attention / entries.shape[-1] ** 0.5)[:, None]


class QueryAware(Pooling):
    """a.g_i / sqrt(D) + (W_q q).(W_k g_i) / sqrt(D): what a person did in a case like this one counts more (O).

    W_q starts at 0 and W_k orthonormal, so that the gradient reaches W_q from the first step. The query costs one
    forward pass per distinct query, of its context with no response; entries are read no more often than without it.
    """

    reads_query = True

    def __init__(self, *, hidden_size: int) -> None:
        super().__init__()
        self.attention = nn.Parameter(torch.zeros(hidden_size))
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.key = nn.Linear(hidden_size, hidden_size, bias=False)
        nn.init.zeros_(self.query.weight)
        nn.init.orthogonal_(self.key.weight)

    def logits(self, entries: Tensor, queries: Tensor | None) -> Tensor:
        alone = (entries @ self.attention)[:, None]
        if queries is not None:
            alone = alone + torch.einsum("qd,uhd->uqh", self.query(queries), self.key(entries))
        return alone / entries.shape[-1] ** 0.5


# By the name in prmu.arch.pooling and in a saved model's prmu.json.
POOLINGS: dict[str, type[Pooling]] = {"mean_attention": MeanAttention, "query_aware": QueryAware}
