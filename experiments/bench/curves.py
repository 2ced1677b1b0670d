"""How our GRPO step's cost grows: with the prompt, the completion, the group and the model. TRL is not asked.

    python -m experiments.bench.curves --curves prompt,group

Prints one JSON line per point: median seconds of rollout and update, tokens per second, and seconds per completion.
Each curve moves one thing away from 1.6M parameters, P 512, C 96, G 8.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from experiments.bench.bodies import arguments, report, settle
from experiments.bench.grpo_step import Case, Phases, our_training
from experiments.bench.turns import Side

MIDDLE: dict[str, Any] = {"size": "1.6M", "prompt": 512, "completion": 96, "group": 8}
CURVES: dict[str, list[Any]] = {
    "prompt": [256, 512, 1024, 2048],
    "completion": [32, 64, 128, 256],
    "group": [2, 4, 8, 16],
    "size": ["1.0M", "1.6M", "10M", "30M"],
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--curves", default=",".join(CURVES), help="some of %(default)s")
    parser.add_argument("--prompts", type=int, default=4, help="per step (default: %(default)s)")
    given = parser.parse_args()
    settle(given)
    for curve in given.curves.split(","):
        if curve not in CURVES:
            parser.error(f"--curves has {curve!r}, expected some of {', '.join(CURVES)}")
        for value in CURVES[curve]:
            wanted = MIDDLE | {curve: value}
            rows = given.prompts * wanted["group"]
            case = Case(prompts=given.prompts, micro_batch_tokens=4096, their_rows=rows, **wanted)
            figures = point(case, warmup=given.warmup, steps=given.pairs, threads=given.threads)
            report(f"curves/{curve}/{value}", figures, threads=given.threads)


def point(case: Case, *, warmup: int, steps: int, threads: int) -> dict[str, float]:
    """Medians over some steps of one size."""
    phases, total, rollout = Phases(), [], []
    with tempfile.TemporaryDirectory() as folder:
        train = our_training(case, Path(folder, "ours"), phases, num_steps=warmup + steps + 1, threads=threads)
        side = Side("ours", train)
        side.start()
        for _ in range(warmup + steps):
            total.append(side.step().seconds)
            rollout.append(phases.take()["rollout"])
    total, rollout = total[warmup:], rollout[warmup:]
    update = [whole - part for whole, part in zip(total, rollout, strict=True)]
    rows = case.prompts * case.group
    middle = {
        "step": statistics.median(total),
        "rollout": statistics.median(rollout),
        "update": statistics.median(update),
    }
    return {
        **{f"{name}_s": round(seconds, 3) for name, seconds in middle.items()},
        "rollout_tokens_per_s": round(rows * case.completion / middle["rollout"]),
        "update_tokens_per_s": round(rows * case.completion / middle["update"]),
        "s_per_completion": round(middle["step"] / rows, 4),
    }


if __name__ == "__main__":
    main()
