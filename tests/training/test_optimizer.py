"""Learning rates at each step, and what decays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tagpr.training.optimizer import adamw, constant, cosine, linear


def test_constant_warms_up() -> None:
    assert [constant(step, 9, warmup_steps=4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert constant(0, 9, warmup_steps=0) == 1.0


def test_linear_reaches_its_end_at_the_last_step() -> None:
    # Full rate at step 1 (the second of two warm-up steps), then 4 equal falls to .2 at step 5.
    factors = [linear(step, 6, warmup_steps=2, final_factor=0.2) for step in range(6)]
    assert factors == pytest.approx([0.5, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_cosine_is_halfway_in_the_middle() -> None:
    factors = [cosine(step, 5, warmup_steps=0, final_factor=0.0) for step in range(5)]
    assert factors == pytest.approx([1.0, 0.5 + 0.5 * 2**-0.5, 0.5, 0.5 - 0.5 * 2**-0.5, 0.0])


@pytest.mark.parametrize("schedule", [linear, cosine])
def test_steps_beyond_the_last_stay_at_the_end(schedule) -> None:
    assert schedule(99, 6, warmup_steps=2, final_factor=0.2) == pytest.approx(0.2)
    assert schedule(0, 1, warmup_steps=0, final_factor=0.2) == 1.0  # one step only: nothing to decay


def test_only_trainable_matrices_decay() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    module[2].requires_grad_(False)
    optimizer = adamw(module, learning_rate=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.5)
    held = [(group["weight_decay"], [tuple(p.shape) for p in group["params"]]) for group in optimizer.param_groups]
    assert held == [(0.5, [(3, 2)]), (0.0, [(3,), (3,), (3,)])]


def test_adamw_first_step_by_hand() -> None:
    # First Adam step is lr * sign(g); decay takes lr * wd * w before it: 2 - .1 * .5 * 2 - .1 = 1.8.
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(2.0)
    optimizer = adamw(module, learning_rate=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.5)
    module(torch.tensor([[3.0]])).sum().backward()
    optimizer.step()
    assert module.weight.item() == pytest.approx(1.8)
