"""The composite reward of a stage: which terms it has, what they weigh at a step, and what they pay together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tagpr.errors import BadInputError
from tagpr.rl.rewards.combine import Rewards, total_of
from tagpr.rl.rollouts import RolloutBatch

RewardTerm = Callable[[RolloutBatch], Tensor]  # -> (B, G), raw
Gate = Callable[[RolloutBatch], Tensor]  # -> (B, G), 1.0 or 0.0
Combine = Callable[..., dict[str, Tensor]]  # (terms, *, weights, gate) -> contributions
WeightSchedule = Callable[..., dict[str, float]]  # (weights, *, progress) -> weights


class ArtifactTerm(ABC):
    """A reward term that reads what earlier stages made, so that it can only be opened when the stage runs."""

    @abstractmethod
    def open(self, inputs: Mapping[str, Path]) -> RewardTerm:
        """The term itself. Raises BadInputError when the stage was not given what the term reads."""


class MeasuredTerm(ABC):
    """A reward term that has more to say about its last rollouts than their values."""

    @abstractmethod
    def __call__(self, rollouts: RolloutBatch) -> Tensor: ...

    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """quantity -> value; logged as `rl/<term>/<quantity>`."""


@dataclass(frozen=True, kw_only=True)
class TermSettings:
    """Built from the group `reward/term`."""

    weight: float  # alpha, beta or gamma: set once by shares of advantage variance, then frozen
    score: RewardTerm | ArtifactTerm | None  # None: the run does not have this term


@dataclass(frozen=True, kw_only=True)
class RewardSettings:
    """Built from the group `reward`."""

    terms: Mapping[str, TermSettings]
    tag_gate: Gate  # what multiplies the whole reward: the answer's gate alone, or the tags' too
    combine: Combine


class CompositeReward:
    """Scores rollouts under the weights of a step.

    Args:
        terms: name -> term.
        weights: name -> weight at the start of the stage, of the same names.
        schedule: moves the weights as the stage goes on.
        gate: of every rollout's whole reward.
        combine: how terms and gate make one reward.
    """

    def __init__(
        self,
        *,
        terms: Mapping[str, RewardTerm],
        weights: Mapping[str, float],
        schedule: WeightSchedule,
        gate: Gate,
        combine: Combine,
    ) -> None:
        self.terms = dict(terms)
        self.weights = dict(weights)
        self.schedule = schedule
        self.gate = gate
        self.combine = combine

    def __call__(self, rollouts: RolloutBatch, *, progress: float) -> Rewards:
        """Rewards of the rollouts.

        Args:
            progress: share of the stage's steps that are done, in [0, 1).
        Raises:
            ValueError: a term's values have the wrong shape or are not finite.
        """
        terms = {name: term(rollouts) for name, term in self.terms.items()}
        for name, values in terms.items():
            if values.shape != rollouts.shape:
                raise ValueError(
                    f"reward term {name!r} gave shape {tuple(values.shape)}, expected (B, G) = {rollouts.shape}: one "
                    "number per rollout."
                )
            if not torch.isfinite(values).all():
                raise ValueError(f"reward term {name!r} gave NaN or infinity, expected finite numbers.")
        gate = self.gate(rollouts)
        weights = self.schedule(self.weights, progress=progress)
        contributions = self.combine(terms, weights=weights, gate=gate)
        total = total_of(contributions, like=gate)
        return Rewards(terms=terms, weights=weights, gate=gate, contributions=contributions, total=total)

    def metrics(self) -> dict[str, float]:
        """What the terms say about the last rollouts beside their values."""
        return {
            f"rl/{name}/{quantity}": value
            for name, term in self.terms.items()
            if isinstance(term, MeasuredTerm)
            for quantity, value in term.metrics().items()
        }


def stage_reward(
    settings: RewardSettings,
    *,
    shares: Mapping[str, float],
    schedule: WeightSchedule,
    inputs: Mapping[str, Path],
) -> CompositeReward:
    """The reward of one stage: the terms that it pays for, opened. A term that weighs nothing is not computed.

    Args:
        shares: name -> what the stage pays of the term's weight; 0 for a term that it does not pay.
    Raises:
        BadInputError: the stage pays for a term that `reward` does not name, or pays for nothing.
    """
    unknown = [name for name in shares if name not in settings.terms]
    if unknown:
        raise BadInputError(
            f"the stage's weights name the reward term {unknown[0]!r}, but reward.terms has "
            f"{', '.join(settings.terms)}. Add it there, or take it out of the stage."
        )
    weights = {name: term.weight * shares.get(name, 0.0) for name, term in settings.terms.items()}
    scores = {
        name: term.score for name, term in settings.terms.items() if term.score is not None and weights[name] != 0
    }
    if not scores:
        raise BadInputError(
            f"the stage pays for no reward term (weights {weights}): give one a weight, or leave the stage "
            "out of rl.order."
        )
    return CompositeReward(
        terms={
            name: score.open(inputs) if isinstance(score, ArtifactTerm) else score for name, score in scores.items()
        },
        weights={name: weights[name] for name in scores},
        schedule=schedule,
        gate=settings.tag_gate,
        combine=settings.combine,
    )
