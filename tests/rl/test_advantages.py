"""Advantages worked by hand, with ties, rounding noise and failed gates."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tagpr.rl.advantages import decoupled, group, group_mean, without_variance
from tagpr.rl.rewards.combine import Rewards, gated

MIN_STD = 1e-6


def rewards_of(total: Tensor) -> Rewards:
    return Rewards(
        terms={"task": total},
        weights={"task": 1.0},
        gate=torch.ones_like(total),
        contributions={"task": total},
        total=total,
    )


def test_group_is_the_z_score_within_each_prompt() -> None:
    advantages = group(rewards_of(torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 3.0]])), min_std=MIN_STD)
    root = math.sqrt(3.0)
    torch.testing.assert_close(advantages, torch.tensor([[-1.0, 0.0, 1.0], [-1 / root, -1 / root, 2 / root]]))


def test_group_mean_stays_in_reward_units() -> None:
    advantages = group_mean(rewards_of(torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 3.0]])), min_std=MIN_STD)
    torch.testing.assert_close(advantages, torch.tensor([[-1.0, 0.0, 1.0], [-1.0, -1.0, 2.0]]))


@pytest.mark.parametrize("advantage", [group, group_mean])
def test_equal_rewards_give_exact_zeros_despite_rounding(advantage) -> None:
    noisy = torch.tensor([[0.1 + 0.2, 0.3, 0.3], [1000.0, 1000.0001, 1000.0], [0.0, 1.0, 0.0]])
    advantages = advantage(rewards_of(noisy), min_std=MIN_STD)
    assert advantages[:2].tolist() == [[0.0] * 3] * 2
    assert advantages[2, 1] > 0
    assert without_variance(noisy, min_std=MIN_STD).tolist() == [True, True, False]


@pytest.mark.parametrize("shape", [(2, 1), (3,)])
def test_a_lone_rollout_is_refused(shape: tuple[int, ...]) -> None:
    for advantage in (group, group_mean):
        with pytest.raises(ValueError, match="rollouts_per_prompt"):
            advantage(rewards_of(torch.zeros(shape)), min_std=MIN_STD)


@given(
    st.lists(st.lists(st.floats(-10, 10, width=32), min_size=4, max_size=4), min_size=1, max_size=3),
    st.floats(0.5, 5.0),
    st.floats(-3.0, 3.0),
)
def test_group_is_centred_and_blind_to_scale_and_offset(values, scale: float, offset: float) -> None:
    total = torch.tensor(values, dtype=torch.double)
    # Values a hair apart sit at the edge of what counts as equal, and may fall on either side when scaled.
    total = (total * 100).round() / 100
    advantages = group(rewards_of(total), min_std=MIN_STD)
    torch.testing.assert_close(advantages.sum(dim=1), torch.zeros(len(values), dtype=torch.double), rtol=0, atol=1e-9)
    moved = group(rewards_of(scale * total + offset), min_std=MIN_STD)
    torch.testing.assert_close(moved, advantages, rtol=1e-6, atol=1e-6)


def test_decoupled_lets_every_term_speak_in_its_own_unit() -> None:
    """Task in hundreds, tag in hundredths; by hand: both z-scores are (-1, 0, 1) or (1, 0, -1), so 1 : .5 decides."""
    terms = {"task": torch.tensor([[100.0, 200.0, 300.0]]), "tag": torch.tensor([[0.03, 0.02, 0.01]])}
    weights, gate = {"task": 1.0, "tag": 0.5}, torch.ones(1, 3)
    contributions = gated(terms, weights=weights, gate=gate)
    rewards = Rewards(
        terms=terms, weights=weights, gate=gate, contributions=contributions, total=sum(contributions.values())
    )
    # Sum (-.5, 0, .5); its std over the batch is .5.
    torch.testing.assert_close(
        decoupled(rewards, min_std=MIN_STD, gate_weight=1.0), torch.tensor([[-1.0, 0.0, 1.0]]), rtol=1e-5, atol=1e-6
    )


def test_decoupled_compares_terms_among_readable_answers_only() -> None:
    terms = {"task": torch.tensor([[0.0, 1.0, 5.0], [0.3, 0.3, 0.3]])}
    gate = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    weights = {"task": 1.0}
    rewards = Rewards(terms=terms, weights=weights, gate=gate, contributions={}, total=torch.zeros(2, 3))
    advantages = decoupled(rewards, min_std=MIN_STD, gate_weight=1.0)
    # Group 1, gate term: z of (1, 1, 0) = (1, 1, -2)/sqrt(3). Task term over the first two: (-1, 1)/sqrt(2), third 0.
    raw = torch.tensor(
        [[1 / math.sqrt(3) - 1 / math.sqrt(2), 1 / math.sqrt(3) + 1 / math.sqrt(2), -2 / math.sqrt(3)], [0.0] * 3]
    )
    torch.testing.assert_close(advantages, raw / raw.std(), rtol=1e-6, atol=1e-7)
    assert advantages[1].tolist() == [0.0] * 3


def test_decoupled_compares_penalties_among_all() -> None:
    """The unreadable third rollout is the longest: z of (0, 0, -1) is (1, 1, -2)/sqrt(3), as the gate's own."""
    gate = torch.tensor([[1.0, 1.0, 0.0]])
    terms = {"task": torch.zeros(1, 3), "overlong": torch.tensor([[0.0, 0.0, -1.0]])}
    rewards = Rewards(
        terms=terms, weights={"task": 1.0, "overlong": 0.5}, gate=gate, contributions={}, total=torch.zeros(1, 3)
    )
    raw = 1.5 * torch.tensor([[1.0, 1.0, -2.0]]) / math.sqrt(3)
    torch.testing.assert_close(decoupled(rewards, min_std=MIN_STD, gate_weight=1.0), raw / raw.std())


def test_decoupled_gives_zeros_when_nothing_varies() -> None:
    rewards = rewards_of(torch.full((2, 3), 0.7))
    assert decoupled(rewards, min_std=MIN_STD, gate_weight=1.0).tolist() == [[0.0] * 3] * 2
