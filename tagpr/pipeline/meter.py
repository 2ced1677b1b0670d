"""What a stage has cost: wall time, CPU time, peak memory, over all the processes and all the runs that it took."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import threading
import time
from pathlib import Path
from types import TracebackType

from tagpr.storage import read_json, write_json

NAME = "spent.json"
SECONDS_BETWEEN_NOTES = 5.0


class Meter:
    """Runs while a stage is computed: `with Meter(work) as meter: ...; meter.read()`.

    A stage that is killed and goes on later has cost what both runs did, what was lost between the last checkpoint and
    the kill included; so the sum is noted in the work folder every few seconds.

    Args:
        work: the stage's work folder; a note that an earlier run left there is what the sum starts from.
    """

    def __init__(self, work: Path) -> None:
        self.note = work / NAME
        self.earlier = {"seconds": 0.0, "cpu_seconds": 0.0, "peak_rss": 0, "runs": 0}
        with contextlib.suppress(OSError, ValueError, TypeError):  # none, or one that the disk has damaged
            self.earlier |= read_json(self.note)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._keep_noting, daemon=True)

    def __enter__(self) -> Meter:
        # Linux: start the peak anew, else every stage would inherit the largest stage before it.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self.wall, self.cpu = time.monotonic(), _cpu_seconds()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()

    def read(self) -> dict[str, float]:
        """seconds, cpu_seconds (all threads of all processes), peak_rss (bytes, of the process that leads), and the
        runs that these count."""
        return {
            "seconds": round(self.earlier["seconds"] + time.monotonic() - self.wall, 3),
            "cpu_seconds": round(self.earlier["cpu_seconds"] + _cpu_seconds() - self.cpu, 3),
            "peak_rss": max(int(self.earlier["peak_rss"]), _peak_rss()),
            "runs": int(self.earlier["runs"]) + 1,
        }

    def _keep_noting(self) -> None:
        left = False
        while not left:
            left = self._left.wait(SECONDS_BETWEEN_NOTES)
            with contextlib.suppress(OSError):  # a full disk is the stage's to report
                write_json(self.note, self.read())


def _cpu_seconds() -> float:
    """Of this process, of helpers that have ended, and of those that are at work."""
    ended = os.times()
    at_work = [child.pid for child in multiprocessing.active_children() if child.pid is not None]
    return time.process_time() + ended.children_user + ended.children_system + sum(map(_cpu_of, at_work))


def _cpu_of(process: int) -> float:
    """CPU seconds of a living process; 0 where only Linux could tell, so that it is counted when it has ended."""
    try:
        # The name in parentheses may hold spaces; user and system time are the 14th and 15th field.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_rss() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
