"""Rejection-sampling fine-tuning: who is kept, by hand; and that a step on them is a step of maximum likelihood."""

# ruff: noqa: F811 (fixtures of the neighbouring file are arguments here)
from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tagpr.context import StopRequested
from tagpr.lm.generation.base import Completion
from tagpr.rl.advantages import best_of_group, without_variance
from tagpr.rl.losses import LossBatch, WindowCounts, dapo, dr_grpo, grpo, gspo
from tagpr.rl.replay import replay_window, windows_of
from tagpr.rl.rewards.combine import Rewards
from tagpr.rl.rollouts import RolloutWindow
from tagpr.storage import read_rollouts
from tests.rl.test_stage_objective import UNGATED, inputs, stage_of, weights_of  # noqa: F401
from tests.stops import Interrupt

MIN_STD = 1e-6


def rewards_of(total: Tensor, gate: Tensor | None = None) -> Rewards:
    gate = torch.ones_like(total) if gate is None else gate
    return Rewards(terms={"task": total}, weights={"task": 1.0}, gate=gate, contributions={"task": total}, total=total)


def test_the_best_of_each_group_share_the_window() -> None:
    """Three of twelve are kept: two that tie for the best, and one; all right or all wrong teaches nothing."""
    total = torch.tensor([[0.25, 0.75, 0.75, 0.0], [0.0, 0.0, 1.0, 0.5], [1.0, 1.0, 1.0, 1.0]])
    weights = best_of_group(rewards_of(total), min_std=MIN_STD)
    assert weights.tolist() == [[0.0, 4.0, 4.0, 0.0], [0.0, 0.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    assert weights.dtype == total.dtype


def test_an_answer_that_nobody_can_read_is_not_imitated_nor_is_the_next_best() -> None:
    total, gate = torch.tensor([[0.9, 0.5, 0.1], [0.0, 1.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    assert best_of_group(rewards_of(total, gate), min_std=MIN_STD).tolist() == [[0.0] * 3, [0.0, 6.0, 0.0]]


def test_rewards_that_differ_by_rounding_tie() -> None:
    total = torch.tensor([[0.1 + 0.2, 0.3, 0.0], [1000.0, 1000.0001, 0.0]], dtype=torch.double)
    assert best_of_group(rewards_of(total), min_std=MIN_STD).tolist() == [[1.5, 1.5, 0.0]] * 2


def test_where_nothing_varies_nothing_is_kept() -> None:
    noisy = torch.tensor([[0.1 + 0.2, 0.3, 0.3], [0.0, 0.0, 0.0]], dtype=torch.double)
    assert best_of_group(rewards_of(noisy), min_std=MIN_STD).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("shape", [(2, 1), (3,)])
def test_a_lone_rollout_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rollouts_per_prompt"):
        best_of_group(rewards_of(torch.zeros(shape)), min_std=MIN_STD)


WINDOWS = st.integers(1, 3).flatmap(
    lambda b: st.tuples(
        st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), min_size=b, max_size=b),
        st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=b, max_size=b),
    )
)


@given(WINDOWS)
def test_only_the_order_of_rewards_counts(window: tuple[list[list[int]], list[list[bool]]]) -> None:
    total, gate = torch.tensor(window[0], dtype=torch.double), torch.tensor(window[1]).double()
    weights = best_of_group(rewards_of(total, gate), min_std=MIN_STD)
    expected = [
        [value == max(group) > min(group) and gate_open for value, gate_open in zip(group, gates, strict=True)]
        for group, gates in zip(*window, strict=True)
    ]
    assert (weights > 0).tolist() == expected
    assert set(weights.flatten().tolist()) <= {0.0, total.numel() / max(1, sum(map(sum, expected)))}
    for rescaled in (total**3, 100 * total - 7, total.exp()):
        assert torch.equal(best_of_group(rewards_of(rescaled, gate), min_std=MIN_STD), weights)


@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3), min_size=1, max_size=3))
def test_a_group_that_varies_keeps_its_best_and_loses_its_worst(values: list[list[float]]) -> None:
    total = torch.tensor(values)
    kept = best_of_group(rewards_of(total), min_std=MIN_STD) > 0
    for group, kept_of_it, tied in zip(total, kept, without_variance(total, min_std=MIN_STD), strict=True):
        assert bool(kept_of_it[group.argmax()]) is not bool(tied)
        assert not kept_of_it[group.argmin()]


# --- what a step on them is ------------------------------------------------------------------------------------------

LOSSES = {
    "grpo": partial(grpo, clip_low=0.2, clip_high=0.2),
    "gspo": partial(gspo, clip_low=0.2, clip_high=0.2),
    "dapo": partial(dapo, clip_low=0.2, clip_high=0.28),
    "dr_grpo": partial(dr_grpo, clip_low=0.2, clip_high=0.2),
}
TOKENS = [[(3, 4, 5, 4), (6,), (3, 3)], [(5, 6), (4, 5, 3), (6, 6, 6, 6, 3)], [(3,), (4, 6), (5, 5, 5)]]  # B=3, G=3
TOTAL = torch.tensor([[1.0, 0.0, 1.0], [0.2, 0.7, 0.1], [0.5, 0.5, 0.5]])
KEPT = [(0, 0), (0, 2), (1, 1)]
MAX_NEW_TOKENS = 7


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("world_size, micro_batch_tokens", [(1, 1000), (2, 12)])
def test_a_step_on_fresh_rollouts_is_maximum_likelihood_of_the_kept(
    rollouts_of, no_tags, name: str, world_size: int, micro_batch_tokens: int
) -> None:
    """A policy that knows how often each token comes; through the window, its micro-batches and two ranks."""
    theta = torch.tensor([0.0, 0.0, 0.0, 0.4, -0.3, 1.1, 0.2], requires_grad=True)  # per token id
    logprobs = theta.log_softmax(dim=0)
    rollouts = rollouts_of([["4"] * 3] * 3, golds=["4"] * 3, vocabulary=no_tags, thinking=False)
    completions = [
        [
            Completion(token_ids=ids, logprobs=tuple(logprobs[i].item() for i in ids), text="4", truncated=False)
            for ids in group
        ]
        for group in TOKENS
    ]
    window = RolloutWindow(
        num_updates=world_size, max_new_tokens=MAX_NEW_TOKENS, micro_batch_tokens=micro_batch_tokens, pad_id=0
    )
    window.fill(replace(rollouts, completions=completions), best_of_group(rewards_of(TOTAL), min_std=MIN_STD))
    micro_batches = [one for rank in range(world_size) for one in window.next(rank=rank, world_size=world_size)]
    assert len(micro_batches) == (1 if world_size == 1 else 3)
    loss = torch.stack([LOSSES[name](logprobs[one.tokens.completion_ids], one.loss)[0] for one in micro_batches]).sum()

    expected = torch.zeros(())
    for b, g in KEPT:
        nll = torch.zeros(())
        for token in TOKENS[b][g]:
            nll = nll - logprobs[token]
        # 23 tokens in 9 rollouts
        length = {"dapo": 23 / 9, "dr_grpo": MAX_NEW_TOKENS}.get(name, len(TOKENS[b][g]))
        expected = expected + nll / length / len(KEPT)
    ours, theirs = (torch.autograd.grad(one, theta, retain_graph=True)[0] for one in (loss, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    assert theirs.abs().max() > 0.05


def test_later_steps_of_a_window_stop_at_the_upper_clip_alone() -> None:
    rollout = torch.full((1, 2, 3), -1.0)
    # One token likelier by e^.5, one less likely, one as it was; the rejected rollout is left alone wherever it went.
    policy = (rollout + torch.tensor([0.5, -0.5, 0.0])).requires_grad_()
    batch = LossBatch(
        rollout_logprobs=rollout,
        advantages=best_of_group(rewards_of(torch.tensor([[1.0, 0.0]])), min_std=MIN_STD),
        completion_mask=torch.ones(1, 2, 3, dtype=torch.bool),
        counts=WindowCounts(num_rollouts=2, num_tokens=6, max_new_tokens=3),
    )
    loss, stats = LOSSES["grpo"](policy, batch)
    (gradient,) = torch.autograd.grad(loss, policy)
    torch.testing.assert_close(gradient, torch.tensor([[[0.0, -0.60653066 / 3, -1 / 3], [0.0, 0.0, 0.0]]]))
    assert (stats["clip_low"].item(), stats["clip_high"].item()) == (0.0, pytest.approx(1 / 6))


def test_leaving_out_groups_that_are_all_right_only_weighs_prompts() -> None:
    """Over every group of G = 3 draws from four answers, two of them right: G (1 - P^2) grad P, to rounding."""
    theta = torch.tensor([0.3, -0.8, 0.5, 0.1], dtype=torch.double, requires_grad=True)
    probs = theta.softmax(dim=0)
    right = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.double)
    expected_sum = torch.zeros((), dtype=torch.double)
    for drawn in itertools.product(range(4), repeat=3):
        index = torch.tensor(drawn)
        kept = best_of_group(rewards_of(right[index].unsqueeze(0)), min_std=MIN_STD)[0] > 0
        expected_sum = expected_sum + probs[index].prod().detach() * probs[index][kept].log().sum()
    p = (probs * right).sum()
    (ours,) = torch.autograd.grad(expected_sum, theta, retain_graph=True)
    (grad_p,) = torch.autograd.grad(p, theta)
    torch.testing.assert_close(ours, 3 * (1 - p.detach() ** 2) * grad_p, rtol=0, atol=1e-12)


# --- in the stage ----------------------------------------------------------------------------------------------------


def test_the_stage_stops_and_goes_on_exactly_and_replays_exactly(tmp_path: Path, stage_of) -> None:
    changes = {"advantage": best_of_group, "rollouts_per_prompt": 24, "extra_rounds": 1}
    stage_of(tmp_path / "whole", **changes)
    with pytest.raises(StopRequested):
        stage_of(tmp_path / "stopped", stop=Interrupt(3), **changes)  # inside the second window
    stage_of(tmp_path / "stopped", **changes)
    assert torch.equal(weights_of(tmp_path / "whole"), weights_of(tmp_path / "stopped"))
    kept, again = (read_rollouts(tmp_path / name / "output" / "rollouts") for name in ("whole", "stopped"))
    assert kept == again
    for window in windows_of(kept):
        assert (
            replay_window(window, weights={}, combine=UNGATED, advantage=best_of_group, min_std=MIN_STD).rollouts
            == window
        )
        imitated = [one for one in window if one.advantage]
        assert {one.answer for one in imitated} == {"4"}
        assert [one.advantage for one in imitated] == pytest.approx([len(window) / len(imitated)] * len(imitated))
