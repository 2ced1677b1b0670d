"""Reward weights under which each term decides a wanted share of the advantages.

    python experiments/reward_weights/propose.py runs/cache/rl_guided/<fingerprint> task=0.7 tag=0.1 prmu=0.2

Reads the first windows of an RL stage, when the policy is still (nearly) the SFT policy. Set once, on a world that no
table uses, and frozen in conf/reward/term/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tagpr.rl.rewards.shares import weights_from_rollouts
from tagpr.storage import read_rollouts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", type=Path, help="folder of a finished RL stage that pays every term")
    parser.add_argument("target", nargs="+", metavar="TERM=SHARE", help="wanted shares of the advantage variance")
    parser.add_argument("--windows", type=int, default=10, help="how many of the stage's first windows to read")
    arguments = parser.parse_args()
    target = {name: float(share) for name, share in (pair.split("=") for pair in arguments.target)}
    rollouts = read_rollouts(arguments.stage / "rollouts")
    steps = sorted({rollout.step for rollout in rollouts})[: arguments.windows]
    chosen = [rollout for rollout in rollouts if rollout.step in steps]
    weights = weights_from_rollouts(chosen, target)
    print(f"{len(chosen)} rollouts of {len(steps)} windows; shares {target}")
    for name, weight in weights.items():
        print(f"reward.terms.{name}.weight={weight:.3f}")


if __name__ == "__main__":
    main()
