"""How many SFT steps an arm gets for the CPU time that another arm's SFT took.

steps = steps of the arm * CPU-seconds of the reference / CPU-seconds of the arm, both as measured: model loading and
validation count with the steps that they come with.

python -m experiments.world_learning.equal_compute RUNS ARM [--reference tagged] [--seed 0]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from experiments.world_learning.read import COMPUTE, POLICY, run_named, stage_of
from tagpr.analysis.runs import Artifact
from tagpr.errors import UserError


def equal_steps(arm: Artifact, reference: Artifact) -> int:
    """Steps of the arm that take the reference's CPU time, at least one.

    Raises:
        UserError: one of them went on after a kill, so that its CPU time is known from there only.
    """
    for one in (arm, reference):
        if one.manifest.get("resumed"):
            raise UserError(
                f"{one.folder} went on after it was stopped, and its CPU time counts from there only. Remove that "
                "folder and run the same command again."
            )
    return max(1, round(arm.counts["steps"] * reference.manifest["cpu_seconds"] / arm.manifest["cpu_seconds"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", type=Path, help="where the runs are")
    parser.add_argument("arm", help="run name of the arm whose steps are asked for")
    parser.add_argument("--reference", default="tagged", help="run name of the arm whose time it gets")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    try:
        arm, reference = (
            stage_of(run_named(asked.runs, COMPUTE, name, asked.seed).rows[POLICY], "sft")
            for name in (asked.arm, asked.reference)
        )
        print(equal_steps(arm, reference))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
