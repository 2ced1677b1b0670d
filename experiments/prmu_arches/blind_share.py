"""A trained PRMU less a share of what it gives for anybody: the order that RL's reward puts answers in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tagpr.prmu.model import PrmuModel
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import History, query_context
from tagpr.types import Record


class LessAnybody:
    """R(u, x, y) - lambda mean_v R(v, x, y), v the reference people of x's task.

    It is the S of tagpr.prmu.reward up to what is the same for all answers to a question.

    Args:
        references: task -> histories.
        records: whose questions may be asked; a question tells the task.
    """

    def __init__(
        self,
        model: PrmuModel,
        references: Mapping[str, Sequence[History]],
        records: Sequence[Record],
        *,
        blind_share: float,
    ) -> None:
        self.temperature, self.max_entries = model.temperature, model.max_entries
        self._model = model
        self._references = references
        self._task = {query_context(record): record.task for record in records}
        self._blind_share = blind_share

    def score(
        self,
        users: Sequence[History],
        queries: Sequence[str],
        answers: Sequence[str],
        *,
        encode: FrozenEncoder | None = None,
        needed: Tensor | None = None,
    ) -> Tensor:
        """(U, B), as PrmuModel.score."""
        own = self._model.score(users, queries, answers, encode=encode, needed=needed)
        columns: dict[str, list[int]] = {}
        for column, context in enumerate(queries):
            columns.setdefault(self._task[context], []).append(column)
        anybody = torch.zeros(own.shape[1], dtype=own.dtype, device=own.device)
        for task, of_task in columns.items():
            if people := self._references.get(task, ()):
                rewards = self._model.score(
                    people, [queries[c] for c in of_task], [answers[c] for c in of_task], encode=encode
                )
                anybody[of_task] = rewards.mean(dim=0)
        return own - self._blind_share * anybody
