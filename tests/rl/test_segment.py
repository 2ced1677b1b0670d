"""Segment credit worked by hand: spans to tokens, tokens to advantages."""

from __future__ import annotations

import math

import pytest
import torch

from tagpr.rl.advantages import SegmentAdvantage
from tagpr.rl.advantages.segment import per_token, span_advantages
from tagpr.rl.rewards.combine import Rewards
from tagpr.rl.rewards.process import ProcessRewards, SpanReward, process_metrics
from tagpr.rl.rewards.span_truth import SpanTruth


def span(first: int, end: int, reward: float, tag: str = "a") -> SpanReward:
    return SpanReward(tag=tag, first=first, end=end, reward=reward)


# Group 0: a span of two tokens worth 4 (2 a token), one of one token worth -1; the other rollout one of one worth 2.
# Group 1: every span token is worth the same. Lengths differ, T = 5.
PROCESS = ProcessRewards(
    spans=[
        [[span(1, 3, 4.0), span(3, 4, -1.0, "b")], [span(0, 1, 2.0)], []],
        [[span(0, 2, 1.0)], [span(1, 2, 0.5)], [span(0, 1, 0.5)]],
    ],
    lengths=[[5, 2, 1], [3, 2, 1]],
    scored_tokens=40,
)


def test_a_spans_reward_is_shared_by_its_tokens() -> None:
    values, inside = per_token(PROCESS)
    assert values.shape == (2, 3, 5)
    assert values[0].tolist() == [[0, 2, 2, -1, 0], [2, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert inside[0].int().tolist() == [[0, 1, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def test_centred_over_the_groups_span_tokens_and_scaled_over_the_windows() -> None:
    """Group 0: mean of (2, 2, -1, 2) is 5/4. Group 1: nothing varies. Spread over all 8 span tokens but one."""
    spread = math.sqrt((3 * 0.75**2 + 2.25**2) / 7)
    advantages = span_advantages(PROCESS, min_std=1e-6)
    up, down = 0.75 / spread, -2.25 / spread
    torch.testing.assert_close(
        advantages[0], torch.tensor([[0, up, up, down, 0], [up, 0, 0, 0, 0], [0, 0, 0, 0, 0]]), rtol=1e-6, atol=1e-7
    )
    assert advantages[1].tolist() == [[0.0] * 5] * 3
    assert advantages.sum(dim=(1, 2)).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def rewards_of(total: torch.Tensor, process: ProcessRewards | None) -> Rewards:
    return Rewards(
        terms={"task": total},
        weights={"task": 1.0},
        gate=torch.ones_like(total),
        contributions={"task": total},
        total=total,
        process=process,
    )


def test_the_rollouts_own_advantage_is_on_all_its_tokens() -> None:
    total = torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    advantages = SegmentAdvantage(span_weight=0.5, process=SpanTruth())(rewards_of(total, PROCESS), min_std=1e-6)
    outcome = torch.tensor([[-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(
        advantages, outcome[..., None] + 0.5 * span_advantages(PROCESS, min_std=1e-6), rtol=1e-6, atol=1e-7
    )
    assert advantages[0, 2].tolist() == [1.0] * 5


def test_without_any_span_only_the_outcome_counts() -> None:
    nothing = ProcessRewards(spans=[[[], []]], lengths=[[2, 3]], scored_tokens=0)
    total = torch.tensor([[0.0, 1.0]])
    advantages = SegmentAdvantage(span_weight=9.0, process=SpanTruth())(rewards_of(total, nothing), min_std=1e-6)
    assert torch.equal(advantages, advantages[..., :1].expand(1, 2, 3))


def test_rewards_without_spans_are_refused() -> None:
    with pytest.raises(ValueError, match=r"needs Rewards\.process"):
        SegmentAdvantage(span_weight=1.0, process=SpanTruth())(rewards_of(torch.zeros(1, 2), None), min_std=1e-6)


def test_metrics_by_tag() -> None:
    metrics = process_metrics(PROCESS)
    assert metrics["rl/process/a"] == pytest.approx((4 + 2 + 1 + 0.5 + 0.5) / 5)
    assert metrics["rl/process/b"] == -1.0
    assert metrics["rl/process/spans"] == 1.0
    assert metrics["rl/process/scored_tokens"] == 40
