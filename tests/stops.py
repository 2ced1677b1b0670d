"""Signals that ask a stage to stop."""

from __future__ import annotations

from threading import Event


class Interrupt(Event):
    """Set when asked for the n-th time: a stage asks once per step, so it stops after that many."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def is_set(self) -> bool:
        self.left -= 1
        return self.left <= 0
