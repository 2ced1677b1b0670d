"""Shares of advantage variance, and the weights that bring them about."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tagpr.rl.rewards.shares import variance_shares, weights_for_shares, weights_from_rollouts
from tagpr.types import Rollout


def test_shares_of_independent_terms_are_their_variances() -> None:
    """Deviations (-1, -1, 1, 1) and (-2, 2, -2, 2) are uncorrelated: 1 : 4, in a second group nothing varies."""
    contributions = {
        "task": torch.tensor([[0.0, 0.0, 2.0, 2.0], [7.0] * 4]),
        "tag": torch.tensor([[0.0, 4.0, 0.0, 4.0], [1.0] * 4]),
    }
    assert variance_shares(contributions) == pytest.approx({"task": 0.2, "tag": 0.8})


def test_a_term_that_works_against_the_others_has_a_negative_share() -> None:
    task = torch.tensor([[0.0, 3.0]])
    shares = variance_shares({"task": task, "tag": -task / 3})
    assert shares == pytest.approx({"task": 1.5, "tag": -0.5})


def test_without_variance_nobody_has_a_share() -> None:
    assert variance_shares({"task": torch.ones(2, 3)}) == {"task": 0.0}
    assert variance_shares({}) == {}


def test_weights_for_independent_terms_by_hand() -> None:
    """Variances 1 and 4: w ~ sqrt(share / variance), so (.5, .5) gives 1 : .5 and (.8, .2) gives 1 : .25."""
    terms = torch.tensor([[[0.0, 0.0, 2.0, 2.0]], [[0.0, 4.0, 0.0, 4.0]]])
    for target, expected in (([0.5, 0.5], 0.5), ([0.8, 0.2], 0.25)):
        weights = weights_for_shares(terms, torch.tensor(target))
        assert weights.tolist() == pytest.approx([1.0, expected])


@given(st.integers(0, 10_000), st.floats(0.05, 0.9), st.floats(0.1, 0.9), st.floats(1e-3, 1e3))
def test_the_weights_bring_about_the_target_shares(seed: int, first: float, split: float, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    terms = torch.rand(3, 5, 4, generator=generator)
    terms[1] = 0.5 * terms[1] + 0.5 * terms[0]
    terms[2] *= scale
    target = torch.tensor([first, (1 - first) * split, (1 - first) * (1 - split)])
    weights = weights_for_shares(terms, target)
    shares = variance_shares({str(k): weights[k].double() * terms[k].double() for k in range(3)})
    assert list(shares.values()) == pytest.approx(target.tolist(), abs=1e-5)
    assert weights[0] == 1.0


def test_what_cannot_be_weighed_is_refused() -> None:
    terms = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    still = terms.clone()
    still[1] = 0.7
    with pytest.raises(ValueError, match="number 1 never varies"):
        weights_for_shares(still, torch.tensor([0.5, 0.5]))
    with pytest.raises(ValueError, match="sum to 1"):
        weights_for_shares(terms, torch.tensor([0.5, 0.6]))
    with pytest.raises(ValueError, match="expected \\(N, B, G\\)"):
        weights_for_shares(terms[0], torch.tensor([0.5, 0.5]))


def rollout(step: int, sample: int, *, task: float, tag: float, g_answer: float = 1.0) -> Rollout:
    return Rollout(
        record_id="r",
        user_id="u",
        task="S3",
        stage="rl_guided",
        step=step,
        sample_index=sample,
        completion="",
        answer="",
        num_tokens=1,
        truncated=False,
        reward_terms={"task": task, "tag": tag, "g_answer": g_answer},
        weights={"task": 1.0, "tag": 0.2},
        reward=0.0,
        advantage=0.0,
    )


def test_weights_from_kept_rollouts() -> None:
    """The by-hand case again as two groups of one record; the shut gate hides a wild value."""
    kept = [rollout(0, g, task=task, tag=tag) for g, (task, tag) in enumerate([(0, 0), (0, 4), (2, 0), (2, 4)])]
    kept += [rollout(1, g, task=0.0, tag=9.0, g_answer=0.0) for g in range(4)]
    assert weights_from_rollouts(kept, {"task": 0.5, "tag": 0.5}) == pytest.approx({"task": 1.0, "tag": 0.5})
    with pytest.raises(ValueError, match="without the terms"):
        weights_from_rollouts(kept, {"task": 0.5, "prmu": 0.5})
    with pytest.raises(ValueError, match=r"groups of \[3, 4\]"):
        weights_from_rollouts(kept[1:], {"task": 0.5, "tag": 0.5})
