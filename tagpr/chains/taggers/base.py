"""What a tagger is: it names the function of each step of a raw chain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from tagpr.chains.accounts import Accountable
from tagpr.types import Prompt


class Tagger(Accountable, ABC):
    """Labels steps with names out of `tagpr.chains.tags.TAGS`; the stage merges what the vocabulary in use lacks."""

    @abstractmethod
    def tag(self, prompt: Prompt, steps: Sequence[str]) -> list[str]:
        """One tag per step."""

    def tag_all(
        self, chains: Sequence[tuple[Prompt, Sequence[str]]], *, kept: Path, on_done: Callable[[], None]
    ) -> list[list[str] | None]:
        """The tags of many chains (prompt, steps), in their order; None for one that could not be had.

        Args:
            kept: a folder that survives a kill, for taggers that must not be asked twice.
            on_done: called once per chain; may raise to stop.
        """
        found: list[list[str] | None] = []
        for prompt, steps in chains:
            found.append(self.tag(prompt, steps))
            on_done()
        return found
