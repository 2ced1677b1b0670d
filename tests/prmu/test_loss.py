import math

import pytest
import torch

from tagpr.prmu.loss import (
    contrast_loss,
    pair_loss,
    personal_contrast,
    score_penalty,
    user_weights,
    win_share,
)


def test_pair_loss_by_hand():
    # Differences 2 and -1, margin .5, tau 2: z = .75 and -.75; -log sigma(z) = log(1 + e^-z).
    loss = pair_loss(
        torch.tensor([3.0, 0.0]), torch.tensor([1.0, 1.0]), torch.tensor([0.25, 0.5]), margin=0.5, temperature=2.0
    )
    expected = 0.25 * math.log(1 + math.exp(-0.75)) + 0.5 * math.log(1 + math.exp(0.75))
    assert loss.item() == pytest.approx(expected, abs=1e-7)


def test_no_pairs_no_loss():
    empty = torch.zeros(0)
    assert pair_loss(empty, empty, empty, margin=0.0, temperature=1.0).item() == 0.0
    assert contrast_loss(empty, empty, temperature=1.0).item() == 0.0


def test_contrast_loss_by_hand_and_masked():
    # D = (2 - 0) - (1 - 3) = 4; the second couple agrees, so its weight is 0 whatever its D.
    contrast = personal_contrast(torch.tensor([2.0, 9.0]), torch.tensor([-2.0, 0.0]))
    assert contrast.tolist() == [4.0, 9.0]
    loss = contrast_loss(contrast, torch.tensor([0.5, 0.0]), temperature=4.0)
    assert loss.item() == pytest.approx(0.5 * math.log(1 + math.exp(-1.0)), abs=1e-7)


def test_score_penalty_by_hand():
    # .5 * (9 + 1) / 2 + .25 * (0 + 4) / 2
    penalty = score_penalty(torch.tensor([3.0, 0.0]), torch.tensor([-1.0, 2.0]), torch.tensor([0.5, 0.25]))
    assert penalty.item() == pytest.approx(3.0)


def test_win_share_counts_ties_half():
    assert win_share(torch.tensor([2.0, -0.5, 0.0, 1e-8])).tolist() == [1.0, 0.0, 0.5, 0.5]
    assert win_share(torch.zeros(0)).tolist() == []


def test_user_weights_make_users_equal():
    weights = user_weights(["a", "a", "a", "b"])
    assert weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0])
    assert sum(weights) / 4 == pytest.approx(1.0)


def test_concatenation_with_a_linear_head_cancels_in_pairs_of_one_user():
    """R = w.h(x, y) + v.e_u: the user's term is the same on both sides, so it gets no gradient and decides nothing."""
    torch.manual_seed(0)
    h_chosen, h_rejected = torch.randn(5, 3), torch.randn(5, 3)
    users = torch.randn(5, 4, requires_grad=True)
    w, v = torch.randn(3, requires_grad=True), torch.randn(4, requires_grad=True)
    chosen, rejected = h_chosen @ w + users @ v, h_rejected @ w + users @ v
    pair_loss(chosen, rejected, torch.ones(5), margin=0.0, temperature=1.0).backward()
    assert v.grad is not None
    assert users.grad is not None
    assert v.grad.abs().max() < 1e-6
    assert users.grad.abs().max() < 1e-6
    assert w.grad is not None
    assert w.grad.abs().max() > 1e-3


def test_what_never_reads_the_answer_with_the_user_in_mind_scores_half_a_swap():
    """R = a(x, y) + b(u, x) gives D = 0 for every couple: ties, not wins."""
    torch.manual_seed(0)
    a_own, a_other = 10 * torch.randn(7), 10 * torch.randn(7)
    b_u, b_v = 10 * torch.randn(7), 10 * torch.randn(7)
    own = (a_own + b_u) - (a_other + b_u)
    other = (a_own + b_v) - (a_other + b_v)
    contrast = personal_contrast(own, other)
    assert contrast.abs().max() < 1e-4
    exact = personal_contrast((a_own.double() - a_other.double()), (a_own.double() - a_other.double()))
    assert win_share(exact).tolist() == [0.5] * 7
