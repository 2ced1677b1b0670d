"""Rollouts as the rewards read them, and the window of them that optimizer steps are taken from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from tagpr.chains.tags import ParsedCompletion, TagVocabulary
from tagpr.lm.batches import GroupedBatch, split_groups
from tagpr.lm.generation.base import Completion
from tagpr.rl.losses import LossBatch, WindowCounts
from tagpr.tasks.base import Task
from tagpr.types import Prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class RlPrompt:
    """A question that RL may use. Filled by the stage."""

    prompt: Prompt
    token_ids: list[int]  # chat template and generation prompt included
    task: Task
    gold: str | None  # what rewards may know: None where the data withholds it, or the gold budget does


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutBatch:
    """B prompts with G completions each: all that a reward term may look at. Filled by the RL module."""

    prompts: Sequence[RlPrompt]  # B
    completions: Sequence[Sequence[Completion]]  # (B, G)
    parsed: Sequence[Sequence[ParsedCompletion]]  # (B, G)
    vocabulary: TagVocabulary  # in use; empty for chains without tags

    @property
    def shape(self) -> tuple[int, int]:
        """(B, G)."""
        return len(self.prompts), len(self.completions[0])

    def grouped(self, *, pad_id: int) -> GroupedBatch:
        """Prompts and completions as the model reads them."""
        return GroupedBatch.from_lists(
            [prompt.token_ids for prompt in self.prompts],
            [[completion.token_ids for completion in group] for group in self.completions],
            pad_id=pad_id,
        )

    def sampler_logprobs(self, mask: Tensor) -> Tensor:
        """(B, G, T) what the engine says of each sampled token, 0 outside the mask."""
        logprobs = torch.zeros(mask.shape)
        logprobs[mask] = torch.tensor(
            [value for group in self.completions for completion in group for value in completion.logprobs]
        )
        return logprobs

    @property
    def answers(self) -> list[list[str]]:
        """(B, G) what stands outside the thinking block."""
        return [[parsed.answer for parsed in group] for group in self.parsed]


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatch:
    """As many groups of the window as go through the model at once. Filled by RolloutWindow."""

    tokens: GroupedBatch
    loss: LossBatch

    def to(self, device: torch.device) -> MicroBatch:
        return MicroBatch(tokens=self.tokens.to(device), loss=self.loss.to(device))


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    """What is known of the sampled tokens beside the sampler's log-probs; None: not asked for. Filled by Objective."""

    trainer_logprobs: Tensor | None = None  # (B, G, T) of the policy that sampled, by the trainer's own forward
    importance: Tensor | None = None  # (B, G, T) `truncated_importance`; with trainer_logprobs
    reference_logprobs: Tensor | None = None  # (B, G, T) of the frozen reference


class RolloutWindow:
    """Rollouts with their advantages, from which `num_updates` optimizer steps are taken; then it is empty again.

    Each step sees the whole window (the mu iterations of GRPO, arXiv:2402.03300, algorithm 1). It is part of the
    checkpoint, so a run killed between two steps of a window goes on with the same rollouts.

    Args:
        num_updates: optimizer steps per window; the policy leaves the one that sampled after the first.
        max_new_tokens: the longest completion that sampling allows.
        micro_batch_tokens: most tokens that go through the model at once.
    """

    def __init__(self, *, num_updates: int, max_new_tokens: int, micro_batch_tokens: int, pad_id: int) -> None:
        self.num_updates = num_updates
        self.max_new_tokens = max_new_tokens
        self.micro_batch_tokens = micro_batch_tokens
        self.pad_id = pad_id
        self.updates_left = 0
        self.tokens: GroupedBatch | None = None
        self.rollout_logprobs = torch.empty(0)
        self.advantages = torch.empty(0)
        self.readings = Readings()

    def is_empty(self) -> bool:
        return self.updates_left == 0

    def fill(self, rollouts: RolloutBatch, advantages: Tensor, readings: Readings | None = None) -> None:
        """Take rollouts in.

        Args:
            advantages: (B, G), or (B, G, T) with T the longest completion.
            readings: what other models say of the sampled tokens; nothing by default.
        """
        assert self.is_empty()
        self.tokens = rollouts.grouped(pad_id=self.pad_id)
        self.readings = Readings() if readings is None else readings
        # With importance weights the clipped ratio is between two forwards of the trainer's own.
        trainer = self.readings.trainer_logprobs
        self.rollout_logprobs = rollouts.sampler_logprobs(self.tokens.completion_mask) if trainer is None else trainer
        self.advantages = advantages
        self.updates_left = self.num_updates

    def next(self, *, rank: int = 0, world_size: int = 1) -> list[MicroBatch]:
        """The micro-batches of one optimizer step, which counts as taken.

        Args:
            rank, world_size: a rank's groups alone, of those that are dealt to `world_size`; the counts stay the
                window's.
        """
        assert not self.is_empty()
        assert self.tokens is not None
        counts = WindowCounts(
            num_rollouts=self.tokens.completion_mask.shape[0] * self.tokens.completion_mask.shape[1],
            num_tokens=int(self.tokens.completion_mask.sum()),
            max_new_tokens=self.max_new_tokens,
        )
        own = torch.arange(rank, len(self.tokens.prompt_ids), world_size)
        micro_batches = [
            self._micro_batch(own[index], counts)
            for index in split_groups(self.tokens.select(own), max_tokens=self.micro_batch_tokens)
        ]
        self.updates_left -= 1
        if self.is_empty():
            self.tokens = None
        return micro_batches

    def _micro_batch(self, index: Tensor, counts: WindowCounts) -> MicroBatch:
        assert self.tokens is not None
        chosen = self.tokens.select(index)
        # Alike in length, the groups of a micro-batch need less padding than the window.
        longest_prompt, longest = int(chosen.prompt_lengths.max()), int(chosen.completion_lengths.max())
        tokens = GroupedBatch(
            prompt_ids=chosen.prompt_ids[:, :longest_prompt],
            prompt_mask=chosen.prompt_mask[:, :longest_prompt],
            completion_ids=chosen.completion_ids[:, :, :longest],
            completion_mask=chosen.completion_mask[:, :, :longest],
        )
        advantages = self.advantages[index]
        return MicroBatch(
            tokens=tokens,
            loss=LossBatch(
                rollout_logprobs=self.rollout_logprobs[index][:, :, :longest],
                advantages=advantages if advantages.dim() == 2 else advantages[:, :, :longest],
                completion_mask=tokens.completion_mask,
                counts=counts,
                importance=_cut(self.readings.importance, index, longest),
                reference_logprobs=_cut(self.readings.reference_logprobs, index, longest),
            ),
        )

    def state_dict(self) -> dict[str, Any]:
        if self.tokens is None:
            return {"updates_left": 0}
        return {
            "updates_left": self.updates_left,
            "prompt_ids": self.tokens.prompt_ids,
            "prompt_mask": self.tokens.prompt_mask,
            "completion_ids": self.tokens.completion_ids,
            "completion_mask": self.tokens.completion_mask,
            "rollout_logprobs": self.rollout_logprobs,
            "advantages": self.advantages,
            "readings": {field.name: getattr(self.readings, field.name) for field in fields(Readings)},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates_left = state["updates_left"]
        self.tokens = None
        if self.updates_left:
            self.tokens = GroupedBatch(
                prompt_ids=state["prompt_ids"],
                prompt_mask=state["prompt_mask"],
                completion_ids=state["completion_ids"],
                completion_mask=state["completion_mask"],
            )
            self.rollout_logprobs = state["rollout_logprobs"]
            self.advantages = state["advantages"]
            self.readings = Readings(**state["readings"])


def _cut(values: Tensor | None, index: Tensor, longest: int) -> Tensor | None:
    return None if values is None else values[index][:, :, :longest]


def rollout_advantage(advantages: Tensor, *, num_tokens: int) -> float:
    """One rollout's advantage as one number: itself, or the mean over its tokens where they are credited apart.

    Args:
        advantages: () or (T,).
    """
    return float(advantages if advantages.dim() == 0 else advantages[:num_tokens].mean())
