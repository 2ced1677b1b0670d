"""Every bar against TRL, one process per case, one JSON line per case.

    python -m experiments.bench.run            # about ten minutes on two quiet cores
    python -m experiments.bench.run --only sft # the cases whose name has this in it

Each line of a case has the median of paired ratios (TRL's seconds over ours), their range, both medians, the CPU
seconds per second by the clock of both sides and the load of the machine: a figure from a busy machine says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

# Name -> module and arguments. Memory is measured with one side alone in its process.
CASES: dict[str, list[str]] = {
    # TRL goes fastest with 16 of the 64 rows at a time where they are short, and with all where they are long.
    "grpo_p200": ["grpo_step", "--their-rows", "16"],
    "grpo_p1024": ["grpo_step", "--prompt", "1024", "--completion", "128", "--prompts", "4", "--pairs", "3"],
    # What experiment=demo asks and gets: prompts of some 120 tokens, chains of some 60, the tiny base's shape.
    "grpo_demo": ["grpo_step", "--size", "1.0M", "--prompt", "123", "--completion", "58", "--their-rows", "16"],
    "sft_completions": ["sft_step"],
    "sft_all": ["sft_step", "--loss-on", "all"],
    # Two chains of each prompt, as the SFT stage's records have.
    "sft_two_chains": ["sft_step", "--chains", "2"],
    "sft_demo": [
        "sft_step",
        "--chains",
        "2",
        "--size",
        "1.0M",
        "--rows",
        "24",
        "--tokens",
        "181",
        "--prompt-share",
        ".68",
    ],
    "reward_model": ["reward_model"],
    # What PRMU training does, against a reward model that sees no person, and one that reads the history as text.
    "prmu_pairs": ["prmu_pairs"],
    "prmu_pairs_agnostic": ["prmu_pairs", "--ours", "agnostic"],
    "prmu_pairs_history": ["prmu_pairs", "--theirs", "history"],
    "memory_grpo_p200_ours": ["grpo_step", "--memory", "ours"],
    "memory_grpo_p200_ours_1024_tokens": ["grpo_step", "--memory", "ours", "--micro-batch-tokens", "1024"],
    "memory_grpo_p200_ours_4096_tokens": ["grpo_step", "--memory", "ours", "--micro-batch-tokens", "4096"],
    "memory_grpo_p200_theirs": ["grpo_step", "--memory", "theirs"],
    "memory_grpo_p200_theirs_16_rows": ["grpo_step", "--memory", "theirs", "--their-rows", "16"],
    "memory_grpo_p200_theirs_8_rows": ["grpo_step", "--memory", "theirs", "--their-rows", "8"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name has this in it: " + ", ".join(CASES))
    given, rest = parser.parse_known_args()
    chosen = {name: case for name, case in CASES.items() if given.only in name}
    if not chosen:
        parser.error(f"--only {given.only!r} is in no case's name, expected part of one of {', '.join(CASES)}")
    failed = []
    for name, (module, *options) in chosen.items():
        command = [sys.executable, "-m", f"experiments.bench.{module}", *options, *rest]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "2"})
        print(done.stdout, end="", flush=True)
        if done.returncode:
            failed.append(name)
            print(f"{name} failed: {' '.join(command)}\n{done.stderr[-1000:]}", file=sys.stderr)
    if failed:
        raise SystemExit(f"{len(failed)} of {len(chosen)} cases failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
