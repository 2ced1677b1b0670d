"""What a tagger is: it names the function of each step of a raw chain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tagpr.types import Prompt


class Tagger(ABC):
    """Labels steps with names out of `tagpr.chains.tags.TAGS`; the stage merges what the vocabulary in use lacks."""

    @abstractmethod
    def tag(self, prompt: Prompt, steps: Sequence[str]) -> list[str]:
        """One tag per step."""
