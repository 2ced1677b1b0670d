"""What a tagger is: it names the function of each step of a raw chain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from tagpr.types import Prompt


class Tagger(ABC):
    """Labels steps with names out of `tagpr.chains.tags.TAGS`; the stage merges what the vocabulary in use lacks."""

    shares_kept: ClassVar[bool] = False  # as a Teacher's

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

    def spent(self) -> dict[str, int]:
        """What `tag_all` has cost so far, for the manifest's counts."""
        return {}

    def failed(self) -> list[dict[str, str | int | None]]:
        """As a Teacher's."""
        return []
