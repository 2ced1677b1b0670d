"""Where RL ends under each trial's dials: every run of run.sh against the SFT policy that it started from.

python -m experiments.rl_dials.table FOLDER > tables.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from experiments.rl_curves.read import SFT, Arm, last_row
from experiments.world_learning.figures import MEAN, SCORE, lead, scores, text
from experiments.world_learning.read import Answer, answers_of, arms_of
from tagpr.analysis.panel import GREEDY, SAMPLE
from tagpr.analysis.runs import Row
from tagpr.analysis.text_tables import pipe_table
from tagpr.errors import UserError

GUIDED = "rl_guided"
TASK, TAGS, ENTROPY = "rl/reward/task", "rl/rollout/g_tags", "rl/policy/entropy"


def trials_in(folder: Path) -> dict[str, dict[int, tuple[Mapping[str, Row], Row]]]:
    """run_name -> seed -> (the run's rows, the row of its last policy)."""
    return {
        name: {seed: (run.rows, last_row(run)) for seed, run in arm.runs.items()}
        for name, arm in arms_of(folder, "rl_dials").items()
    }


def gains(pairs: Mapping[int, tuple[Row, Row]], decoding: str) -> tuple[str, list[str], dict[str, float]]:
    """Last policy minus SFT, paired by question: over seeds with its interval, of each seed, of each task.

    Args:
        pairs: seed -> (policy, SFT).
    """
    first, second = ([*_answers(pairs, side, decoding)] for side in (0, 1))
    found = lead(first, second)
    each = [
        lead([*_answers({seed: pair}, 0, decoding)], [*_answers({seed: pair}, 1, decoding)])[SCORE, MEAN].value
        for seed, pair in sorted(pairs.items())
    ]
    tasks = {task: estimate.value for (_, task), estimate in found.items() if task != MEAN}
    return text(found[SCORE, MEAN], "+"), [f"{value:+.3f}" for value in each], tasks


def table(trials: Mapping[str, Mapping[int, tuple[Mapping[str, Row], Row]]]) -> list[str]:
    rows = []
    for name, seeds in trials.items():
        last = {seed: (row, own[SFT]) for seed, (own, row) in seeds.items()}
        guided = {seed: (own[GUIDED], own[SFT]) for seed, (own, _) in seeds.items() if GUIDED in own}
        greedy, each, tasks = gains(last, GREEDY)
        sampled, each_sampled, _ = gains(last, SAMPLE)
        arm = Arm(name=name, rows={seed: row for seed, (_, row) in seeds.items()}, settings={})
        rows.append(
            (
                name, " ".join(map(str, sorted(seeds))), greedy, " ".join(each),
                gains(guided, GREEDY)[0] if guided else "-", sampled, " ".join(each_sampled),
                ", ".join(f"{task} {value:+.3f}" for task, value in tasks.items()),
                _ends(arm, ENTROPY), _ends(arm, TAGS), _ends(arm, TASK), f"{arm.cpu_seconds:.0f}",
            )
        )  # fmt: skip
    head = (
        "trial", "seeds", "greedy minus SFT", "by seed", "after guided", "T=1 minus SFT", "by seed", "greedy by task",
        "entropy", "intact tags", "R_task of rollouts", "RL CPU s",
    )  # fmt: skip
    return pipe_table(head, rows)


def starts(trials: Mapping[str, Mapping[int, tuple[Mapping[str, Row], Row]]]) -> list[str]:
    """What each seed's SFT scores: what all trials of that seed start from."""
    by_seed: dict[int, Row] = {}
    for seeds in trials.values():
        for seed, (rows, _) in seeds.items():
            by_seed.setdefault(seed, rows[SFT])
    rows = []
    for seed, row in sorted(by_seed.items()):
        found, sampled = (scores(answers_of(row.evaluations[name], seed=seed)) for name in (GREEDY, SAMPLE))
        by_task = ", ".join(f"{t} {e.value:.3f}" for (f, t), e in found.items() if f == SCORE and t != MEAN)
        best, blind = found["best", MEAN].value, found["blind", MEAN].value
        rows.append(
            (str(seed), text(found[SCORE, MEAN]), text(sampled[SCORE, MEAN]), by_task, f"{blind:.3f}", f"{best:.3f}")
        )
    return pipe_table(("seed", "SFT, greedy", "SFT, T=1", "greedy by task", "blind", "Bayes"), rows)


def _ends(arm: Arm, metric: str) -> str:
    """First and last quarter of a metric's windows, mean over seeds."""
    first, last = [], []
    for series in arm.curve(metric).values():
        values = [value for _, value in series]
        if not values:
            return "-"
        quarter = max(1, len(values) // 4)
        first.append(fmean(values[:quarter]))
        last.append(fmean(values[-quarter:]))
    return f"{fmean(first):.2f} to {fmean(last):.2f}"


def _answers(pairs: Mapping[int, tuple[Row, Row]], side: int, decoding: str) -> Sequence[Answer]:
    """Of all seeds as one world: two or three worlds give no interval over worlds, so it is over people alone."""
    return [
        replace(one, seed=0, user=f"{seed} {one.user}", record_id=f"{seed} {one.record_id}")
        for seed, pair in pairs.items()
        for one in answers_of(pair[side].evaluations[decoding], seed=seed)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where run.sh put its runs")
    trials = trials_in(parser.parse_args(arguments).folder)
    if not trials:
        raise UserError("no finished run there. Run experiments/rl_dials/run.sh first.")
    print("\n".join([*starts(trials), "", *table(trials)]))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
