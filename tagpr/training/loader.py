"""Batches in an order that depends on (seed, epoch) alone: a resumed run sees what the first would have seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tagpr.errors import BadInputError


class ResumableLoader:
    """Endless batches over `num_items` items; the number of steps ends training, never the data.

    Each epoch shuffles anew. Where several ranks share the work, every rank takes its own slice of the same global
    batch, so that two ranks with half a batch each see what one process sees. A short last batch is topped up from
    the start of the epoch's order, so that every step holds `batch_size` items and none is left out.

    Args:
        num_items: size of the data set.
        batch_size: items of one optimizer step, over all ranks.
        collate: (indices, generator) -> batch. The generator is a function of (seed, epoch, position), alike on every
            rank: a collate that samples must take its randomness from there, item by item.
        seed: of the order and of the generators.
        repeats: consecutive steps that get the same batch; RL takes several optimizer steps from one batch of rollouts.
        sliced: ranks get their slices; False: each gets the whole batch and finds its own part.
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
    ) -> None:
        if num_items < 1:
            raise ValueError("There is nothing to train on: num_items is 0, expected at least one item.")
        self.num_items = num_items
        self.batch_size = batch_size
        self.collate = collate
        self.seed = seed
        self.repeats = repeats
        self.sliced = sliced
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
        order = np.random.default_rng([self.seed, epoch]).permutation(self.num_items)
        start = (position // self.repeats) * self.batch_size
        batch = np.take(order, np.arange(start, start + self.batch_size), mode="wrap")
        return batch[self.rank :: self.world_size].tolist()

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
