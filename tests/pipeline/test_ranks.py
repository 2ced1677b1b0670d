"""Helpers run the stage's own function, leave with training or with rank 0, and are missed when they die."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

# A room whose ranks write down what they were given: no torch, so a process starts at once.
ROOM = """
import os
import time

from tagpr.context import RankDone


def run(*, settings, inputs, output, context):
    note = inputs["notes"] / f"unfinished_{context.rank}"
    note.write_text(
        f"{settings} {os.environ['LOCAL_RANK']} {os.environ['MASTER_PORT']} {context.seed} {output.is_dir()}"
    )
    note.rename(inputs["notes"] / f"rank_{context.rank}")  # whole once it is seen: helpers are ended soon after
    if settings == "dies" and context.rank:
        os._exit(7)
    if settings in ("waits", "dies"):
        time.sleep(60)
    if context.rank:
        raise RankDone
    return {}


def build(node):
    return node
"""
MAIN = """
import sys
from pathlib import Path

import made_up_room
from tagpr.context import StageContext
from tagpr.pipeline import ranks

if __name__ == "__main__":
    settings, notes = sys.argv[1], Path(sys.argv[2])
    ranks.GRACE_SECONDS = 0.2
    task = ranks.HelperTask(
        entry="made_up_room", groups={"settings": settings}, inputs={"notes": notes}, checkpoints=notes / "ckpt",
        stage="sft", seed=5,
    )
    with ranks.helpers(task, number=3, build=made_up_room.build):
        context = StageContext(stage="sft", seed=5, checkpoints=notes / "ckpt")
        made_up_room.run(settings=settings, inputs={"notes": notes}, output=notes, context=context)
        while len(list(notes.glob("rank_*"))) < 3:
            pass
    print("done", "LOCAL_RANK" in __import__("os").environ)
"""


@pytest.fixture
def start(tmp_path: Path):
    (tmp_path / "made_up_room.py").write_text(ROOM)
    (tmp_path / "main.py").write_text(MAIN)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}

    def run(settings: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(tmp_path / "main.py"), settings, str(tmp_path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    return run


def notes(folder: Path, number: int) -> list[str]:
    deadline = time.monotonic() + 60
    while len(found := sorted(folder.glob("rank_*"))) < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [path.read_text() for path in found]


def test_every_rank_runs_the_stage_and_the_environment_is_put_back(start, tmp_path):
    printed, complaints = start("works").communicate(timeout=60)
    assert printed == "done False\n", complaints
    assert complaints == ""
    written = [note.split() for note in notes(tmp_path, 3)]
    assert [note[1] for note in written] == ["0", "1", "2"]
    assert len({note[2] for note in written}) == 1  # they meet at one port
    assert {(note[0], note[3], note[4]) for note in written} == {("works", "5", "True")}


def test_helpers_leave_when_rank_0_is_killed(start, tmp_path):
    process = start("waits")
    notes(tmp_path, 3)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a helper outlives the process that it helps"
        time.sleep(0.05)


def test_a_dead_helper_ends_the_others_with_a_message(start):
    process = start("dies")
    _, complaints = process.communicate(timeout=50)
    assert process.returncode == 1
    assert (
        "Error: rank 1 of sft ended with exit code 7" in complaints
        or "rank 2 of sft ended with exit code 7" in complaints
    )
    assert "the same command goes on from the last" in complaints
