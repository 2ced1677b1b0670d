"""Advantages: from rewards to how much better a rollout is than the others of its prompt. Pure, one file each."""

from tagpr.rl.advantages.base import without_variance
from tagpr.rl.advantages.best_of_group import best_of_group
from tagpr.rl.advantages.decoupled import decoupled
from tagpr.rl.advantages.group import group
from tagpr.rl.advantages.group_mean import group_mean
from tagpr.rl.advantages.segment import SegmentAdvantage

__all__ = ["SegmentAdvantage", "best_of_group", "decoupled", "group", "group_mean", "without_variance"]
