"""The whole loss, with KL, entropy and importance weights: against plain Python floats, and in pieces."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from tagpr.lm.batches import GroupedBatch
from tagpr.lm.forward import completion_logprobs
from tagpr.rl.losses import LossBatch, WindowCounts, dapo, dr_grpo, grpo, gspo, regularised_loss, truncated_importance

B, G, T, L_MAX = 2, 3, 5, 7
KL, ENTROPY = 0.3, 0.05
LOSSES = {
    "grpo": partial(grpo, clip_low=0.2, clip_high=0.2),
    "dr_grpo": partial(dr_grpo, clip_low=0.2, clip_high=0.2),
    "dapo": partial(dapo, clip_low=0.2, clip_high=0.28),
    "gspo": partial(gspo, clip_low=0.03, clip_high=0.04),
}


def window(seed: int) -> tuple[Tensor, Tensor, LossBatch]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([[5, 3, 1], [4, 5, 2]])
    mask = torch.arange(T) < lengths[..., None]

    def noise(scale: float) -> Tensor:
        return scale * torch.randn(B, G, T, generator=generator, dtype=torch.double)

    trainer = -3 * torch.rand(B, G, T, generator=generator, dtype=torch.double)
    policy, sampler, reference = trainer + noise(0.4), trainer + noise(0.5), trainer + noise(0.3)
    policy[~mask] = -math.inf
    reference[~mask] = math.nan
    batch = LossBatch(
        rollout_logprobs=trainer,
        advantages=torch.tensor([[1.2, -0.7, -0.5], [0.0, 2.0, -2.0]], dtype=torch.double),
        completion_mask=mask,
        counts=WindowCounts(num_rollouts=B * G, num_tokens=int(lengths.sum()), max_new_tokens=L_MAX),
        importance=truncated_importance(trainer, sampler, mask, cap=1.5),
        reference_logprobs=reference,
    )
    entropy = 2 * torch.rand(B, G, T, generator=generator, dtype=torch.double)
    return policy.requires_grad_(), entropy.requires_grad_(), batch


def plain(name: str, policy: list, entropy: list, batch: LossBatch) -> float:
    """The loss as its parts are written, in numbers of Python alone."""
    low, high = LOSSES[name].keywords["clip_low"], LOSSES[name].keywords["clip_high"]
    old, reference, mask = (
        values.tolist() for values in (batch.rollout_logprobs, batch.reference_logprobs, batch.completion_mask)
    )
    importance, advantages = batch.importance.tolist(), batch.advantages.tolist()
    num_tokens = sum(sum(row) for group in mask for row in group)

    def surrogate(ratio: float, advantage: float) -> float:
        return min(ratio * advantage, min(max(ratio, 1 - low), 1 + high) * advantage)

    loss = 0.0
    for b in range(B):
        for g in range(G):
            tokens = [t for t in range(T) if mask[b][g][t]]
            ratios = [math.exp(policy[b][g][t] - old[b][g][t]) for t in tokens]
            weights = [importance[b][g][t] for t in tokens]
            if name == "gspo":
                ratio = math.prod(ratios) ** (1 / len(tokens))
                weight = math.prod(weights) ** (1 / len(tokens))
                loss -= weight * surrogate(ratio, advantages[b][g]) / (B * G)
            else:
                count = {"grpo": B * G * len(tokens), "dr_grpo": B * G * L_MAX, "dapo": num_tokens}[name]
                parts = [w * surrogate(r, advantages[b][g]) for w, r in zip(weights, ratios, strict=True)]
                loss -= sum(parts) / count
            loss += sum(KL * (policy[b][g][t] - reference[b][g][t]) ** 2 / 2 for t in tokens) / num_tokens
            loss -= sum(ENTROPY * entropy[b][g][t] for t in tokens) / num_tokens
    return loss


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", range(3))
def test_value_and_gradient_equal_plain_numbers(name: str, seed: int) -> None:
    policy, entropy, batch = window(seed)
    loss, _ = regularised_loss(policy, entropy, batch, policy_loss=LOSSES[name], kl_weight=KL, entropy_weight=ENTROPY)
    gradients = torch.autograd.grad(loss, (policy, entropy))
    values = [policy.tolist(), entropy.tolist()]
    assert loss.item() == pytest.approx(plain(name, *values, batch), rel=1e-10)
    step = 1e-6
    for which, gradient in enumerate(gradients):
        for b, g, t in batch.completion_mask.nonzero().tolist():
            kept = values[which][b][g][t]
            sides = []
            for moved in (kept + step, kept - step):
                values[which][b][g][t] = moved
                sides.append(plain(name, *values, batch))
            values[which][b][g][t] = kept
            assert gradient[b, g, t].item() == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-5, abs=1e-9)
        assert bool((gradient[~batch.completion_mask] == 0).all())


@pytest.mark.parametrize("name", LOSSES)
def test_micro_batches_of_a_window_add_up(name: str) -> None:
    policy, entropy, batch = window(0)
    losses = partial(regularised_loss, policy_loss=LOSSES[name], kl_weight=KL, entropy_weight=ENTROPY)
    whole, stats = losses(policy, entropy, batch)
    parts = []
    for b in range(B):
        cut = slice(b, b + 1)
        piece = replace(
            batch,
            rollout_logprobs=batch.rollout_logprobs[cut],
            advantages=batch.advantages[cut],
            completion_mask=batch.completion_mask[cut],
            importance=batch.importance[cut],
            reference_logprobs=batch.reference_logprobs[cut],
        )
        parts.append(losses(policy[cut], entropy[cut], piece))
    assert sum(loss.item() for loss, _ in parts) == pytest.approx(whole.item(), abs=1e-12)
    assert {"entropy", "importance", "reference_kl"} <= set(stats)
    for name_of, value in stats.items():
        assert sum(float(own[name_of]) for _, own in parts) == pytest.approx(float(value), abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_one_batch_eight_batches_packed_and_padded_give_one_gradient(name: str, backbone) -> None:
    """8 groups at once, one at a time, with shared prompts packed and padded: relative gap at most 1e-6."""
    generator = torch.Generator().manual_seed(4)

    def tokens(length: int) -> list[int]:
        return torch.randint(3, 6, (length,), generator=generator).tolist()

    prompts = [tokens(3 + b % 4) for b in range(8)]
    completions = [[tokens(1 + (b + 2 * g) % 5) for g in range(3)] for b in range(8)]
    batch = GroupedBatch.from_lists(prompts, completions, pad_id=0)
    mask = batch.completion_mask
    shape = mask.shape
    model = backbone.policy()
    noise = torch.randn(3, *shape, generator=generator)
    sampled = completion_logprobs(model, batch, temperature=1.0, method="padded", chunk_size=64).logprobs.detach()
    importance = truncated_importance(sampled, sampled + 0.3 * noise[0], mask, cap=1.2)
    advantages = torch.randn(shape[:2], generator=generator)
    counts = WindowCounts(num_rollouts=24, num_tokens=int(mask.sum()), max_new_tokens=6)

    def gradient(method, parts) -> Tensor:
        model.zero_grad()
        for part in parts:
            index = torch.tensor(part)
            micro = batch.select(index)
            scores = completion_logprobs(model, micro, temperature=1.0, method=method, chunk_size=64)
            loss, _ = regularised_loss(
                scores.logprobs,
                scores.entropy,
                LossBatch(
                    rollout_logprobs=(sampled + 0.2 * noise[1])[index],
                    advantages=advantages[index],
                    completion_mask=micro.completion_mask,
                    counts=counts,
                    importance=importance[index],
                    reference_logprobs=(sampled + 0.5 * noise[2])[index],
                ),
                policy_loss=LOSSES[name],
                kl_weight=KL,
                entropy_weight=ENTROPY,
            )
            loss.backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    whole = gradient("two_part", [range(8)])
    assert whole.norm() > 1e-3
    for method, parts in (
        ("two_part", [[b] for b in range(8)]),
        ("padded", [range(8)]),
        ("padded", [[b] for b in range(8)]),
        ("dense", [range(8)]),
    ):
        assert (gradient(method, parts) - whole).norm() <= 1e-6 * whole.norm(), (method, len(parts))


def test_importance_is_capped_and_one_where_nothing_was_sampled() -> None:
    trainer = torch.tensor([[[-1.0, -1.0, -1.0, 5.0]]])
    sampler = torch.tensor([[[-1.0, -4.0, -0.5, -math.inf]]])
    mask = torch.tensor([[[True, True, True, False]]])
    weights = truncated_importance(trainer, sampler, mask, cap=2.0)
    torch.testing.assert_close(weights, torch.tensor([[[1.0, 2.0, math.exp(-0.5), 1.0]]]))
    with pytest.raises(ValueError, match="importance_cap=0"):
        truncated_importance(trainer, sampler, mask, cap=0)
