"""The window: what goes in comes out, in micro-batches, through a checkpoint, and no rollout is met twice in a step."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from tagpr.rl.losses import WindowCounts
from tagpr.rl.rollouts import Readings, RolloutBatch, RolloutWindow

GROUPS = [["abcde", "ab", "a"], ["abc", "abcd", "ab"]]


@pytest.fixture
def rollouts(rollouts_of) -> RolloutBatch:
    return rollouts_of(GROUPS, golds=["4", "2"])


def new_window(**changes) -> RolloutWindow:
    return RolloutWindow(
        **{"num_updates": 2, "max_new_tokens": 9, "micro_batch_tokens": 10_000, "pad_id": 0, **changes}
    )


ADVANTAGES = torch.tensor([[1.0, -1.0, 0.0], [0.5, -0.25, -0.25]])


def test_answers_and_shape(rollouts: RolloutBatch) -> None:
    assert rollouts.shape == (2, 3)
    assert len(rollouts.answers[0]) == 3


def test_a_window_lasts_for_its_updates(rollouts: RolloutBatch) -> None:
    window = new_window()
    assert window.is_empty()
    window.fill(rollouts, ADVANTAGES)
    for _ in range(2):
        assert not window.is_empty()
        (batch,) = window.next()
        assert batch.tokens.completion_ids.shape == (2, 3, 5)
        assert batch.loss.counts == WindowCounts(num_rollouts=6, num_tokens=17, max_new_tokens=9)
        assert sorted(batch.loss.advantages.flatten().tolist()) == sorted(ADVANTAGES.flatten().tolist())
        assert bool((batch.loss.rollout_logprobs[batch.loss.completion_mask] == -1.0).all())
        assert int(batch.loss.completion_mask.sum()) == 17
    assert window.is_empty()


def test_micro_batches_hold_every_group_once_with_its_own_advantages(rollouts: RolloutBatch) -> None:
    window = new_window(micro_batch_tokens=1)
    window.fill(rollouts, ADVANTAGES)
    batches = window.next()
    assert [batch.tokens.completion_ids.shape for batch in batches] == [(1, 3, 4), (1, 3, 5)]
    assert [int(batch.tokens.prompt_mask.sum()) for batch in batches] == [3, 2]
    assert [batch.loss.advantages.tolist() for batch in batches] == [[ADVANTAGES[1].tolist()], [ADVANTAGES[0].tolist()]]
    assert all(batch.loss.counts.num_tokens == 17 for batch in batches)


def test_a_micro_batch_goes_to_another_device_whole(rollouts: RolloutBatch) -> None:
    window = new_window()
    readings = torch.zeros(2, 3, 5)
    window.fill(
        rollouts,
        ADVANTAGES,
        Readings(trainer_logprobs=readings, importance=readings, reference_logprobs=readings),
    )
    (batch,) = window.next()
    moved = batch.to(torch.device("meta"))
    for ours, theirs in ((batch.tokens, moved.tokens), (batch.loss, moved.loss)):
        for field in dataclasses.fields(ours):
            before, after = getattr(ours, field.name), getattr(theirs, field.name)
            if isinstance(before, torch.Tensor):
                assert (before.device.type, after.device.type, after.shape) == ("cpu", "meta", before.shape)
            else:
                assert field.name == "counts"
                assert after == before


def test_token_advantages_are_cut_like_the_tokens(rollouts: RolloutBatch) -> None:
    window = new_window(micro_batch_tokens=1)
    window.fill(rollouts, ADVANTAGES[..., None].expand(2, 3, 5))
    assert [batch.loss.advantages.shape for batch in window.next()] == [(1, 3, 4), (1, 3, 5)]


@pytest.mark.parametrize("updates_before", [0, 1, 2])
def test_a_restored_window_goes_on_where_it_was(rollouts: RolloutBatch, updates_before: int) -> None:
    window = new_window()
    window.fill(rollouts, ADVANTAGES)
    for _ in range(updates_before):
        window.next()
    restored = new_window()
    restored.load_state_dict(copy.deepcopy(window.state_dict()))
    assert restored.is_empty() == window.is_empty()
    if not window.is_empty():
        (ours,), (theirs,) = restored.next(), window.next()
        assert torch.equal(ours.tokens.completion_ids, theirs.tokens.completion_ids)
        assert torch.equal(ours.loss.rollout_logprobs, theirs.loss.rollout_logprobs)
        assert torch.equal(ours.loss.advantages, theirs.loss.advantages)
        assert ours.loss.counts == theirs.loss.counts
