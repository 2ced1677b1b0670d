"""What a teacher is: it reads a prompt and writes reasoning, step by step, with an answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagpr.chains.accounts import Accountable
from tagpr.types import Prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class RawChain:
    """Reasoning as a teacher wrote it, before its steps are labelled."""

    steps: tuple[str, ...]  # one thought each, without tags; data text in them is escaped
    answer: str
    habitual: bool  # the teacher ignored the history on purpose: its generic habit


class Teacher(Accountable, ABC):
    """Writes raw chains. It reads what the prompt shows (history, question), never gold or truth."""

    name: str  # what the chains' `teacher` column says

    @abstractmethod
    def chains(self, prompt: Prompt, *, num_samples: int, seed: int) -> list[RawChain]:
        """`num_samples` chains for a prompt; the same (prompt, seed) gives the same chains."""

    def write(
        self, prompts: Sequence[Prompt], *, num_samples: int, seed: int, kept: Path, on_done: Callable[[], None]
    ) -> list[list[RawChain | None]]:
        """The chains of many prompts, in their order; None for one that could not be had.

        Args:
            kept: a folder that survives a kill. A teacher that takes long or costs money keeps every reply there and
                asks nothing twice.
            on_done: called once per prompt; may raise to stop.
        """
        found: list[list[RawChain | None]] = []
        for prompt in prompts:
            found.append([*self.chains(prompt, num_samples=num_samples, seed=seed)])
            on_done()
        return found
