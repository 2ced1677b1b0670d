"""Several processes that train one stage together: this one is rank 0, the others are started here and only help.

Lightning would start the whole command once more per rank; ours go straight to the stage, so locks, the plan and the
run folder stay one process's matter.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tagpr.context import RankDone, StageContext, StopRequested
from tagpr.errors import UserError

# What a rank is given to fail by itself, with a better message, when another has died.
GRACE_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class HelperTask:
    """What a helper runs: the stage's own function. It pickles."""

    entry: str  # module with the stage's `run`
    groups: Mapping[str, Any]  # keyword -> config node
    inputs: Mapping[str, Path]
    checkpoints: Path
    stage: str
    seed: int


@contextmanager
def helpers(task: HelperTask, *, number: int, build: Callable[[Any], Any]) -> Iterator[None]:
    """Inside, this process is rank 0 of `number`, and the others run `task` until training is done.

    Args:
        build: makes the object of a config node; a module's function, so that it pickles.
    """
    if number == 1:
        yield
        return
    # One machine: the loopback is there also where the host's own name leads nowhere.
    ours = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "NODE_RANK": "0"}
    if sys.platform == "linux":
        ours["GLOO_SOCKET_IFNAME"] = "lo"
    before = {name: os.environ.get(name) for name in (*ours, "LOCAL_RANK")}
    os.environ |= ours
    spawn = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = []
    finished = threading.Event()
    try:
        for rank in range(1, number):
            os.environ["LOCAL_RANK"] = str(rank)  # read when Lightning is imported, so it must be there at the start
            processes.append(spawn.Process(target=_help, args=(task, rank, build), daemon=True))
            processes[-1].start()
        os.environ["LOCAL_RANK"] = "0"
        threading.Thread(target=_watch, args=(task.stage, processes, finished), daemon=True).start()
        yield
    finally:
        finished.set()
        for process in processes:
            process.kill()  # done, or waiting for a rank that has left
            process.join()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _watch(stage: str, processes: list[BaseProcess], finished: threading.Event) -> None:
    """A rank that has died leaves the others waiting in a call that nothing can interrupt: end them."""
    while not finished.wait(0.5):
        dead = [rank for rank, process in enumerate(processes, 1) if process.exitcode not in (None, 0)]
        if dead and not finished.wait(GRACE_SECONDS):
            print(
                f"Error: rank {dead[0]} of {stage} ended with exit code {processes[dead[0] - 1].exitcode}, and the "
                "others cannot go on without it. Checkpoints are kept; the same command goes on from the last.",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            os._exit(1)


def _help(task: HelperTask, rank: int, build: Callable[[Any], Any]) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # rank 0 hears them and tells the others at the end of a step
    warnings.simplefilter("ignore")  # rank 0 says it
    context = StageContext(stage=task.stage, seed=task.seed, checkpoints=task.checkpoints, rank=rank)
    with tempfile.TemporaryDirectory() as output:
        try:
            parts = {name: build(node) for name, node in task.groups.items()}
            importlib.import_module(task.entry).run(**parts, inputs=task.inputs, output=Path(output), context=context)
        except RankDone:
            return
        except (StopRequested, UserError):  # the same on every rank; rank 0 reports it
            time.sleep(GRACE_SECONDS)
            sys.exit(1)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
