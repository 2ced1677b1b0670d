"""Rewards and advantages of kept rollouts under other weights, without generating anything. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from tagpr.errors import BadInputError
from tagpr.rl.advantages import without_variance
from tagpr.rl.objective import Advantage
from tagpr.rl.rewards.combine import PENALTIES, Rewards, total_of, with_penalty
from tagpr.rl.rewards.composite import Combine
from tagpr.rl.rewards.process import ProcessRewards, SpanReward
from tagpr.rl.rewards.shares import variance_shares
from tagpr.rl.rollouts import rollout_advantage
from tagpr.types import Rollout

GATE_TERM = "g_answer"  # the name under which a rollout keeps the gate of its whole reward


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One window again. Filled by `replay_window`."""

    rollouts: list[Rollout]  # in the order given, with new weights, reward and advantage
    rewards: Rewards  # (B, G)


def windows_of(rollouts: Sequence[Rollout]) -> list[list[Rollout]]:
    """Rollouts that were sampled together, in the order of steps."""
    windows: dict[int, list[Rollout]] = {}
    for rollout in rollouts:
        windows.setdefault(rollout.step, []).append(rollout)
    return list(windows.values())


def replay_window(
    window: Sequence[Rollout],
    *,
    weights: Mapping[str, float],
    combine: Combine,
    advantage: Advantage,
    min_std: float,
) -> Replayed:
    """A window's rewards and advantages anew; with its own settings they come out as they were, bit for bit.

    Args:
        window: all rollouts of one step, group by group.
        weights: term -> weight in the place of the one kept; other terms keep theirs, as the schedule had it.
    Raises:
        BadInputError: a weight for a term that was not computed, or groups of different sizes.
    """
    first = window[0]
    kept = {name: value for name, value in first.weights.items() if name in first.reward_terms}
    unknown = [name for name in weights if name not in kept]
    if unknown:
        raise BadInputError(
            f"the rollouts of step {first.step} have no term {unknown[0]!r}, but {', '.join(kept)}: a stage computes "
            "the terms that it pays, so replay one that pays this term."
        )
    shape = _shape(window)
    values = {name: torch.tensor([one.reward_terms[name] for one in window]).view(shape) for name in (*kept, GATE_TERM)}
    now = {**kept, **weights}
    rewards = _rewards(values, now, combine)
    if any(one.process is not None for one in window):
        rewards = replace(rewards, process=_process(window, shape))
    advantages = advantage(rewards, min_std=min_std)
    flat: Tensor = advantages.flatten(0, 1)
    new = [
        replace(
            one,
            weights=now,
            reward=float(reward),
            advantage=rollout_advantage(own, num_tokens=one.num_tokens),
        )
        for one, reward, own in zip(window, rewards.total.flatten(), flat, strict=True)
    ]
    return Replayed(rollouts=new, rewards=rewards)


def _shape(window: Sequence[Rollout]) -> tuple[int, int]:
    starts = [position for position, one in enumerate(window) if one.sample_index == 0]
    sizes = {end - start for start, end in zip(starts, [*starts[1:], len(window)], strict=True)}
    if len(sizes) != 1:
        raise BadInputError(
            f"the rollouts of step {window[0].step} come in groups of {sorted(sizes)}, expected one size: a file is "
            "incomplete, or rows were taken out."
        )
    return len(starts), sizes.pop()


def _rewards(values: Mapping[str, Tensor], weights: Mapping[str, float], combine: Combine) -> Rewards:
    gate = values[GATE_TERM]
    paid = {name: weight for name, weight in weights.items() if name not in PENALTIES}
    terms = {name: values[name] for name in paid}
    contributions = combine(terms, weights=paid, gate=gate)
    rewards = Rewards(
        terms=terms, weights=paid, gate=gate, contributions=contributions, total=total_of(contributions, like=gate)
    )
    for name in (name for name in weights if name in PENALTIES):
        rewards = with_penalty(rewards, name, values[name], weight=weights[name])
    return rewards


def _process(window: Sequence[Rollout], shape: tuple[int, int]) -> ProcessRewards:
    spans = [[SpanReward(**span) for span in one.process or ()] for one in window]
    lengths = [one.num_tokens for one in window]
    size = shape[1]
    groups = range(0, len(window), size)
    return ProcessRewards(
        spans=[spans[start : start + size] for start in groups],
        lengths=[lengths[start : start + size] for start in groups],
        scored_tokens=0,
    )


@dataclass(frozen=True, kw_only=True)
class ReplayFigures:
    """Old rewards and advantages beside new ones. Filled by `compare`."""

    rollouts: int
    groups: int
    identical: bool  # every reward and advantage came out as it was
    rank_correlation: float  # Spearman, of advantages; NaN where one side never varies
    best_changed: float  # share of groups whose best rollout was none of the best before
    tied_before: float  # share of groups without variance in the reward
    tied_now: float
    shares_before: Mapping[str, float]  # term -> share of the within-group variance of the reward
    shares_now: Mapping[str, float]


def compare(
    before: Sequence[Replayed], now: Sequence[Replayed], kept: Sequence[Rollout], *, min_std: float
) -> ReplayFigures:
    """What other settings would have changed.

    Args:
        before: windows replayed under the settings that they were kept with.
        now: the same windows under the new ones.
        kept: the rollouts as they are on disk.
    """
    new = [rollout for window in now for rollout in window.rollouts]
    changed: list[bool] = []
    tied: tuple[list[bool], list[bool]] = ([], [])
    for old_window, new_window in zip(before, now, strict=True):
        old_total, new_total = old_window.rewards.total, new_window.rewards.total
        was_best = old_total == old_total.amax(dim=1, keepdim=True)
        is_best = new_total == new_total.amax(dim=1, keepdim=True)
        changed += (~(was_best & is_best).any(dim=1)).tolist()
        for found, total in zip(tied, (old_total, new_total), strict=True):
            found += without_variance(total, min_std=min_std).tolist()
    old_advantages, new_advantages = ([one.advantage for one in side] for side in (kept, new))
    varies = all(len(set(side)) > 1 for side in (old_advantages, new_advantages))
    return ReplayFigures(
        rollouts=len(new),
        groups=len(changed),
        identical=all((a.reward, a.advantage) == (b.reward, b.advantage) for a, b in zip(kept, new, strict=True)),
        rank_correlation=_rank_correlation(old_advantages, new_advantages) if varies else float("nan"),
        best_changed=sum(changed) / len(changed),
        tied_before=sum(tied[0]) / len(changed),
        tied_now=sum(tied[1]) / len(changed),
        shares_before=variance_shares(_pooled(before)),
        shares_now=variance_shares(_pooled(now)),
    )


def _rank_correlation(before: Sequence[float], now: Sequence[float]) -> float:
    """Spearman's, ties with their mean rank."""
    return float(np.corrcoef(rankdata(before), rankdata(now))[0, 1])


def _pooled(windows: Sequence[Replayed]) -> dict[str, Tensor]:
    """Every window's contributions, one group below another."""
    names = sorted({name for window in windows for name in window.rewards.contributions})
    return {
        name: torch.cat(
            [window.rewards.contributions.get(name, torch.zeros_like(window.rewards.gate)) for window in windows]
        )
        for name in names
    }
