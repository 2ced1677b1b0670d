"""SIGINT and SIGTERM: a running stage saves and leaves within a step; between stages the process leaves at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tagpr.context import StopRequested

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Handlers of the whole process, all runs of a sweep included: a sweep that is asked to stop begins no other run.

    Args:
        event: what stages look at between two steps.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.number = signal.SIGINT  # the signal that came
        self._deferred = False
        self._before: list[dict[signal.Signals, Any]] = []

    @property
    def exit_code(self) -> int:
        """130 after SIGINT, 143 after SIGTERM, as shells have it."""
        return 128 + self.number

    def __enter__(self) -> StopSignals:
        in_main = threading.current_thread() is threading.main_thread()  # Python allows handlers nowhere else
        self._before.append({number: signal.signal(number, self._handle) for number in SIGNALS if in_main})
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.pop().items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """What runs inside has something to save: it looks at `event` and leaves by itself.

        Raises:
            StopRequested: at the end, where it was done before it looked.
        """
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.event.is_set():
            raise StopRequested("nothing was left to save")

    def _handle(self, number: int, frame: Any) -> None:
        if self.event.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.number = signal.Signals(number)
        self.event.set()
        if not self._deferred:
            # Not an Exception: libraries that swallow those would let the run go on.
            raise KeyboardInterrupt
        print("\nStopping after this step; once more to stop at once.", file=sys.stderr)
