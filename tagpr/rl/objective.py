"""What the policy is trained towards: from rollouts to rewards, advantages and what the loss needs beside."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor
from transformers import PreTrainedModel

from tagpr.rl.kl import KlPenalty, kl_metrics, kl_reward
from tagpr.rl.losses import LossBatch, PolicyLoss, regularised_loss, truncated_importance
from tagpr.rl.reference import ReferencePolicy, ScoreTokens, read_logprobs
from tagpr.rl.rewards.combine import KL, OVERLONG, Rewards, with_penalty
from tagpr.rl.rewards.composite import CompositeReward
from tagpr.rl.rewards.overlong import OverlongPenalty
from tagpr.rl.rewards.process import ScoreSpans, process_metrics
from tagpr.rl.rollouts import Readings, RolloutBatch

Advantage = Callable[..., Tensor]  # (rewards, *, min_std) -> (B, G) or (B, G, T)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A window of rollouts, judged. Filled by Objective."""

    rewards: Rewards
    advantages: Tensor  # (B, G) or (B, G, T)
    readings: Readings
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Rewards, advantages and loss of a stage. Filled by the stage."""

    reward: CompositeReward
    advantage: Advantage
    policy_loss: PolicyLoss
    kl: KlPenalty
    overlong: OverlongPenalty
    entropy_weight: float  # of the mean entropy per token, in the loss; 0: off
    importance_cap: float | None  # of truncated importance weights; None: the sampler's log-probs are the trainer's
    reference: ReferencePolicy | None  # where KL or process rewards need it
    score_spans: ScoreSpans | None  # where advantages credit spans
    score_tokens: ScoreTokens
    max_new_tokens: int
    min_std: float
    max_tokens: int  # most tokens that are read at a time
    pad_id: int

    def judge(self, policy: PreTrainedModel, rollouts: RolloutBatch, *, progress: float) -> Judged:
        """Rewards, penalties, process rewards and advantages of a window just sampled by `policy`.

        Args:
            progress: share of the stage's steps that are done.
        """
        rewards = self.reward(rollouts, progress=progress)
        metrics: dict[str, float] = {}
        readings = self._read(policy, rollouts, metrics)
        if self.overlong.weight:
            penalty = self.overlong(rollouts, max_new_tokens=self.max_new_tokens)
            rewards = with_penalty(rewards, OVERLONG, penalty, weight=self.overlong.weight)
        if readings.reference_logprobs is not None:
            mask = rollouts.grouped(pad_id=self.pad_id).completion_mask
            trainer = readings.trainer_logprobs
            sampled = rollouts.sampler_logprobs(mask) if trainer is None else trainer
            metrics |= kl_metrics(sampled, readings.reference_logprobs, mask)
            if self.kl.in_reward:
                distance = kl_reward(sampled, readings.reference_logprobs, mask)
                rewards = with_penalty(rewards, KL, distance, weight=self.kl.in_reward)
        if self.score_spans is not None:
            started = time.monotonic()
            if self.reference is not None:
                self.reference.to(policy.device)
            rewards = replace(rewards, process=self.score_spans(rollouts))
            assert rewards.process is not None
            metrics |= process_metrics(rewards.process)
            metrics["rl/speed/process_seconds"] = time.monotonic() - started
        advantages = self.advantage(rewards, min_std=self.min_std)
        return Judged(rewards=rewards, advantages=advantages, readings=readings, metrics=metrics)

    def loss(self, policy_logprobs: Tensor, entropy: Tensor, batch: LossBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """`regularised_loss` under this objective's weights."""
        return regularised_loss(
            policy_logprobs,
            entropy,
            batch,
            policy_loss=self.policy_loss,
            kl_weight=self.kl.in_loss,
            entropy_weight=self.entropy_weight,
        )

    def _read(self, policy: PreTrainedModel, rollouts: RolloutBatch, metrics: dict[str, float]) -> Readings:
        """What the trainer's own forward and the reference say of the sampled tokens, each if it is asked for."""
        trainer = importance = reference = None
        tokens = rollouts.grouped(pad_id=self.pad_id)
        if self.importance_cap is not None:
            trainer = read_logprobs(policy, tokens, score_tokens=self.score_tokens, max_tokens=self.max_tokens)
            mask = tokens.completion_mask
            sampler = rollouts.sampler_logprobs(mask)
            importance = truncated_importance(trainer, sampler, mask, cap=self.importance_cap)
            metrics["rl/importance/gap"] = float((trainer - sampler)[mask].abs().mean())
            metrics["rl/importance/capped"] = float((importance[mask] >= self.importance_cap).float().mean())
        if self.reference is not None and self.kl.needs_reference:
            self.reference.to(policy.device)
            reference = self.reference.logprobs(tokens)
        return Readings(trainer_logprobs=trainer, importance=importance, reference_logprobs=reference)
