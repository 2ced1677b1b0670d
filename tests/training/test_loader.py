"""The order of batches is a function of (seed, epoch) alone."""

from __future__ import annotations

from itertools import chain, groupby, islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.errors import BadInputError
from tagpr.training.loader import ResumableLoader


def make(**changes: Any) -> ResumableLoader:
    arguments: dict[str, Any] = {"num_items": 10, "batch_size": 4, "seed": 1} | changes
    return ResumableLoader(collate=lambda indices, generator: (indices, generator.integers(1000)), **arguments)


def test_each_epoch_holds_every_item_and_is_shuffled_anew() -> None:
    batches = [indices for indices, _ in islice(make(), 6)]  # 3 steps per epoch
    epochs = [[*chain.from_iterable(batches[:3])], [*chain.from_iterable(batches[3:])]]
    for order in epochs:
        assert sorted(order[:10]) == list(range(10))
        assert order[10:] == order[:2]  # the last batch is topped up from the start
    assert epochs[0] != epochs[1]


def test_seeds_differ() -> None:
    assert make(seed=1).indices(0, 0) != make(seed=2).indices(0, 0)


@given(done=st.integers(0, 25), repeats=st.integers(1, 3), num_items=st.integers(1, 11))
def test_resumed_loader_goes_on_where_the_first_was(done: int, repeats: int, num_items: int) -> None:
    whole = list(islice(make(num_items=num_items, repeats=repeats), 30))
    first = make(num_items=num_items, repeats=repeats)
    list(islice(first, done))
    second = make(num_items=num_items, repeats=repeats)
    second.load_state_dict(first.state_dict())
    assert list(islice(second, 30 - done)) == whole[done:]


def test_state_names_epoch_and_position() -> None:
    loader = make()
    list(islice(loader, 3))
    assert loader.state_dict() == {"epoch": 1, "position": 0}
    list(islice(loader, 2))
    assert loader.state_dict() == {"epoch": 1, "position": 2}


def test_repeats_give_the_same_batch_again() -> None:
    batches = list(islice(make(repeats=2), 8))
    assert batches[0] == batches[1]
    assert batches[2] == batches[3]
    assert batches[0] != batches[2]
    assert [b for b, _ in batches[::2]] == [b for b, _ in islice(make(), 4)]


def test_ranks_share_the_global_batch() -> None:
    whole = make().indices(2, 1)
    parts = []
    for rank in range(2):
        loader = make()
        loader.share(rank=rank, world_size=2)
        parts.append(loader.indices(2, 1))
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    assert [len(part) for part in parts] == [2, 2]


GROUPS = [0, 0, 1, 2, 2, 2, 3, 4, 4, 5]


def test_groups_stand_together_in_every_epoch() -> None:
    loader = make(groups=GROUPS)
    orders = [[i for step in range(3) for i in loader.indices(epoch, step)][:10] for epoch in range(2)]
    for order in orders:
        assert sorted(order) == list(range(10))
        # Each of the six groups is one run, its items in their own order.
        runs = [list(items) for _, items in groupby(order, key=lambda item: GROUPS[item])]
        assert sorted(runs) == [[0, 1], [2], [3, 4, 5], [6], [7, 8], [9]]
    assert orders[0] != orders[1]


@given(done=st.integers(0, 25), groups=st.lists(st.integers(0, 3), min_size=1, max_size=11))
def test_a_resumed_loader_of_groups_goes_on_where_the_first_was(done: int, groups: list[int]) -> None:
    numbers = sorted(sorted(set(groups)).index(group) for group in groups)
    whole = list(islice(make(num_items=len(groups), groups=numbers), 30))
    first, second = (make(num_items=len(groups), groups=numbers) for _ in range(2))
    list(islice(first, done))
    second.load_state_dict(first.state_dict())
    assert list(islice(second, 30 - done)) == whole[done:]


def test_ranks_take_neighbours() -> None:
    whole = make(groups=GROUPS).indices(1, 0)
    parts = []
    for rank in range(2):
        loader = make(groups=GROUPS)
        loader.share(rank=rank, world_size=2)
        parts.append(loader.indices(1, 0))
    assert parts == [whole[:2], whole[2:]]


def test_items_fewer_than_a_batch() -> None:
    indices = make(num_items=3).indices(0, 0)
    assert len(indices) == 4
    assert set(indices) == {0, 1, 2}


def test_generators_do_not_touch_the_global_state() -> None:
    before = np.random.get_state()[1].copy()
    list(islice(make(), 5))
    assert np.array_equal(before, np.random.get_state()[1])


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to train on"):
        make(num_items=0)
    with pytest.raises(BadInputError, match=r"batch of 4 cannot be shared evenly by trainer\.devices=3"):
        make().share(rank=0, world_size=3)
