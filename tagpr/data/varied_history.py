"""Histories of every length in training, so that one policy can be asked with any of them."""

from __future__ import annotations

import random
from typing import final

from tagpr.data.retrieval import RandomRetriever, Retriever, checked_k
from tagpr.tasks import Task
from tagpr.types import Record


@final
class VariedRetriever(Retriever):
    """k entries in random order; a train person's question gets the first n of them alone, 0 <= n <= k.

    n + 1 is log-uniform, p(n) = log((n + 2) / (n + 1)) / log(k + 2): the first entries tell most, so short
    histories are as frequent as long ones; where k is 16 a quarter of the questions show none.

    Ours. A policy that met full histories only has never learnt what to answer without one: what it does there says
    nothing of the history's worth. Test and dev people keep all k, so `evaluation.rows.<row>.entries` decides what is
    shown of them: the first entries of one order, whatever the question, so that a shorter history is part of a longer
    one and length is not mixed with relevance.

    Args:
        k: most entries.
    """

    def __init__(self, *, k: int) -> None:
        self.k = checked_k(k)
        self._whole = RandomRetriever(k=k)

    def rank(self, record: Record, task: Task, *, seed: int) -> tuple[int, ...]:
        order = self._whole.rank(record, task, seed=seed)
        if record.split != "train":
            return order
        stream = random.Random(f"{seed}/length/{record.task}/{record.record_id}")
        return order[: int((len(order) + 2) ** stream.random()) - 1]
