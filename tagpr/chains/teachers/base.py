"""What a teacher is: it reads a prompt and writes reasoning, step by step, with an answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from tagpr.types import Prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class RawChain:
    """Reasoning as a teacher wrote it, before its steps are labelled."""

    steps: tuple[str, ...]  # one thought each, without tags; data text in them is escaped
    answer: str
    habitual: bool  # the teacher ignored the history on purpose: its generic habit


class Teacher(ABC):
    """Writes raw chains. It reads what the prompt shows (history, question), never gold or truth."""

    name: str  # what the chains' `teacher` column says

    @abstractmethod
    def chains(self, prompt: Prompt, *, num_samples: int, seed: int) -> list[RawChain]:
        """`num_samples` chains for a prompt; the same (prompt, seed) gives the same chains."""
