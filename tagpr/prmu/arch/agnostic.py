"""The control that sees no user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from tagpr.prmu.arch.base import PrmuArch
from tagpr.prmu.text_encoder import Encode
from tagpr.prmu.texts import Exchange, History


class Agnostic(PrmuArch):
    """R(x, y) = w.h. At .5 on every personal figure by construction: whatever it gains is not about the person."""

    def __init__(self, *, hidden_size: int) -> None:
        super().__init__()
        self.head = nn.Linear(hidden_size, 1, bias=False)

    def hyperparameters(self) -> dict[str, Any]:
        return {}

    def score(
        self, encode: Encode, users: Sequence[History], candidates: Sequence[Exchange], *, needed: Tensor | None
    ) -> Tensor:
        return self.head(encode(candidates)).T.expand(len(users), -1)
