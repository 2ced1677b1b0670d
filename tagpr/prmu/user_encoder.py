"""From a user's encoded history to the user's vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tagpr.errors import UserError
from tagpr.prmu.pooling import POOLINGS
from tagpr.prmu.text_encoder import Encode, FrozenEncoder
from tagpr.prmu.texts import Exchange, History


class UserEncoder(nn.Module):
    """e_u = n/(n+n0) LN(P pool_i g_i) + n0/(n+n0) e_0 (O): n entries, pooled by attention, shrunk to a generic user.

    An entry comes in as input and response (the label or rating, where the task has them) through g, and with its age,
    the number of answers that the person has given since: a learned logit per age, in the buckets 0, 1-2, 3-6, 7-14,
    ..., lets what is long ago count less. Where the data's order means nothing, set recency_buckets=0.

    Inductive: it holds nothing about any one person, so people never seen in training work. With n = 0 it is e_0
    exactly, and the spread over users goes to 0 with n.

    Args:
        hidden_size: D of the text encoder.
        dim: k of the user vector; the projection P starts orthonormal, so that dot products survive it.
        prior_entries: n0 > 0, how many entries the generic user counts for.
        recency_buckets: ages told apart, the last bucket open; 0: ages are not read.
        pooling: a key of POOLINGS.
    """

    def __init__(self, *, hidden_size: int, dim: int, prior_entries: float, recency_buckets: int, pooling: str) -> None:
        super().__init__()
        if prior_entries <= 0:
            raise UserError(f"prmu.arch.prior_entries={prior_entries}, expected > 0: an empty history needs e_0.")
        if recency_buckets < 0:
            raise UserError(f"prmu.arch.recency_buckets={recency_buckets}, expected 0 (ages are not read) or more.")
        if pooling not in POOLINGS:
            raise UserError(f"prmu.arch.pooling={pooling!r}, expected one of {', '.join(POOLINGS)}.")
        self.dim = dim
        self.prior_entries = prior_entries
        self.pooling_name = pooling
        self.pooling = POOLINGS[pooling](hidden_size=hidden_size)
        self.recency_buckets = recency_buckets
        self.recency = nn.Parameter(torch.zeros(recency_buckets)) if recency_buckets else None
        self.projection = nn.Linear(hidden_size, dim, bias=False)
        nn.init.orthogonal_(self.projection.weight)
        self.norm = nn.LayerNorm(dim)
        self.generic = nn.Parameter(torch.zeros(dim))

    def hyperparameters(self) -> dict[str, int | float | str]:
        """Keyword arguments, without hidden_size, that build this encoder again."""
        return {
            "dim": self.dim, "prior_entries": self.prior_entries, "recency_buckets": self.recency_buckets,
            "pooling": self.pooling_name,
        }  # fmt: skip

    def forward(self, entries: Tensor, entry_mask: Tensor, ages: Tensor, queries: Tensor | None = None) -> Tensor:
        """User vectors, for each query where they differ by query.

        Args:
            entries: (U, H, D) encoded entries; what stands where the mask is False does not matter.
            entry_mask: (U, H) bool.
            ages: (U, H) whole numbers.
            queries: (Q, D), see Pooling.
        Returns:
            (U, Q, k) where the pooling reads queries and got them, else (U, 1, k).
        """
        logits = self.pooling.logits(entries, queries)
        if self.recency is not None:
            bucket = torch.log2(ages + 1.0).floor().long().clamp(max=self.recency_buckets - 1)
            logits = logits + self.recency[bucket][:, None]
        logits = logits.masked_fill(~entry_mask[:, None], torch.finfo(logits.dtype).min)
        weights = logits.softmax(dim=2) * entry_mask[:, None]
        pooled = torch.einsum("uqh,uhd->uqd", weights, entries.masked_fill(~entry_mask[..., None], 0.0))
        count = entry_mask.sum(dim=1)[:, None, None].to(entries.dtype)
        share = count / (count + self.prior_entries)
        return share * self.norm(self.projection(pooled)) + (1.0 - share) * self.generic

    def encode(self, encode: Encode, users: Sequence[History], candidates: Sequence[Exchange]) -> tuple[Tensor, Tensor]:
        """Candidates (B, D) and, for each of them or for all, user vectors (U, B, k) or (U, 1, k).

        Texts are read in one call, as an entry may be a candidate as well. Of a FrozenEncoder, which remembers, vectors
        that no query changes are remembered too, per history.
        """
        if self.pooling.reads_query:
            queries = {context: i for i, context in enumerate(dict.fromkeys(one.context for one in candidates))}
            asked = [Exchange(context, "") for context in queries]
            entries = [entry for history in users for entry in history]
            hidden = encode([*candidates, *asked, *entries])
            c, q, g = hidden.split([len(candidates), len(asked), len(entries)])
            vectors = self(*pad_entries(g, users), padded_ages(users, device=hidden.device), q)
            place = torch.tensor([queries[one.context] for one in candidates], dtype=torch.long)
            return c, vectors[:, place.to(hidden.device)]
        known: dict[History, Tensor] = {}
        if isinstance(encode, FrozenEncoder):
            encode.users.forget_others(encode.encoder, self)
            found = {history: encode.users.get(history) for history in users}
            known = {history: vector for history, vector in found.items() if vector is not None}
        new = [history for history in dict.fromkeys(users) if history not in known]
        entries = [entry for history in new for entry in history]
        c, g = encode([*candidates, *entries]).split([len(candidates), len(entries)])
        fresh = self(*pad_entries(g, new), padded_ages(new, device=g.device))[:, 0]
        known |= dict(zip(new, fresh, strict=True))
        if isinstance(encode, FrozenEncoder):
            for history in new:
                encode.users.put(history, known[history])
        return c, torch.stack([known[history] for history in users])[:, None] if users else fresh[:, None]

    @torch.no_grad()
    def vectors(self, encode: Encode, users: Sequence[History]) -> Tensor:
        """(U, k), for no query in particular."""
        entries = encode([entry for history in users for entry in history])
        return self(*pad_entries(entries, users), padded_ages(users, device=entries.device))[:, 0]


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


def padded_ages(histories: Sequence[History], *, device: torch.device) -> Tensor:
    """(U, H) ages beside `pad_entries`; entries of unknown age count from the end of what is given."""
    longest = max([1, *(len(history) for history in histories)])
    ages = torch.zeros(len(histories), longest, dtype=torch.long)
    for row, history in zip(ages, histories, strict=True):
        for i, entry in enumerate(history):
            row[i] = len(history) - 1 - i if entry.age is None else entry.age
    return ages.to(device)
