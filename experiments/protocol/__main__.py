"""The confirmatory study's seeds, its commands, and what departs from protocol.yaml in its runs."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.protocol.check import departures, disagreements
from experiments.protocol.commit import commit_of
from experiments.protocol.read import read_protocol
from tagpr.analysis.runs import find_runs
from tagpr.compose import composed
from tagpr.errors import UserError
from tagpr.run_folder import plain

ROOT = Path(__file__).parents[2]


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Returns 0; 1 where something departs from the protocol; 2 where it cannot be told."""
    parser = argparse.ArgumentParser(prog="python -m experiments.protocol", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("seeds", help="the replicates' seeds, drawn from the commit that last changed the protocol")
    commands = verbs.add_parser("commands", help="the study's command lines; nothing is started")
    commands.add_argument("runs", type=Path, help="the folder that runs will go to: best an empty one")
    check = verbs.add_parser("check", help="what departs from the protocol, line by line")
    check.add_argument("runs", type=Path, help="the folder that the runs went to")
    arguments = parser.parse_args(argv)
    try:
        if arguments.verb == "seeds":
            return _seeds(root)
        return (_commands if arguments.verb == "commands" else _check)(root, arguments.runs)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2


def _seeds(root: Path) -> int:
    for seed in commit_of(root).seeds(read_protocol(root).replicates):
        print(seed)
    return 0


def _commands(root: Path, runs: Path) -> int:
    """One line per replicate: each can go to another machine, and the same line goes on after a kill."""
    protocol, commit = read_protocol(root), commit_of(root)

    found = disagreements(protocol, lambda arm: settings_of(protocol.experiment, arm))
    if found:
        print(f"These runs would depart from the protocol of {commit.sha[:12]}:", *found, sep="\n", file=sys.stderr)
        return 1
    print(f"# {commit.sha}, {commit.time.isoformat()}")
    for seed in commit.seeds(protocol.replicates):
        arms = ",".join(protocol.arms)
        print(shlex.join(["tagpr", "-m", f"experiment={protocol.experiment}", f"ablation={arms}", f"seed={seed}",
                          f"paths.runs={runs}"]))  # fmt: skip
    print(shlex.join(["python", "-m", "experiments.protocol", "check", str(runs)]))
    print(shlex.join(["tagpr-table", str(runs / protocol.experiment)]))
    return 0


def settings_of(experiment: str, arm: str) -> dict[str, Any]:
    """The settings of one arm as they would run now."""
    return plain(composed([f"experiment={experiment}", f"ablation={arm}"]))


def _check(root: Path, runs: Path) -> int:
    protocol, commit = read_protocol(root), commit_of(root)
    seeds = commit.seeds(protocol.replicates)
    found = departures(protocol, commit, seeds, find_runs(runs))
    about = (
        f"Protocol of {commit.sha[:12]} ({commit.time.isoformat()}); arms: {len(protocol.arms)}; replicates: "
        f"{len(seeds)}; contrasts: {len(protocol.contrasts)}; primary figure: {protocol.primary}, "
        f"{protocol.decoding['primary']}."
    )
    print(about, *found, f"{len(found) or 'No'} departure{'' if len(found) == 1 else 's'}.", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
