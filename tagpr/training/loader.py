"""Batches in an order that depends on (seed, epoch) alone: a resumed run sees what the first would have seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tagpr.errors import BadInputError


class ResumableLoader:
    """Endless batches over `num_items` items; the number of steps ends training, never the data.

    Each epoch shuffles anew. Where several ranks share the work, every rank takes its own slice of the same global
    batch, so that two ranks with half a batch each see what one process sees. A short last batch is topped up from
    the start of the epoch's order, so that every step holds `batch_size` items and none is left out.

    With `groups`, it is the groups that are shuffled, and a group's items stand together in the order: steps, and the
    ranks' slices of a step, are cut out of that order one after the other, so that a group may be cut in two at an
    edge. No item is left out.

    Args:
        num_items: size of the data set.
        batch_size: items of one optimizer step, over all ranks.
        collate: (indices, generator) -> batch. The generator is a function of (seed, epoch, position), alike on every
            rank: a collate that samples must take its randomness from there, item by item.
        seed: of the order and of the generators.
        repeats: consecutive steps that get the same batch; RL takes several optimizer steps from one batch of rollouts.
        sliced: ranks get their slices; False: each gets the whole batch and finds its own part.
        groups: number of each item's group, 0 .. the number of groups - 1; None: every item by itself.
    """

    def __init__(
        self,
        *,
        num_items: int,
        batch_size: int,
        collate: Callable[[list[int], np.random.Generator], Any],
        seed: int,
        repeats: int = 1,
        sliced: bool = True,
        groups: Sequence[int] | None = None,
    ) -> None:
        if num_items < 1:
            raise ValueError("There is nothing to train on: num_items is 0, expected at least one item.")
        self.num_items = num_items
        self.batch_size = batch_size
        self.collate = collate
        self.seed = seed
        self.repeats = repeats
        self.sliced = sliced
        self.groups = None if groups is None else np.asarray(groups)
        self.rank = 0
        self.world_size = 1
        self.epoch = 0
        self.position = 0  # steps done in this epoch

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.num_items // self.batch_size) * self.repeats

    def share(self, *, rank: int, world_size: int) -> None:
        """Yield one rank's slices from now on; `fit` calls it once the processes know of one another."""
        if not self.sliced:
            return
        if self.batch_size % world_size:
            raise BadInputError(
                f"a batch of {self.batch_size} cannot be shared evenly by trainer.devices={world_size} processes: "
                f"choose a batch size that is a multiple of {world_size}."
            )
        self.rank, self.world_size = rank, world_size

    def indices(self, epoch: int, position: int) -> list[int]:
        """This rank's items at one step: a pure function of the seed and the arguments."""
        start = (position // self.repeats) * self.batch_size
        batch = np.take(self._order(epoch), np.arange(start, start + self.batch_size), mode="wrap")
        return np.split(batch, self.world_size)[self.rank].tolist()

    def _order(self, epoch: int) -> np.ndarray:
        shuffle = np.random.default_rng([self.seed, epoch])
        if self.groups is None:
            return shuffle.permutation(self.num_items)
        return shuffle.permutation(self.groups.max() + 1)[self.groups].argsort(kind="stable")

    def __iter__(self) -> Iterator[Any]:
        while True:
            generator = np.random.default_rng([self.seed, self.epoch, self.position // self.repeats])
            batch = self.collate(self.indices(self.epoch, self.position), generator)
            # Moved on before the batch is handed out: a checkpoint made during this step must name the next one.
            self.position += 1
            if self.position == self.steps_per_epoch:
                self.epoch, self.position = self.epoch + 1, 0
            yield batch

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch = state["epoch"]
        self.position = state["position"]
