"""How our GRPO step's cost grows: with the prompt, the completion, the group and the model. TRL is not asked.

    python -m experiments.bench.curves --curves prompt,group --picture curves.png

Prints one JSON line per point: median seconds of rollout and update, tokens per second, and seconds per completion.
Each curve moves one thing away from 1.6M parameters, P 512, C 96, G 8.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

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
AXES = {
    "prompt": "tokens of a prompt",
    "completion": "tokens of a completion",
    "group": "completions of a prompt",
    "size": "million parameters",
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--curves", default=",".join(CURVES), help="some of %(default)s")
    parser.add_argument("--prompts", type=int, default=4, help="per step (default: %(default)s)")
    parser.add_argument("--picture", type=Path, help="where the curves go, drawn")
    given = parser.parse_args()
    settle(given)
    drawn: dict[str, dict[float, dict[str, float]]] = {}
    for curve in given.curves.split(","):
        if curve not in CURVES:
            parser.error(f"--curves has {curve!r}, expected some of {', '.join(CURVES)}")
        for value in CURVES[curve]:
            wanted = MIDDLE | {curve: value}
            rows = given.prompts * wanted["group"]
            case = Case(prompts=given.prompts, micro_batch_tokens=2048, their_rows=rows, **wanted)
            figures = point(case, warmup=given.warmup, steps=given.pairs, threads=given.threads)
            report(f"curves/{curve}/{value}", figures, threads=given.threads)
            drawn.setdefault(curve, {})[float(str(value).removesuffix("M"))] = figures
    if given.picture:
        draw(drawn, given.picture)


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


def draw(curves: Mapping[str, Mapping[float, Mapping[str, float]]], path: Path) -> None:
    """Seconds of a step, and of its two parts, along each curve; both axes logarithmic.

    Args:
        curves: name -> value -> figures of `point`.
    """
    figure = Figure(figsize=(3.6 * len(curves), 3.6), layout="constrained")
    axes = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axis, (curve, points) in zip(axes, curves.items(), strict=True):
        for part, style in (("step", "o-"), ("rollout", "s--"), ("update", "^--")):
            axis.plot(list(points), [figures[f"{part}_s"] for figures in points.values()], style, label=part)
        axis.set(xscale="log", yscale="log", xlabel=AXES[curve])
        axis.set_xticks(list(points), [f"{value:g}" for value in points])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    seconds = [0.5, 1, 2, 5, 10, 20]
    axes[0].set_yticks(seconds, [f"{value:g}" for value in seconds])
    axes[0].set_ylabel("seconds of a GRPO step")
    axes[0].legend(loc="upper left")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
