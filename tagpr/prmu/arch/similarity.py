"""The control that was never trained: an answer like the person's earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tagpr.errors import UserError
from tagpr.prmu.arch.base import PrmuArch
from tagpr.prmu.text_encoder import Encode
from tagpr.prmu.texts import Exchange, History
from tagpr.prmu.user_encoder import pad_entries


class Similarity(PrmuArch):
    """R(u, y) = n/(n+n0) mean_i cos(g(y), g(b_i)): the answer and the person's n past responses, each read alone (O).

    Neither the question nor the inputs are read, and nothing is learned: the backbone is the base as it is. It has the
    same shrinkage as PRMU, so that its temperature can say how sure it is.

    Args:
        prior_entries: n0 > 0.
    """

    is_trained = False

    def __init__(self, *, hidden_size: int, prior_entries: float) -> None:
        super().__init__()
        if prior_entries <= 0:
            raise UserError(f"prmu.arch.prior_entries={prior_entries}, expected > 0.")
        self.prior_entries = prior_entries

    def hyperparameters(self) -> dict[str, Any]:
        return {"prior_entries": self.prior_entries}

    def score(
        self, encode: Encode, users: Sequence[History], candidates: Sequence[Exchange], *, needed: Tensor | None
    ) -> Tensor:
        answers = [Exchange("", candidate.response) for candidate in candidates]
        responses = [Exchange("", entry.response) for history in users for entry in history]
        directions = F.normalize(encode([*answers, *responses]), dim=-1)
        entries, entry_mask = pad_entries(directions[len(answers) :], users)
        count = entry_mask.sum(dim=1, keepdim=True)
        pooled = entries.sum(dim=1) / (count + self.prior_entries)  # the mean, times n/(n+n0)
        return torch.einsum("ud,bd->ub", pooled, directions[: len(answers)])
