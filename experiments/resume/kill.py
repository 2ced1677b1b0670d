"""Kill -9 a training stage of the real command at random moments, let it go on, compare with an undisturbed run.

Each stage (sft, prmu, rl_guided) is trained once without a disturbance. Then, in a copy of the cache without it, the
same command is started again and again: each start is killed when its metrics show a step drawn at random, after a
random share of a second more, wherever it is then (start of a step, sampling, a checkpoint half written). After the
last kill it runs to its end. What must agree: sha256 of the final weights; every row of metrics.csv but speeds; every
rollout, each (step, question, sample) once and none missing.

    python experiments/resume/kill.py FOLDER                        # each start a process of its own
    python experiments/resume/kill.py FOLDER --fork                 # forks of one that has imported all: the fastest
    python experiments/resume/kill.py FOLDER --set trainer=cpu_ddp  # two processes per stage
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from tagpr.pipeline.graph import ENTRIES

# Small, but each stage passes its data more than once, and RL takes several steps from a window of rollouts.
SETTINGS = (
    "experiment=smoke",
    "rl=guided_only",
    "logger=none",
    "trainer.threads=1",
    "trainer.checkpoint_every=3",
    "sft.steps=36",
    "sft.batch_size=24",
    "prmu.steps=36",
    "prmu.blocks_per_step=8",
    "rl.steps=72",
    "rl.prompts_per_window=24",
    "rl.rollouts_per_prompt=2",
    "rl.updates_per_window=3",
    "rl.max_new_tokens=64",
    "rl.guard.max_truncated=1.0",
)
STAGES = ("sft", "prmu", "rl_guided")
WEIGHTS = {"sft": "policy", "prmu": "model", "rl_guided": "policy"}


@dataclass(frozen=True, kw_only=True)
class Result:
    """One stage, killed several times in one run."""

    stage: str
    run: int
    kills: int
    killed_after_step: list[int]  # last step in metrics.jsonl when the kill came
    resumed_from: list[int]  # step of the newest checkpoint then; 0: none yet
    steps: int
    same_weights: bool
    same_metrics: bool
    rollouts: int  # rows; 0 where the stage has none
    rollouts_expected: int
    rollouts_double: int
    same_rollouts: bool
    sha256: str  # of the final weights, first 16 digits


class Command:
    """`tagpr` with arguments, started and waited for.

    Args:
        overrides: further settings of every start.
        fork: a fork of this process calls the command's own `main`, imports made already.
    """

    def __init__(self, overrides: Sequence[str], *, fork: bool) -> None:
        self.overrides = overrides
        self.fork = fork
        if fork:
            import_everything()

    def start(self, runs: Path, *arguments: str) -> Started:
        given = [*SETTINGS, *self.overrides, f"paths.runs={runs}", *arguments]
        runs.mkdir(parents=True, exist_ok=True)
        log = runs / "printed.txt"
        if self.fork:
            process = multiprocessing.get_context("fork").Process(target=_main, args=(given, log))
            process.start()
            assert process.pid is not None
            return Started(pid=process.pid, log=log, poll=lambda: process.exitcode, wait=process.join)
        with open(log, "w") as file:
            spawned = subprocess.Popen([sys.executable, "-m", "tagpr.run", *given], stdout=file, stderr=file)
        return Started(pid=spawned.pid, log=log, poll=spawned.poll, wait=spawned.wait)

    def finish(self, runs: Path, *arguments: str) -> None:
        started = self.start(runs, *arguments)
        started.wait()
        if started.poll():
            sys.exit(f"{arguments} ended with {started.poll()}:\n{started.log.read_text()}")


@dataclass(frozen=True, kw_only=True)
class Started:
    pid: int
    log: Path  # what it prints
    poll: Callable[[], int | None]
    wait: Callable[[], object]


def import_everything() -> None:
    for name in ("tagpr.run", *ENTRIES.values(), "tagpr.console", "tagpr.run_folder"):
        importlib.import_module(name)


def _main(arguments: Sequence[str], log: Path) -> None:
    from tagpr.run import main

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["tagpr", *arguments]
    main()


def finished_folder(runs: Path, stage: str) -> Path:
    (manifest,) = (runs / "cache" / stage).glob("[0-9a-f]*/manifest.json")
    return manifest.parent


def sha256(folder: Path) -> str:
    """Of every weights file."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def metrics(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "metrics.csv")
    return table.drop(columns=[name for name in table if "speed" in str(name) or "per_second" in str(name)])


def rollouts(folder: Path) -> pd.DataFrame:
    files = sorted((folder / "rollouts").glob("*.parquet")) if (folder / "rollouts").is_dir() else []
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True) if files else pd.DataFrame()


def last_step(checkpoints: Path) -> int:
    rows = (checkpoints / "metrics.jsonl").read_text().splitlines() if (checkpoints / "metrics.jsonl").exists() else []
    for line in reversed(rows):
        try:
            return int(json.loads(line)["step"])
        except ValueError:  # the line being written
            continue
    return 0


def newest_checkpoint(checkpoints: Path) -> int:
    return max((int(path.stem.removeprefix("step_")) for path in checkpoints.glob("step_*.ckpt")), default=0)


def kill_at(command: Command, runs: Path, stage: str, *, step: int, delay: float) -> tuple[int, int]:
    """Start, kill once `step` is done and `delay` seconds have passed; (last step done, newest checkpoint) then."""
    started = command.start(runs, f"only={stage}")
    work = runs / "cache" / stage
    found: list[Path] = []
    while started.poll() is None:
        found = list(work.glob(".*.work/checkpoints"))
        if found and last_step(found[0]) >= step:
            break
        time.sleep(0.01)
    # The delay is a share of a step of the undisturbed run: on a machine that is quieter now it may outlast the stage.
    ends = time.monotonic() + delay
    while found and time.monotonic() < ends and started.poll() is None and last_step(found[0]) <= step + 1:
        time.sleep(0.01)
    if started.poll() is None:
        os.kill(started.pid, signal.SIGKILL)
    started.wait()
    if started.poll() != -signal.SIGKILL:
        printed = started.log.read_text()
        sys.exit(f"{stage} was to be killed after step {step}, but ended with {started.poll()}:\n{printed}")
    (checkpoints,) = work.glob(".*.work/checkpoints")
    return last_step(checkpoints), newest_checkpoint(checkpoints)


def disturbed(
    command: Command, whole: Path, folder: Path, stage: str, *, run: int, kills: int, draw: random.Random
) -> Result:
    """One run of `stage` with `kills` kills, compared with the undisturbed one."""
    runs = folder / f"{stage}_{run}"
    shutil.rmtree(runs, ignore_errors=True)
    shutil.copytree(whole / "cache", runs / "cache", symlinks=True)
    shutil.rmtree(runs / "cache" / stage)
    expected = finished_folder(whole, stage)
    steps = json.loads((expected / "manifest.json").read_text())["counts"]["steps"]
    seconds_per_step = json.loads((expected / "manifest.json").read_text())["seconds"] / steps
    done, resumed = [], []
    for step in sorted(draw.sample(range(1, steps - 2), kills)):
        at, checkpoint = kill_at(command, runs, stage, step=step, delay=draw.uniform(0.0, 1.5 * seconds_per_step))
        done.append(at)
        resumed.append(checkpoint)
        print(f"  {stage} run {run}: killed after step {at}, checkpoint {checkpoint}", file=sys.stderr, flush=True)
    command.finish(runs, f"only={stage}")
    found = finished_folder(runs, stage)
    ours, theirs = rollouts(found), rollouts(expected)
    keys = ["step", "record_id", "sample_index"]
    counts = json.loads((found / "manifest.json").read_text())["counts"]
    return Result(
        stage=stage,
        run=run,
        kills=kills,
        killed_after_step=done,
        resumed_from=resumed,
        steps=steps,
        same_weights=sha256(found / WEIGHTS[stage]) == sha256(expected / WEIGHTS[stage]),
        same_metrics=metrics(found).equals(metrics(expected)),
        rollouts=len(ours),
        rollouts_expected=counts.get("rollouts", 0),
        rollouts_double=int(ours.duplicated(keys).sum()) if len(ours) else 0,
        same_rollouts=ours.equals(theirs),
        sha256=sha256(found / WEIGHTS[stage])[:16],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where runs are kept")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--runs", type=int, default=4, help="runs of each stage (default 4)")
    parser.add_argument("--kills", type=int, default=5, help="kills in each run (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of the command")
    parser.add_argument("--fork", action="store_true", help="fork instead of starting anew")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    whole = arguments.folder / "whole"
    command = Command(arguments.set, fork=arguments.fork)
    command.finish(whole, "until=rl_guided")
    results = []
    for stage in arguments.stages:
        for run in range(arguments.runs):
            result = disturbed(command, whole, arguments.folder, stage, run=run, kills=arguments.kills, draw=draw)
            results.append(result)
            print(json.dumps(asdict(result)), flush=True)
    exact = all(r.same_weights and r.same_metrics and r.same_rollouts and not r.rollouts_double for r in results)
    complete = all(r.rollouts == r.rollouts_expected for r in results)
    print(f"{sum(r.kills for r in results)} kills: " + ("all exact." if exact and complete else "NOT EXACT."))
    sys.exit(0 if exact and complete else 1)


if __name__ == "__main__":
    main()
