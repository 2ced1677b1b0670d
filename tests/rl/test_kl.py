"""KL by full enumeration: which estimate has the gradient of the KL, and where."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from tagpr.errors import UserError
from tagpr.rl.kl import KlPenalty, kl_metrics, kl_reward
from tagpr.rl.losses import LossBatch, WindowCounts, dr_grpo, kl_k1, kl_k2, kl_k3, regularised_loss

V = 7


@pytest.fixture
def policy() -> Tensor:
    return torch.randn(V, generator=torch.Generator().manual_seed(0), dtype=torch.double).requires_grad_()


@pytest.fixture
def reference() -> Tensor:
    return torch.randn(V, generator=torch.Generator().manual_seed(1), dtype=torch.double).log_softmax(0)


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) of log-probs."""
    return (p.exp() * (p - q)).sum()


def expected_gradient(values: Tensor, logprobs: Tensor, theta: Tensor) -> Tensor:
    """Mean over tokens drawn from the policy of the gradient of each token's value."""
    (gradient,) = torch.autograd.grad((logprobs.detach().exp() * values).sum(), theta, retain_graph=True)
    return gradient


def test_values(policy: Tensor, reference: Tensor) -> None:
    logprobs = policy.log_softmax(0)
    p = logprobs.exp()
    assert (p * kl_k1(logprobs, reference)).sum().item() == pytest.approx(kl(logprobs, reference).item(), abs=1e-12)
    assert (p * kl_k3(reference - logprobs)).sum().item() == pytest.approx(kl(logprobs, reference).item(), abs=1e-12)
    assert bool((kl_k3(reference - logprobs) >= 0).all())


def test_k2_in_the_loss_has_the_gradient_of_the_kl(policy: Tensor, reference: Tensor) -> None:
    logprobs = policy.log_softmax(0)
    (wanted,) = torch.autograd.grad(kl(logprobs, reference), policy, retain_graph=True)
    found = expected_gradient(kl_k2(logprobs, reference), logprobs, policy)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)
    assert wanted.norm() > 0.1


def test_k1_in_the_loss_has_none(policy: Tensor, reference: Tensor) -> None:
    """E grad log p = 0, whatever the reference: why no setting puts k1 there."""
    logprobs = policy.log_softmax(0)
    found = expected_gradient(kl_k1(logprobs, reference), logprobs, policy)
    torch.testing.assert_close(found, torch.zeros(V, dtype=torch.double), rtol=0, atol=1e-12)


def test_k3_in_the_loss_has_that_of_the_other_direction(policy: Tensor, reference: Tensor) -> None:
    """grad KL(ref || policy), not grad KL(policy || ref): why k3 is only logged."""
    logprobs = policy.log_softmax(0)
    found = expected_gradient(kl_k3(reference - logprobs), logprobs, policy)
    (other,) = torch.autograd.grad(kl(reference, logprobs), policy, retain_graph=True)
    (wanted,) = torch.autograd.grad(kl(logprobs, reference), policy, retain_graph=True)
    torch.testing.assert_close(found, other, rtol=1e-6, atol=1e-9)
    assert (found - wanted).norm() > 0.05 * wanted.norm()


def test_k1_in_the_reward_has_the_gradient_of_the_kl_of_whole_completions() -> None:
    """Every completion of two tokens, the second conditioned on the first, through the loss and the reward in use."""
    generator = torch.Generator().manual_seed(2)
    theta = torch.randn(1 + V, V, generator=generator, dtype=torch.double).requires_grad_()
    reference = torch.randn(1 + V, V, generator=generator, dtype=torch.double).log_softmax(1)
    table = theta.log_softmax(1)
    pairs = list(product(range(V), repeat=2))
    logprobs = torch.stack([torch.stack([table[0, a], table[1 + a, b]]) for a, b in pairs])[:, None]  # (V^2, 1, 2)
    references = torch.stack([torch.stack([reference[0, a], reference[1 + a, b]]) for a, b in pairs])[:, None]
    mask = torch.ones(logprobs.shape, dtype=torch.bool)
    chances = logprobs.detach().sum(-1).exp()
    exact = kl(table[0], reference[0]) + sum(table[0, a].exp() * kl(table[1 + a], reference[1 + a]) for a in range(V))
    (wanted,) = torch.autograd.grad(exact, theta, retain_graph=True)
    reward = kl_reward(logprobs.detach(), references, mask)
    torch.testing.assert_close((chances * reward).sum(), -exact.detach(), rtol=1e-9, atol=0)
    # A sum over all completions weighted by their chance: counts of 1 leave the loss's sum as it is.
    batch = LossBatch(
        rollout_logprobs=logprobs.detach(),
        advantages=chances * reward,
        completion_mask=mask,
        counts=WindowCounts(num_rollouts=1, num_tokens=1, max_new_tokens=1),
    )
    loss, _ = dr_grpo(logprobs, batch, clip_low=0.2, clip_high=0.2)
    (found,) = torch.autograd.grad(loss, theta)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


def test_reward_and_metrics_count_sampled_tokens_alone() -> None:
    sampled = torch.tensor([[[-1.0, -2.0, 0.0], [-1.5, 0.0, 0.0]]])
    reference = torch.tensor([[[-1.5, -1.0, 9.0], [-1.0, 9.0, 9.0]]])
    mask = torch.tensor([[[True, True, False], [True, False, False]]])
    # k1: .5 - 1 = -.5 in the first, -.5 in the second.
    assert kl_reward(sampled, reference, mask).tolist() == [[0.5, 0.5]]
    metrics = kl_metrics(sampled, reference, mask)
    assert metrics["rl/kl/k1"] == pytest.approx(-1 / 3)
    k3 = [2.718281828**-0.5 - 1 + 0.5, 2.718281828 - 1 - 1, 2.718281828**0.5 - 1 - 0.5]
    assert metrics["rl/kl/k3"] == pytest.approx(sum(k3) / 3, rel=1e-5)


def test_a_loss_weight_needs_a_reference() -> None:
    batch = LossBatch(
        rollout_logprobs=torch.zeros(1, 2, 1),
        advantages=torch.zeros(1, 2),
        completion_mask=torch.ones(1, 2, 1, dtype=torch.bool),
        counts=WindowCounts(num_rollouts=2, num_tokens=2, max_new_tokens=1),
    )
    with pytest.raises(ValueError, match="give the stage a reference"):
        regularised_loss(
            torch.zeros(1, 2, 1), torch.zeros(1, 2, 1), batch, policy_loss=dr_grpo, kl_weight=0.1, entropy_weight=0.0
        )


@pytest.mark.parametrize(
    ("measured", "in_reward", "in_loss", "needed"),
    [(False, 0.0, 0.0, False), (True, 0.0, 0.0, True), (False, 0.1, 0.0, True), (False, 0.0, 0.1, True)],
)
def test_a_reference_is_loaded_only_where_something_asks(measured, in_reward, in_loss, needed) -> None:
    assert KlPenalty(measured=measured, in_reward=in_reward, in_loss=in_loss).needs_reference is needed


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(UserError, match="pay for going away"):
        KlPenalty(measured=False, in_reward=-0.1, in_loss=0.0)
