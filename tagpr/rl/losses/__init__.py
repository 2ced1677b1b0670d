"""Policy losses: pure functions from log-probs and advantages to one number, one file each."""

from tagpr.rl.losses.base import LossBatch, WindowCounts
from tagpr.rl.losses.dapo import dapo
from tagpr.rl.losses.dr_grpo import dr_grpo
from tagpr.rl.losses.grpo import grpo
from tagpr.rl.losses.gspo import gspo
from tagpr.rl.losses.importance import truncated_importance
from tagpr.rl.losses.kl import kl_k1, kl_k2, kl_k3
from tagpr.rl.losses.regularised import PolicyLoss, regularised_loss

__all__ = [
    "LossBatch",
    "PolicyLoss",
    "WindowCounts",
    "dapo",
    "dr_grpo",
    "grpo",
    "gspo",
    "kl_k1",
    "kl_k2",
    "kl_k3",
    "regularised_loss",
    "truncated_importance",
]
