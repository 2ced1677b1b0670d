from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tagpr.lm.batches import GroupedBatch, split_groups


def batch_of(prompt_lengths: list[int], completion_lengths: list[list[int]]) -> GroupedBatch:
    prompts = [[1] * length for length in prompt_lengths]
    completions = [[[2] * length for length in group] for group in completion_lengths]
    return GroupedBatch.from_lists(prompts, completions, pad_id=0)


def test_padding_stands_on_the_right() -> None:
    batch = GroupedBatch.from_lists([[5, 6], [7]], [[[1], [2, 3, 4], []], [[8, 9], [1], [2]]], pad_id=0)
    assert batch.prompt_ids.tolist() == [[5, 6], [7, 0]]
    assert batch.prompt_mask.tolist() == [[True, True], [True, False]]
    assert batch.completion_ids.tolist() == [[[1, 0, 0], [2, 3, 4], [0, 0, 0]], [[8, 9, 0], [1, 0, 0], [2, 0, 0]]]
    assert batch.completion_lengths.tolist() == [[1, 3, 0], [2, 1, 1]]
    assert batch.prompt_lengths.tolist() == [2, 1]


def test_a_real_token_may_equal_the_pad_token() -> None:
    batch = GroupedBatch.from_lists([[0, 0]], [[[0, 3]]], pad_id=0)
    assert batch.prompt_mask.all()
    assert batch.completion_mask.all()


def test_select_keeps_the_padded_sizes() -> None:
    part = batch_of([3, 1], [[2, 1], [1, 1]]).select(torch.tensor([1]))
    assert part.prompt_ids.tolist() == [[1, 0, 0]]
    assert part.completion_ids.tolist() == [[[2, 0], [2, 0]]]


@pytest.mark.parametrize(
    ("prompts", "completions", "message"),
    [
        ([[1], []], [[[1]], [[1]]], "prompt 1 has no tokens"),
        ([[1], [1]], [[[1]], [[1], [2]]], "one group of the same size"),
        ([[1], [1]], [[[1]]], "2 prompts"),
    ],
)
def test_ragged_groups_are_refused(prompts: list, completions: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GroupedBatch.from_lists(prompts, completions, pad_id=0)


def test_split_groups_by_hand() -> None:
    """G = 2; costs of one group: 10 + 2 * 5 = 20, 2 + 2 * 4 = 10, 3 + 2 * 4 = 11."""
    batch = batch_of([10, 2, 3], [[5, 1], [4, 4], [1, 4]])
    assert [index.tolist() for index in split_groups(batch, max_tokens=22)] == [[1, 2], [0]]
    assert [index.tolist() for index in split_groups(batch, max_tokens=21)] == [[1], [2], [0]]
    assert [index.tolist() for index in split_groups(batch, max_tokens=1)] == [[1], [2], [0]]
    assert [index.tolist() for index in split_groups(batch, max_tokens=60)] == [[1, 2, 0]]


@given(
    lengths=st.lists(st.tuples(st.integers(1, 9), st.tuples(st.integers(0, 6), st.integers(0, 6))), min_size=1),
    max_tokens=st.integers(1, 80),
)
def test_every_group_goes_once_and_no_part_breaks_the_budget(
    lengths: list[tuple[int, tuple[int, int]]], max_tokens: int
) -> None:
    batch = batch_of([prompt for prompt, _ in lengths], [list(group) for _, group in lengths])
    parts = split_groups(batch, max_tokens=max_tokens)
    assert sorted(torch.cat(parts).tolist()) == list(range(len(lengths)))
    for index in parts:
        part = batch.select(index)
        cost = len(index) * int(part.prompt_lengths.max() + 2 * part.completion_lengths.max())
        assert len(index) == 1 or cost <= max_tokens
