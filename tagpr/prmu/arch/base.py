"""What every PRMU architecture offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from tagpr.prmu.text_encoder import Encode
from tagpr.prmu.texts import Exchange, History


class PrmuArch(nn.Module, ABC):
    """R(u, x, y) from encoded texts. Holds the parameters beside the backbone's.

    A subclass takes `hidden_size` and its hyperparameters by keyword, and names the latter in `hyperparameters`.
    """

    is_trained = True  # False: neither its parameters nor the backbone's; the stage calibrates it as it is

    @abstractmethod
    def hyperparameters(self) -> dict[str, Any]:
        """Keyword arguments, without hidden_size, that build this architecture again."""

    @abstractmethod
    def score(
        self, encode: Encode, users: Sequence[History], candidates: Sequence[Exchange], *, needed: Tensor | None
    ) -> Tensor:
        """R of every candidate for every user: (U, B), without unit; differences for one x mean log-odds.

        Args:
            needed: (U, B) bool, on CPU; what an architecture that pays for each cell may leave NaN. None: all.
        """
