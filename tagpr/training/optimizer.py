"""How weights move: the optimizer, its learning rate at each step, and the clipping of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn
from torch.optim import AdamW, Optimizer


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Built from the group `optimizer`."""

    create: Callable[[nn.Module], Optimizer]
    schedule: Callable[[int, int], float]  # (step, num_steps) -> factor on the learning rate
    clip_norm: float  # largest global gradient norm


def adamw(
    module: nn.Module, *, learning_rate: float, betas: tuple[float, float], eps: float, weight_decay: float
) -> AdamW:
    """AdamW over the trainable parameters; only matrices decay (norms and biases have no scale to shrink).

    In one pass over each parameter: a quarter of the time of a pass per operation on CPU.
    """
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trainable if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trainable if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    used = [group for group in groups if group["params"]]
    return AdamW(used, lr=learning_rate, betas=(betas[0], betas[1]), eps=eps, fused=True)


def _warmup(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


def constant(step: int, num_steps: int, *, warmup_steps: int) -> float:
    """Linear warm-up, then 1. `step` counts from 0; step `warmup_steps - 1` is the first with factor 1."""
    return _warmup(step, warmup_steps)


def linear(step: int, num_steps: int, *, warmup_steps: int, final_factor: float) -> float:
    """Linear warm-up, then a straight line that reaches `final_factor` at the last step."""
    return _warmup(step, warmup_steps) * (1.0 - (1.0 - final_factor) * _decayed(step, num_steps, warmup_steps))


def cosine(step: int, num_steps: int, *, warmup_steps: int, final_factor: float) -> float:
    """Linear warm-up, then half a cosine wave that reaches `final_factor` at the last step."""
    share = 0.5 * (1.0 - math.cos(math.pi * _decayed(step, num_steps, warmup_steps)))
    return _warmup(step, warmup_steps) * (1.0 - (1.0 - final_factor) * share)


def _decayed(step: int, num_steps: int, warmup_steps: int) -> float:
    first = max(warmup_steps - 1, 0)  # the last step at full rate
    return min(1.0, max(0.0, step - first) / max(1, num_steps - 1 - first))
