"""What every PRMU architecture offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from tagpr.prmu.texts import Exchange, History

Encode = Callable[[Sequence[Exchange]], Tensor]  # (N, D): a TextEncoder in training, a FrozenEncoder afterwards


class PrmuArch(nn.Module, ABC):
    """R(u, x, y) from encoded texts. Holds the parameters beside the backbone's.

    A subclass takes `hidden_size` and its hyperparameters by keyword, and names the latter in `hyperparameters`.
    """

    @abstractmethod
    def hyperparameters(self) -> dict[str, Any]:
        """Keyword arguments, without hidden_size, that build this architecture again."""

    @abstractmethod
    def score(self, encode: Encode, users: Sequence[History], candidates: Sequence[Exchange]) -> Tensor:
        """R of every candidate for every user: (U, B), without unit; differences for one x mean log-odds."""
