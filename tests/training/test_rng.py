"""Random state goes into a checkpoint and comes back."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from tagpr.training.rng import isolated_rng, rng_state, seed_everything, set_rng_state


def draw() -> tuple[float, float, float, float]:
    return random.gauss(0, 1), random.random(), np.random.normal(), torch.randn(1).item()


def test_state_survives_a_weights_only_file(tmp_path: Path) -> None:
    seed_everything(3)
    draw()  # gauss and normal keep a second value back: it belongs to the state
    torch.save(rng_state(), tmp_path / "rng.pt")
    expected = [draw() for _ in range(3)]
    seed_everything(4)
    set_rng_state(torch.load(tmp_path / "rng.pt", weights_only=True))
    assert [draw() for _ in range(3)] == expected


def test_isolated_draws_leave_no_trace() -> None:
    seed_everything(3)
    expected = draw()
    seed_everything(3)
    with isolated_rng():
        draw()
    assert draw() == expected
