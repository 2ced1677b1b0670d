"""One Markdown row per (task, form) run of run.sh: people and questions per split, SFT, the last RL stage, references.

python experiments/lamp_forms/table.py runs/lamp_forms
"""

from __future__ import annotations

import sys
from pathlib import Path

from tagpr.analysis.runs import Evaluation, Run, find_runs
from tagpr.tasks import ALL_TASKS
from tagpr.types import SPLITS

HEADINGS = (
    "task", "form", "people train/dev/test", "questions train/dev/test", "metrics", "sft", "last RL stage",
    "always the majority", "parse failures sft, RL", "PRMU pairs", "gate",
)  # fmt: skip


def numbers(metrics: dict[str, float] | None) -> str:
    """A task's metrics in their own order; a dash where the task has no such row."""
    return "-" if metrics is None else ", ".join(f"{value:.3f}" for value in metrics.values())


def cells(run: Run) -> list[str]:
    """The row of one run, greedy decoding."""
    counts = run.records.counts
    (task,) = [name for name in ALL_TASKS if f"records_{name}" in counts]
    rows = {name: row.evaluations["greedy"] for name, row in run.rows.items()}
    last = run.rows[list(run.rows)[-1]]
    sft, final = (one.tasks[task] for one in (rows["sft"], rows[last.name]))
    majority = _references(rows["sft"], task).get("population_mode", {}).get("metrics")
    by_stage = {stage.stage: stage for stage in last.stages}
    pairs, prmu = (by_stage[name].counts for name in ("pairs", "prmu"))
    assert [stage.stage for stage in last.rl_stages] == ["rl_guided", "rl_exploratory"]
    return [
        task, run.run_name,
        "/".join(f"{counts[f'people_{split}']:g}" for split in SPLITS),
        "/".join(f"{counts[f'records_{split}']:g}" for split in SPLITS),
        ", ".join(sft["metrics"]), numbers(sft["metrics"]), numbers(final["metrics"]), numbers(majority),
        f"{sft['parse_failures']:.0%}, {final['parse_failures']:.0%}",
        f"{sum(value for name, value in pairs.items() if name.startswith('train_N')):g}",
        "met" if prmu.get("gate_met") else "not met",
    ]  # fmt: skip


def _references(evaluation: Evaluation, task: str) -> dict[str, dict[str, dict[str, float]]]:
    return evaluation.tasks[task]["references"]


def main() -> None:
    rows = [cells(run) for run in find_runs(Path(sys.argv[1]))]
    order = list(ALL_TASKS)
    rows.sort(key=lambda row: (order.index(row[0]), row[1] != "user"))
    for line in (HEADINGS, ["---"] * len(HEADINGS), *rows):
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    main()
