"""What share of the advantages each reward term decides, and the weights that give wanted shares. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tagpr.types import Rollout

_TOLERANCE = 1e-9  # on a share
_MAX_SWEEPS = 10_000


def variance_shares(contributions: Mapping[str, Tensor]) -> dict[str, float]:
    """Share of the within-group variance of the total reward that each term accounts for; they sum to 1, all 0
    without variance.

    share_k = Cov(c_k, R) / Var(R) within groups, pooled over groups, R = sum_k c_k. A term that works
    against the others has a negative share.

    Args:
        contributions: (B, G) what each term adds to the total.
    """
    if not contributions:
        return {}
    covariance = _within_group_covariance(torch.stack(list(contributions.values())))
    total = covariance.sum()
    shares = covariance.sum(dim=1) / total if total > 0 else torch.zeros(len(contributions))
    return dict(zip(contributions, shares.tolist(), strict=True))


def weights_for_shares(terms: Tensor, target: Tensor) -> Tensor:
    """Weights under which each term accounts for its target share of the within-group variance of the weighted sum.

    Solves w_k (S w)_k = target_k for the pooled within-group covariance S: the positive solution exists and is the
    only one when S is positive definite. Coordinate descent on 1/2 w'Sw - sum_k target_k log w_k.
    Source: risk budgeting; Griveau-Billion, Richard, Roncalli, arXiv:1311.4057.

    Args:
        terms: (N, B, G) raw values of N terms, already gated as they will be in training.
        target: (N,) wanted shares, positive, summing to 1.
    Returns:
        (N,) weights, scaled so that the first is 1.
    Raises:
        ValueError: a term never varies within a group, or the weights do not settle.
    """
    if terms.dim() != 3 or target.shape != terms.shape[:1]:
        raise ValueError(
            f"terms have shape {tuple(terms.shape)} and target {tuple(target.shape)}, expected (N, B, G) and (N,)."
        )
    if not bool((target > 0).all()) or abs(float(target.sum()) - 1.0) > 1e-6:
        raise ValueError(
            f"target shares are {target.tolist()}, expected positive numbers that sum to 1; leave a term out to "
            "give it none."
        )
    covariance = _within_group_covariance(terms.double())
    variance = covariance.diagonal()
    for index in torch.nonzero(variance <= 0).flatten().tolist():
        raise ValueError(
            f"reward term number {index} never varies within a group, so no weight gives it a share; sample more "
            "rollouts, or leave it out."
        )
    goal = target.double() / target.double().sum()
    weights = (goal / variance).sqrt()
    for _ in range(_MAX_SWEEPS):
        for k in range(len(weights)):
            others = covariance[k] @ weights - variance[k] * weights[k]
            weights[k] = (-others + (others**2 + 4 * variance[k] * goal[k]).sqrt()) / (2 * variance[k])
        shares = weights * (covariance @ weights)
        if bool(((shares / shares.sum() - goal).abs() <= _TOLERANCE).all()):
            return (weights / weights[0]).to(terms.dtype)
    raise ValueError(f"weights did not settle in {_MAX_SWEEPS} sweeps; two reward terms may be copies of one another.")


def weights_from_rollouts(rollouts: Sequence[Rollout], target: Mapping[str, float]) -> dict[str, float]:
    """`weights_for_shares` from rollouts as an RL stage keeps them, terms behind g_answer as with `combine=gated`.

    Args:
        rollouts: of one policy, such as a stage's first windows: weights fit the policy they were measured on.
        target: term -> wanted share; the first term's weight is 1.
    Raises:
        ValueError: a rollout without one of the terms, or groups of different sizes.
    """
    groups: defaultdict[tuple[int, str], list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        groups[rollout.step, rollout.record_id].append(rollout)
    sizes = {len(group) for group in groups.values()}
    missing = {name for name in target for rollout in rollouts if name not in rollout.reward_terms}
    if missing or len(sizes) != 1:
        raise ValueError(
            f"{len(rollouts)} rollouts in groups of {sorted(sizes)}, without the terms {sorted(missing)}; expected "
            f"groups of one size, each rollout with {', '.join(target)}."
        )
    values = [
        [[one.reward_terms[name] * one.reward_terms["g_answer"] for one in group] for group in groups.values()]
        for name in target
    ]
    weights = weights_for_shares(torch.tensor(values), torch.tensor(list(target.values())))
    return dict(zip(target, weights.tolist(), strict=True))


def _within_group_covariance(values: Tensor) -> Tensor:
    """(N, N) mean over rollouts of the products of deviations from the group mean.

    Args:
        values: (N, B, G).
    """
    deviations = (values - values.mean(dim=-1, keepdim=True)).flatten(start_dim=1)
    return deviations @ deviations.T / deviations.shape[1]
