"""What a person sees in the terminal: progress with time left, a plan, and one closing panel."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from tagpr.pipeline.execute import Outcome
from tagpr.pipeline.plan import PlannedStage

# A pipe has no width: take one that the closing table fits into.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
# Where output is not a terminal (CI, Slurm, `| tee`) a bar would be a mess of control characters: plain lines instead.
LINE_EVERY_SECONDS = 15.0


@dataclass
class PlainBar:
    """Progress that is told in lines.

    Time left is reckoned from the first step on: what is prepared before it (a world, a model) is done once.
    """

    description: str
    total: int
    last_line: float  # seconds of the clock
    done: int = 0
    first: tuple[float, int] | None = None  # when the first steps were done, and how many

    def advance(self, steps: int, now: float) -> None:
        self.done += steps
        if self.first is None:
            self.first = (now, self.done)

    def line(self, now: float) -> str:
        """`training sft 46/1000, 986 s left`; no time before there is a rate."""
        start, before = self.first or (now, self.done)
        if self.done == before:
            return f"  {self.description} {self.done}/{self.total}"
        left = (now - start) / (self.done - before) * (self.total - self.done)
        return f"  {self.description} {self.done}/{self.total}, {left:.0f} s left"


class TerminalProgress:
    """Rich bars on a terminal; one plain line now and then elsewhere."""

    def __init__(self) -> None:
        self.bars = Progress(
            TextColumn("  {task.description}"), BarColumn(bar_width=28), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
            console=console, transient=True,
        )  # fmt: skip
        self.plain: dict[int, PlainBar] = {}

    def start(self, description: str, total: int) -> Any:
        if console.is_terminal:
            if not self.bars.live.is_started:
                self.bars.start()
            return self.bars.add_task(description, total=total, note="")
        plain = PlainBar(description, total, last_line=time.monotonic())
        self.plain[id(plain)] = plain
        return id(plain)

    def advance(self, bar: Any, steps: int, note: str) -> None:
        if console.is_terminal:
            self.bars.update(bar, advance=steps)
            if note:
                self.bars.update(bar, note=note)
            return
        plain, now = self.plain[bar], time.monotonic()
        plain.advance(steps, now)
        if now - plain.last_line >= LINE_EVERY_SECONDS:
            plain.last_line = now
            print(f"{plain.line(now)} {note}".rstrip(), file=sys.stderr, flush=True)

    def stop(self, bar: Any) -> None:
        if console.is_terminal:
            self.bars.remove_task(bar)
            if not self.bars.tasks:
                self.bars.stop()
        else:
            self.plain.pop(bar, None)


def seconds_text(seconds: float | None) -> str:
    """`42 s`, `3 min 05 s`, or `?` where nobody knows."""
    if seconds is None:
        return "?"
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def plan_view(stages: Sequence[PlannedStage]) -> Group:
    """The plan as a table and one line of sums."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("stage", "state", "fingerprint", "time", "memory", "changed against the nearest finished one"):
        table.add_column(column, overflow="fold")
    colour = {"cached": "green", "resumable": "yellow", "to run": "cyan"}
    for planned in stages:
        memory = "" if not planned.peak_bytes else f"{planned.peak_bytes / 2**20:.0f} MB"
        changes = "; ".join(planned.changes[:3]) + (
            f"; and {len(planned.changes) - 3} more" if len(planned.changes) > 3 else ""
        )
        time_text = "" if planned.state == "cached" else seconds_text(planned.seconds)
        state = Text(planned.state, style=colour[planned.state])
        table.add_row(planned.stage.label, state, planned.stage.fingerprint[:10], time_text, memory, changes)
    left = [planned for planned in stages if planned.state != "cached"]
    known = sum(planned.seconds or 0.0 for planned in left)
    unknown = sum(planned.seconds is None for planned in left)
    line = f"{len(left)} of {len(stages)} stages to run, about {seconds_text(known)}"
    line += f" and {unknown} not run here before" if unknown else ""
    return Group(table, Text(line, style="bold"))


def closing_panel(outcomes: Sequence[Outcome], table: Any, notes: Sequence[str], place: str, seconds: float) -> Panel:
    """What ran, what was reused, where things are, the table."""
    ran = [outcome for outcome in outcomes if outcome.computed]
    reused = len(outcomes) - len(ran)
    stages = Table(box=None, pad_edge=False, show_header=bool(ran), header_style="bold")
    for column in ("computed", "time", "CPU", "peak memory", ""):
        stages.add_column(column)
    for outcome in ran:
        m = outcome.manifest
        stages.add_row(
            outcome.stage.label, seconds_text(m["seconds"]), seconds_text(m["cpu_seconds"]),
            f"{m['peak_rss'] / 2**20:.0f} MB",
            "resumed" if outcome.resumed else "",
        )  # fmt: skip
    parts: list[Any] = [stages] if ran else []
    parts.append(Text(f"{len(ran)} stages computed, {reused} reused, {seconds_text(seconds)} in all"))
    if table is not None:
        parts += [Text(), table]
    parts += [Text(note, style="yellow") for note in notes]
    parts.append(Text(f"Run folder: {place}"))
    return Panel(Group(*parts), title="TagPR", border_style="green", expand=False)
