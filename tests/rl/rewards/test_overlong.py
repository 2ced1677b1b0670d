from __future__ import annotations

import pytest
import torch

from tagpr.errors import UserError
from tagpr.rl.rewards.combine import OVERLONG, Rewards, with_penalty
from tagpr.rl.rewards.overlong import OverlongPenalty, overlong_penalty


def test_the_penalty_grows_over_the_buffer() -> None:
    lengths = torch.tensor([[3, 6, 7], [8, 10, 10]])
    truncated = torch.tensor([[False, False, False], [False, False, True]])
    penalty = overlong_penalty(lengths, truncated, max_new_tokens=10, buffer=4)
    assert penalty.tolist() == [[0.0, 0.0, -0.25], [-0.5, -1.0, -1.0]]


def test_it_reads_lengths_and_cuts_from_the_rollouts(rollouts_of) -> None:
    rollouts = rollouts_of([["abcd", "ab"]], golds=["4"], truncated=lambda b, g: g == 1)
    assert OverlongPenalty(weight=1.0, buffer=2)(rollouts, max_new_tokens=5).tolist() == [[-0.5, -1.0]]


def test_no_gate_multiplies_it() -> None:
    """A completion that is cut off has no answer: were the penalty gated, it would pay nothing for its length."""
    gate, task = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.8, 0.0]])
    rewards = Rewards(
        terms={"task": task}, weights={"task": 1.0}, gate=gate, contributions={"task": gate * task}, total=gate * task
    )
    with_length = with_penalty(rewards, OVERLONG, torch.tensor([[0.0, -1.0]]), weight=0.5)
    assert with_length.total[0].tolist() == pytest.approx([0.8, -0.5])
    assert with_length.weights == {"task": 1.0, "overlong": 0.5}
    assert rewards.total[0].tolist() == pytest.approx([0.8, 0.0])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="buffer >= 1"):
        OverlongPenalty(weight=0.1, buffer=0)
    with pytest.raises(ValueError, match=r"longer than rl\.max_new_tokens=3"):
        overlong_penalty(torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.bool), max_new_tokens=3, buffer=4)
