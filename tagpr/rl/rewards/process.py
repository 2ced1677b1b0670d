"""Process rewards: what each span of a chain is worth by itself. Ours.

They credit tokens (`advantage=segment`); the reward of a rollout does not contain them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transformers import PreTrainedTokenizerBase

if TYPE_CHECKING:
    from tagpr.rl.reference import ReferencePolicy
    from tagpr.rl.rollouts import RolloutBatch


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanReward:
    """What one span of a completion earns. Filled by an opened process reward."""

    tag: str
    first: int  # position of its first token, the opening tag's, in the completion
    end: int  # behind its last token
    reward: float  # of the whole span


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessRewards:
    """The spans of B prompts with G completions each."""

    spans: Sequence[Sequence[Sequence[SpanReward]]]  # [b][g][span]; a span that cannot be judged is left out
    lengths: Sequence[Sequence[int]]  # [b][g] tokens of each completion
    scored_tokens: int  # that went through a model to find them, shared prompts counted once


ScoreSpans = Callable[["RolloutBatch"], ProcessRewards]


class ProcessReward(ABC):
    """Says what spans earn; opened when the stage runs."""

    needs_reference: bool  # whether it asks the frozen copy of the stage's first policy

    @abstractmethod
    def open(self, *, reference: ReferencePolicy | None, tokenizer: PreTrainedTokenizerBase) -> ScoreSpans:
        """The reward itself."""


def process_metrics(process: ProcessRewards) -> dict[str, float]:
    """Mean reward of a span by its tag, spans judged per completion, and what it cost."""
    by_tag: defaultdict[str, list[float]] = defaultdict(list)
    for span in (span for group in process.spans for spans in group for span in spans):
        by_tag[span.tag].append(span.reward)
    num_completions = sum(len(group) for group in process.spans)
    metrics = {f"rl/process/{tag}": sum(rewards) / len(rewards) for tag, rewards in sorted(by_tag.items())}
    metrics["rl/process/spans"] = sum(len(rewards) for rewards in by_tag.values()) / num_completions
    metrics["rl/process/scored_tokens"] = float(process.scored_tokens)
    return metrics
