"""An engine that generates nothing: it says what it is told to, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.lm.generation.base import Completion, RolloutEngine, Sampling

RATING = "- <1> shows what this person minds.\n- <1> and <2> say the same of it.\n- So the same again.\nAnswer: {}"


@dataclass
class Script:
    """What is said: (seed, sample index) -> text, or None for a reply that is cut off; and every call."""

    say: Callable[[int, int], str | None]
    asked: list[tuple[list[list[int]], list[int], int]] = field(default_factory=list)  # prompts, seeds, samples

    @property
    def num_said(self) -> int:
        return sum(len(prompts) * samples for prompts, _, samples in self.asked)


class SayingEngine(RolloutEngine):
    """As config builds it, it says a rating that depends on the seed and the sample."""

    def __init__(
        self,
        *,
        tokenizer: PreTrainedTokenizerBase,
        device: str,
        script: Script | None = None,
    ) -> None:
        super().__init__(device=device)
        self.script = script or Script(say=rating)

    def generate(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        *,
        num_samples: int,
        sampling: Sampling,
        seed: int | Sequence[int],
        on_done: Callable[[int], None] | None = None,
        positions: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        assert not isinstance(seed, int)
        self.script.asked.append(([list(prompt) for prompt in prompts], list(seed), num_samples))
        return [[_said(self.script.say(own, sample)) for sample in range(num_samples)] for own in seed]


def rating(seed: int, sample: int) -> str:
    return RATING.format(1 + (seed + sample) % 5)


def _said(text: str | None) -> Completion:
    """A completion of five tokens."""
    return Completion(token_ids=(7,) * 5, logprobs=(0.0,) * 5, text=text or "", truncated=text is None)
