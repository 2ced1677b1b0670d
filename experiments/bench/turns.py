"""Two trainers in one process that take optimizer steps in turn, and what their times say."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """What one optimizer step took. Filled by Side.step."""

    seconds: float
    cpu_seconds: float  # of all threads


class Side:
    """A trainer that runs in a thread of its own and stands still after each of its optimizer steps.

    Args:
        name: for messages.
        train: runs the whole training and calls the function it is given before its first step and after each one.
    """

    def __init__(self, name: str, train: Callable[[Callable[[], None]], None]) -> None:
        self.name, self._train = name, train
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        # A daemon: training is left behind where it stands when all is measured.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Set up, up to the first step."""
        self._thread.start()
        self._wait()

    def step(self) -> StepTime:
        wall, cpu = time.perf_counter(), time.process_time()
        self._go.release()
        self._wait()
        return StepTime(seconds=time.perf_counter() - wall, cpu_seconds=time.process_time() - cpu)

    def memory(self, steps: int, peak_mb: Callable[[], float]) -> dict[str, Any]:
        """The process's peak after some steps, and how far they raised it; for a process in which nobody else runs."""
        self.start()
        before = peak_mb()
        for _ in range(steps):
            self.step()
        return {"side": self.name, "peak_mb": round(peak_mb()), "of_the_step_mb": round(peak_mb() - before)}

    def _run(self) -> None:
        try:
            self._train(self._pause)
            raise RuntimeError(f"{self.name} ended before all of its steps were measured.")
        except BaseException as error:  # handed to the thread that waits
            self._error = error
            self._stands.release()

    def _pause(self) -> None:
        self._stands.release()
        self._go.acquire()

    def _wait(self) -> None:
        self._stands.acquire()
        if self._error is not None:
            raise self._error


def alternate(ours: Side, theirs: Side, *, pairs: int) -> Iterator[tuple[StepTime, StepTime]]:
    """(ours, theirs) of `pairs` pairs of neighbouring steps; the first are warm-up, which the caller drops.

    Who goes first changes from pair to pair, so that a drift of the machine's speed favours nobody.
    """
    ours.start()
    theirs.start()
    for number in range(pairs):
        if number % 2:
            second = theirs.step()
            first = ours.step()
        else:
            first = ours.step()
            second = theirs.step()
        yield first, second


def compared(times: list[tuple[StepTime, StepTime]]) -> dict[str, Any]:
    """The figures of a case: theirs over ours, pair by pair, and what says whether the machine was quiet.

    `cpu_per_wall` near the number of threads means that a side was not starved.
    """
    ratios = sorted(theirs.seconds / ours.seconds for ours, theirs in times)
    return {
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratios[0], 2), round(ratios[-1], 2)],
        "cpu_ratio": round(statistics.median(theirs.cpu_seconds / ours.cpu_seconds for ours, theirs in times), 2),
        "pairs": len(times),
        "ours_s": round(statistics.median(ours.seconds for ours, _ in times), 3),
        "theirs_s": round(statistics.median(theirs.seconds for _, theirs in times), 3),
        "ours_cpu_per_wall": round(_cpu_share([ours for ours, _ in times]), 2),
        "theirs_cpu_per_wall": round(_cpu_share([theirs for _, theirs in times]), 2),
        "load": round(os.getloadavg()[0], 1),
    }


def _cpu_share(times: list[StepTime]) -> float:
    return sum(one.cpu_seconds for one in times) / sum(one.seconds for one in times)
