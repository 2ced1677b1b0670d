"""What the pipeline gives a stage beside its settings and inputs: a seed, a place for checkpoints, progress,
loggers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


class StopRequested(Exception):
    """The user asked the run to stop; the stage has saved a checkpoint and goes on from it next time."""


class RankDone(Exception):
    """A process that only helped to train has done its part: what comes after belongs to rank 0."""


class ProgressView(Protocol):
    """Somewhere to show progress: the terminal's bars, or nothing at all."""

    def start(self, description: str, total: int) -> Any: ...

    def advance(self, bar: Any, steps: int, note: str) -> None: ...

    def stop(self, bar: Any) -> None: ...


class SilentProgress:
    """Shows nothing: tests and notebooks."""

    def start(self, description: str, total: int) -> None:
        return None

    def advance(self, bar: None, steps: int, note: str) -> None:
        return None

    def stop(self, bar: None) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class StageContext:
    """Passed to every stage's `run`.

    Args:
        stage: the stage's name, e.g. `sft` or `rl_guided`.
        seed: this stage's own random stream, derived from the run's seed and the stage's name.
        checkpoints: a folder that survives a kill; a stage that finds its checkpoint there goes on from it.
        view: where progress is shown.
        make_loggers: Lightning loggers for this stage, built when first asked for (W&B, CSV into `output`).
        rankings: a folder where rankings are kept for later runs (tagpr.data.rankings); None: nothing is kept.
        replies: a folder where paid replies are kept for later runs (tagpr.chains.journal); None: beside checkpoints.
        stop: set by SIGTERM or SIGINT: save a checkpoint, then leave within one step.
        rank: of this process among those that train the stage together; those after 0 only help, and end with `fit`.
    """

    stage: str
    seed: int
    checkpoints: Path
    view: ProgressView = field(default_factory=SilentProgress)
    make_loggers: Callable[[Path], list[Logger]] = lambda output: []
    rankings: Path | None = None
    replies: Path | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    rank: int = 0

    @contextmanager
    def progress(
        self, description: str, total: int, done: int = 0, *, leaves: bool = True
    ) -> Iterator[Callable[..., None]]:
        """A progress bar with time left: `with context.progress("sampling", total=n) as advance: advance();
        advance(8, note="loss 1.2")`.

        Args:
            leaves: `advance` raises StopRequested once `stop` is set; False for work that saves first and then leaves.
        """
        bar = self.view.start(description, total)

        def advance(steps: int = 1, note: str = "") -> None:
            self.view.advance(bar, steps, note)
            if leaves and self.stop.is_set():
                raise StopRequested

        try:
            if done:
                advance(done)
            yield advance
        finally:
            self.view.stop(bar)
