"""What a teacher and a tagger have in common: what they keep, what they cost, what they could not do."""

from __future__ import annotations

from typing import ClassVar


class Accountable:
    """Gives an account of itself to the chains stage; whoever costs nothing and never fails need not say so."""

    shares_kept: ClassVar[bool] = False  # what it keeps has all that it depends on for a key: `kept` serves every run

    def spent(self) -> dict[str, int]:
        """What the work has cost so far, for the manifest's counts."""
        return {}

    def failed(self) -> list[dict[str, str | int | None]]:
        """A line for each chain that could not be had, with its reason: for `not_had.jsonl`; nobody's words in it."""
        return []
