"""The control that reads the history as text, the way a prompt shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tagpr.errors import UserError
from tagpr.prmu.arch.base import PrmuArch
from tagpr.prmu.text_encoder import Encode
from tagpr.prmu.texts import Exchange, History, Pasted


class HistoryText(PrmuArch):
    """R(u, x, y) = w.f(H_u as text, x, y): no user vector; the backbone sees entries and candidate together (O).

    What PRMU must beat, or tie at a fraction of the cost: nothing is shared between users, so that U users and B
    answers take U x B readings (a history and a question are read once for the answers to it, given `two_part`
    attention). Entries that do not fit the budget are not seen: the oldest are left out first.

    Args:
        history_tokens: >= 1, that the entries may take before the candidate.
    """

    def __init__(self, *, hidden_size: int, history_tokens: int) -> None:
        super().__init__()
        if history_tokens < 1:
            raise UserError(
                f"prmu.arch.history_tokens={history_tokens}, expected 1 or more; blind: prmu/arch=agnostic."
            )
        self.history_tokens = history_tokens
        self.head = nn.Linear(hidden_size, 1, bias=False)

    def hyperparameters(self) -> dict[str, Any]:
        return {"history_tokens": self.history_tokens}

    def score(
        self, encode: Encode, users: Sequence[History], candidates: Sequence[Exchange], *, needed: Tensor | None
    ) -> Tensor:
        if needed is None:
            needed = torch.ones(len(users), len(candidates), dtype=torch.bool)
        histories = [tuple(entry.text() for entry in history) for history in users]
        texts = [Pasted(histories[u], candidates[b], self.history_tokens) for u, b in needed.nonzero().tolist()]
        rewards = self.head(encode(texts))[:, 0]
        return rewards.new_full(needed.shape, torch.nan).masked_scatter(needed.to(rewards.device), rewards)
