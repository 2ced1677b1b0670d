"""Where RL's arms end, whether tags survive, what was clipped; and their curves as a picture.

python -m experiments.rl_curves.table FOLDER [--picture curves.png] > tables.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.rl_curves.read import FULL, GUIDED, SFT, Arm, arms_in
from experiments.world_learning.figures import BEST, BLIND, GAP, MEAN, SCORE, lead, scores, text
from experiments.world_learning.read import Answer
from tagpr.analysis.clipped import NOT_TESTED
from tagpr.analysis.text_tables import pipe_table
from tagpr.analysis.training_metrics import Series
from tagpr.errors import UserError

ARMS = (GUIDED, FULL, "exploratory_only", "single_stage", "no_tag_reward", "no_prmu", "rejection_sampling")
LOSS, WEIGHT = "loss_", "beta_"
DEV_SCORE, DEV_TAGS, TASK = "rl/dev/score", "rl/dev/g_tags", "rl/reward/task"
SMOOTHED = 9  # windows in the running mean of noisy curves


def arms_section(arms: Mapping[str, Arm]) -> list[str]:
    """Each arm against SFT and against the whole method, paired by question."""
    shown = [arms[name] for name in ARMS if name in arms]
    if not shown:
        return []
    sft = arms[SFT].answers()
    own = scores(sft)
    rows = [(SFT, str(len(arms[SFT].rows)), "0", text(own[SCORE, MEAN]), text(own[GAP, MEAN]), *["-"] * 6)]
    for arm in shown:
        answers = arm.answers()
        found = scores(answers)
        against = (
            arms[FULL] if FULL in arms and arm.name != FULL and arm.rows.keys() <= arms[FULL].rows.keys() else None
        )
        rows.append(
            (
                arm.name, str(len(arm.rows)), str(arm.steps), text(found[SCORE, MEAN]), text(found[GAP, MEAN]),
                text(lead(answers, _of(sft, arm.rows))[SCORE, MEAN], "+"),
                text(lead(answers, _of(against.answers(), arm.rows))[SCORE, MEAN], "+") if against else "-",
                _share(arm.first(DEV_TAGS)), _share(arm.last(DEV_TAGS)), _share(arm.last("rl/dev/parse_failures")),
                f"{arm.cpu_seconds:.0f}",
            )
        )  # fmt: skip
    head = (
        "arm", "seeds", "RL steps", "score", "gap closed", "minus SFT", "minus full", "tags at first", "tags at last",
        "unread", "RL CPU s",
    )  # fmt: skip
    lines = ["## Arms", "", *pipe_table(head, rows), ""]
    seeds = sorted(arms[SFT].rows)
    each = [(arm.name, *(_score_of_seed(arm, seed) for seed in seeds)) for arm in (arms[SFT], *shown)]
    return [*lines, "Score by seed:", "", *pipe_table(("arm", *map(str, seeds)), each), ""]


def tasks_section(arms: Mapping[str, Arm]) -> list[str]:
    """Where a gain comes from: scores by task beside what ignores the person and what can be known, and gains."""
    shown = [arms[name] for name in ARMS if name in arms]
    if not shown:
        return []
    sft = arms[SFT].answers()
    own = scores(sft)
    tasks = sorted({one.task for one in sft})
    rows = [(name, *(text(own[figure, task]) for task in tasks)) for name, figure in (("blind", BLIND), (SFT, SCORE))]
    gains = []
    for arm in shown:
        answers = arm.answers()
        found, gained = scores(answers), lead(answers, _of(sft, arm.rows))
        rows.append((arm.name, *(text(found[SCORE, task]) for task in tasks)))
        gains.append((arm.name, *(text(gained[SCORE, task], "+") for task in tasks)))
    rows.append(("bayes", *(text(own[BEST, task]) for task in tasks)))
    return [
        "## Score by task", "", *pipe_table(("arm", *tasks), rows), "",
        "Minus SFT:", "", *pipe_table(("arm", *tasks), gains), "",
    ]  # fmt: skip


def losses_section(arms: Mapping[str, Arm]) -> list[str]:
    """The loss variants, and whether the run could tell them apart at all."""
    shown = [arm for name, arm in arms.items() if name.startswith(LOSS)]
    if not shown:
        return []
    base = arms.get(f"{LOSS}grpo")
    rows = []
    for arm in shown:
        low, high = arm.mean("rl/policy/clip_low") or 0.0, arm.mean("rl/policy/clip_high") or 0.0
        answers = arm.answers()
        rows.append(
            (
                arm.name.removeprefix(LOSS), f"{low:.2%}", f"{high:.2%}", "" if low + high else NOT_TESTED,
                text(scores(answers)[SCORE, MEAN]),
                text(lead(answers, base.answers())[SCORE, MEAN], "+") if base and base is not arm else "-",
                _share(arm.last(DEV_TAGS)),
            )
        )  # fmt: skip
    head = ("loss", "clipped below", "clipped above", "", "score", "minus grpo", "tags at last")
    return ["## Losses, four updates per window", "", *pipe_table(head, rows), ""]


def weights_section(arms: Mapping[str, Arm]) -> list[str]:
    """Score and intact tags over beta (rows) and gamma (columns)."""
    found = {
        (arm.settings["weight_tag"], arm.settings["weight_prmu"]): arm
        for name, arm in arms.items()
        if name.startswith(WEIGHT)
    }
    if not found:
        return []
    betas, gammas = (sorted({key[place] for key in found}) for place in (0, 1))
    rows = []
    for beta in betas:
        cells = []
        for gamma in gammas:
            arm = found.get((beta, gamma))
            cells.append(
                f"{text(scores(arm.answers())[SCORE, MEAN])}, tags {_share(arm.last(DEV_TAGS))}" if arm else "-"
            )
        rows.append((f"beta {beta:g}", *cells))
    table = pipe_table(("", *(f"gamma {gamma:g}" for gamma in gammas)), rows)
    return ["## Weights of the tag reward (beta) and of PRMU (gamma)", "", *table, ""]


def draw(arms: Mapping[str, Arm], path: Path) -> None:
    """Curves of the arms: mean over seeds, each seed thin."""
    shown = [arms[name] for name in ARMS if name in arms and name != GUIDED]
    figure = Figure(figsize=(13.5, 4.0), layout="constrained")
    axes = figure.subplots(1, 3)
    panels: Sequence[tuple[Axes, str, str, int]] = (
        (axes[0], DEV_SCORE, "greedy score, dev people", 1),
        (axes[1], DEV_TAGS, "share of dev chains with intact tags", 1),
        (axes[2], TASK, f"R_task of rollouts, mean of {SMOOTHED} windows", SMOOTHED),
    )
    for axis, metric, title, window in panels:
        for number, arm in enumerate(shown):
            curves = [_smooth(series, window) for series in arm.curve(metric).values() if series]
            if not curves:
                continue
            for series in curves:
                axis.plot(*zip(*series, strict=True), color=f"C{number}", alpha=0.25, linewidth=0.8)
            mean = [(steps[0][0], fmean(value for _, value in steps)) for steps in zip(*curves, strict=False)]
            axis.plot(*zip(*mean, strict=True), color=f"C{number}", label=arm.name, linewidth=1.8)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("RL optimizer steps")
        axis.grid(alpha=0.3)
    if FULL in arms:  # where its guided stage ends
        guided = next(iter(arms[FULL].rows.values())).rl_stages[0]
        for axis in axes:
            axis.axvline(guided.counts["steps"], color="grey", linewidth=1, linestyle=":")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(shown), fontsize=9)
    figure.savefig(path, dpi=150)


def _smooth(series: Series, window: int) -> Series:
    values = [value for _, value in series]
    return [
        (step, fmean(values[max(0, place - window + 1) : place + 1]))
        for place, (step, _) in enumerate(series)
        if place + 1 >= window
    ]


def _of(answers: Sequence[Answer], seeds: Collection[int]) -> list[Answer]:
    return [one for one in answers if one.seed in seeds]


def _score_of_seed(arm: Arm, seed: int) -> str:
    if seed not in arm.rows:
        return "-"
    return f"{scores(_of(arm.answers(), {seed}))[SCORE, MEAN].value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


NOTE = (
    "All on dev people, greedy; score: mean over tasks. In brackets 95 % over seeds and people (one seed: over "
    "people, which says nothing of another training run). Tags: share of 160 dev chains whose tags are closed, known, "
    "not nested and hold nine tenths of the chain; at first: at the first validation. Clipped: share of "
    "tokens (gspo: sequences) beyond the clip range, mean over updates."
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where run.sh put the runs")
    parser.add_argument("--picture", type=Path, help="where the curves go")
    asked = parser.parse_args()
    try:
        arms = arms_in(asked.folder / "rl_curves")
        sections = [*arms_section(arms), *tasks_section(arms), *losses_section(arms), *weights_section(arms)]
        if asked.picture:
            draw(arms, asked.picture)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join([*sections, NOTE]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
