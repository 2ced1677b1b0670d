"""Every policy loss against a plain loop over rollouts and tokens, in value and gradient, and in pieces."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from tagpr.rl.losses import LossBatch, WindowCounts, dapo, dr_grpo, grpo, gspo, kl_k3

B, G, T = 2, 3, 5
MAX_NEW_TOKENS = 7
LOSSES = {
    "grpo": partial(grpo, clip_low=0.2, clip_high=0.2),
    "dr_grpo": partial(dr_grpo, clip_low=0.2, clip_high=0.2),
    "dapo": partial(dapo, clip_low=0.2, clip_high=0.28),
    "gspo": partial(gspo, clip_low=0.03, clip_high=0.04),
}


def window(seed: int = 0) -> tuple[Tensor, LossBatch]:
    """Uneven completions (one of a single token), ratios on both sides of the clip range, garbage in the padding."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([[5, 3, 1], [4, 5, 2]])
    mask = torch.arange(T) < lengths[..., None]
    rollout = -3 * torch.rand(B, G, T, generator=generator, dtype=torch.double)
    policy = rollout + 0.4 * torch.randn(B, G, T, generator=generator, dtype=torch.double)
    policy[~mask] = -math.inf
    advantages = torch.tensor([[1.2, -0.7, -0.5], [0.0, 2.0, -2.0]], dtype=torch.double)
    counts = WindowCounts(num_rollouts=B * G, num_tokens=int(lengths.sum()), max_new_tokens=MAX_NEW_TOKENS)
    batch = LossBatch(rollout_logprobs=rollout, advantages=advantages, completion_mask=mask, counts=counts)
    return policy.requires_grad_(), batch


def loop(name: str, policy: Tensor, batch: LossBatch) -> tuple[Tensor, dict[str, float]]:
    """The same losses as written in their papers, one token at a time, in tensors of one number."""
    low, high = LOSSES[name].keywords["clip_low"], LOSSES[name].keywords["clip_high"]
    loss = torch.zeros((), dtype=torch.double)
    cut = {"clip_low": 0.0, "clip_high": 0.0}

    def surrogate(ratio: Tensor, advantage: float, weight: float) -> Tensor:
        if advantage > 0 and ratio.item() > 1 + high:
            cut["clip_high"] += weight
            return torch.tensor((1 + high) * advantage, dtype=torch.double)
        if advantage < 0 and ratio.item() < 1 - low:
            cut["clip_low"] += weight
            return torch.tensor((1 - low) * advantage, dtype=torch.double)
        return ratio * advantage

    num_tokens = sum(int(batch.completion_mask[b, g].sum()) for b in range(B) for g in range(G))
    for b in range(B):
        for g in range(G):
            tokens = [t for t in range(T) if batch.completion_mask[b, g, t]]
            advantage = float(batch.advantages[b, g])
            log_ratios = [policy[b, g, t] - batch.rollout_logprobs[b, g, t] for t in tokens]
            if name == "gspo":
                mean = sum(log_ratios) / len(tokens)
                loss = loss - surrogate(mean.exp(), advantage, 1 / (B * G)) / (B * G)
                continue
            for log_ratio in log_ratios:
                term = surrogate(log_ratio.exp(), advantage, 1 / num_tokens)
                if name == "grpo":
                    loss = loss - term / len(tokens) / (B * G)
                elif name == "dr_grpo":
                    loss = loss - term / (B * G * MAX_NEW_TOKENS)
                else:
                    loss = loss - term / num_tokens
    return loss, cut


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", range(4))
def test_value_gradient_and_clipped_shares_equal_a_plain_loop(name: str, seed: int) -> None:
    policy, batch = window(seed)
    loss, stats = LOSSES[name](policy, batch)
    (gradient,) = torch.autograd.grad(loss, policy)
    expected, cut = loop(name, policy, batch)
    (expected_gradient,) = torch.autograd.grad(expected, policy)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-12)
    assert cut["clip_low"] + cut["clip_high"] > 0, "the case must clip something to test clipping"
    assert {key: stats[key].item() for key in cut} == pytest.approx(cut, abs=1e-6)
    assert bool((gradient[~batch.completion_mask] == 0).all())


@pytest.mark.parametrize("name", LOSSES)
def test_micro_batches_of_a_window_add_up(name: str) -> None:
    policy, batch = window()
    whole, whole_stats = LOSSES[name](policy, batch)
    (whole_gradient,) = torch.autograd.grad(whole, policy)
    parts, part_stats = [], []
    for b in range(B):
        piece = LossBatch(
            rollout_logprobs=batch.rollout_logprobs[b : b + 1],
            advantages=batch.advantages[b : b + 1],
            completion_mask=batch.completion_mask[b : b + 1],
            counts=batch.counts,
        )
        loss, stats = LOSSES[name](policy[b : b + 1], piece)
        parts.append(loss)
        part_stats.append(stats)
    (gradient,) = torch.autograd.grad(torch.stack(parts).sum(), policy)
    assert sum(part.item() for part in parts) == pytest.approx(whole.item(), abs=1e-12)
    torch.testing.assert_close(gradient, whole_gradient, rtol=0, atol=1e-12)
    for key, value in whole_stats.items():
        assert sum(float(stats[key]) for stats in part_stats) == pytest.approx(float(value), abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_on_policy_gradient_is_the_plain_policy_gradient(name: str) -> None:
    _, batch = window()
    policy = batch.rollout_logprobs.clone().requires_grad_()
    loss, stats = LOSSES[name](policy, batch)
    (gradient,) = torch.autograd.grad(loss, policy)
    lengths = batch.completion_mask.sum(-1)
    scale = {
        "grpo": 1 / (B * G * lengths),
        "gspo": 1 / (B * G * lengths),
        "dr_grpo": torch.full((B, G), 1 / (B * G * MAX_NEW_TOKENS)),
        "dapo": torch.full((B, G), 1 / 20),
    }[name]
    expected = torch.where(batch.completion_mask, (-batch.advantages * scale)[..., None], 0.0)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9)
    assert (stats["clip_low"].item(), stats["clip_high"].item(), stats["kl"].item()) == (0.0, 0.0, 0.0)
    assert stats["ratio"].item() == pytest.approx(1.0)


@pytest.mark.parametrize("loss", [LOSSES["grpo"], LOSSES["dr_grpo"], LOSSES["dapo"]])
def test_token_advantages_equal_spread_rollout_advantages(
    loss: Callable[..., tuple[Tensor, dict[str, Tensor]]],
) -> None:
    policy, batch = window()
    spread = LossBatch(
        rollout_logprobs=batch.rollout_logprobs,
        advantages=batch.advantages[..., None].expand(B, G, T),
        completion_mask=batch.completion_mask,
        counts=batch.counts,
    )
    assert loss(policy, spread)[0].item() == loss(policy, batch)[0].item()


def test_gspo_refuses_token_advantages() -> None:
    policy, batch = window()
    spread = LossBatch(
        rollout_logprobs=batch.rollout_logprobs,
        advantages=torch.zeros(B, G, T),
        completion_mask=batch.completion_mask,
        counts=batch.counts,
    )
    with pytest.raises(ValueError, match="cannot credit tokens apart"):
        LOSSES["gspo"](policy, spread)


def test_dapo_has_more_room_upwards() -> None:
    mask = torch.ones(1, 1, 1, dtype=torch.bool)
    batch = LossBatch(
        rollout_logprobs=torch.zeros(1, 1, 1),
        advantages=torch.ones(1, 1),
        completion_mask=mask,
        counts=WindowCounts(num_rollouts=1, num_tokens=1, max_new_tokens=1),
    )
    policy = torch.full((1, 1, 1), math.log(1.25))
    assert LOSSES["grpo"](policy, batch)[0].item() == pytest.approx(-1.2)
    assert LOSSES["dapo"](policy, batch)[0].item() == pytest.approx(-1.25)


def test_k3_estimates_the_kl_of_the_sampler_against_the_policy() -> None:
    sampler = torch.tensor([0.5, 0.3, 0.2], dtype=torch.double)
    policy = torch.tensor([0.2, 0.2, 0.6], dtype=torch.double)
    expected = (sampler * (sampler / policy).log()).sum()
    assert (sampler * kl_k3((policy / sampler).log())).sum().item() == pytest.approx(expected.item(), abs=1e-12)
    assert bool((kl_k3((policy / sampler).log()) >= 0).all())
