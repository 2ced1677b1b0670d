"""Pictures of runs: how each stage learned, and what every row is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from tagpr.analysis.attribution import COLUMNS as EDIT_COLUMNS
from tagpr.analysis.attribution import AttributionBlock
from tagpr.analysis.comparison import Comparison
from tagpr.analysis.figures import RowFigures
from tagpr.analysis.panel import BEST, BLIND, GREEDY
from tagpr.analysis.runs import Artifact, Run
from tagpr.analysis.training_metrics import Series, read_metrics
from tagpr.chains.tags import TAGS
from tagpr.evaluation.attribution import NO_CHAIN
from tagpr.evaluation.attribution_effects import Effect, tag_name
from tagpr.evaluation.statistics import MIN_PEOPLE

DOTS_PER_INCH = 150
COLOURS = {"task": "tab:blue", "tag": "tab:orange", "prmu": "tab:green", "total": "black", "dev": "tab:red"}


def plot_training(run: Run, folder: Path) -> Path:
    """`training.png`: SFT's loss, PRMU's accuracy on people it knows and on new ones, RL's raw reward terms and its
    score on dev people, stage after stage."""
    path = max((row.stages for row in run.rows.values()), key=len)
    trained = [stage for stage in path if (stage.folder / "metrics.csv").is_file()]
    kinds = [
        ("sft", _draw_sft, [stage for stage in trained if stage.stage == "sft"]),
        ("prmu", _draw_prmu, [stage for stage in trained if stage.stage == "prmu"]),
        ("rl", _draw_rl, [stage for stage in trained if stage.stage.startswith("rl_")]),
    ]
    shown = [(draw, stages) for _, draw, stages in kinds if stages]
    figure = _figure(5.2 * max(len(shown), 1), 3.6)
    axes = figure.subplots(1, max(len(shown), 1), squeeze=False)
    for axis, (draw, stages) in zip(axes[0], shown, strict=False):
        draw(axis, stages)
        axis.set_xlabel("optimizer steps")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc="best")
    figure.suptitle(f"{run.experiment}, {run.run_name}, seed {run.seed}")
    return _save(figure, folder / "training.png")


def _draw(axis: Axes, series: Series | None, label: str, **style: object) -> None:
    if series:
        axis.plot(*zip(*series, strict=True), label=label, **style)  # type: ignore[arg-type]


def _draw_sft(axis: Axes, stages: Sequence[Artifact]) -> None:
    metrics = read_metrics(stages[0])
    axis.set_title("SFT: loss in nats per token")
    _draw(axis, metrics.get("sft/loss"), "train people", alpha=0.6)
    _draw(axis, metrics.get("sft/dev_loss"), "dev people", marker="o", markersize=3)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def _draw_prmu(axis: Axes, stages: Sequence[Artifact]) -> None:
    metrics = read_metrics(stages[0])
    axis.set_title("PRMU: whose answer is it?")
    for key, label in (("seen", "known people, new questions"), ("unseen", "new people")):
        swaps = metrics.get(f"prmu/{key}/swap_accuracy")
        _draw(axis, swaps, f"swap accuracy, {label}", marker="o", markersize=3)
    _draw(axis, metrics.get("prmu/accuracy"), "pair accuracy in training", alpha=0.4)
    axis.axhline(0.5, color="grey", linestyle="--", linewidth=1, label="chance")


def _draw_rl(axis: Axes, stages: Sequence[Artifact]) -> None:
    axis.set_title("RL: rewards per rollout, raw, and dev score", pad=14)
    axis.set_ylim(-0.02, 1.02)
    offset, named = 0.0, set[str]()

    def draw(series: Series | None, label: str, **style: object) -> None:
        shifted = [(step + offset, value) for step, value in series or ()]
        _draw(axis, shifted, "_" if label in named else label, **style)
        named.add(label)

    for stage in stages:
        metrics = read_metrics(stage)
        for term in ("task", "tag", "prmu"):
            draw(metrics.get(f"rl/reward/{term}"), f"R_{term}", color=COLOURS[term], alpha=0.7)
        draw(metrics.get("rl/rollout/parse_failures"), "parse failures", color="grey", linestyle=":")
        draw(metrics.get("rl/dev/score"), "greedy score, dev people", color=COLOURS["dev"], marker="o", markersize=3)
        if offset:
            axis.axvline(offset, color="grey", linewidth=1)
        axis.text(offset + 0.5, 1.01, stage.stage, transform=axis.get_xaxis_transform(), fontsize=7)
        offset += stage.counts.get("steps", 0)


def plot_scores(comparison: Comparison, figures: Sequence[RowFigures], path: Path) -> Path:
    """What every row is worth: gap closed on simulated people, the mean score on real ones, with 95 % intervals."""
    if comparison.simulated:
        rows = [(row.name, row.gap_closed.get(GREEDY), row) for row in figures if row.name not in (BLIND, BEST)]
        title = "Gap closed between history-blind (0) and best possible (1)"
    else:
        rows = [(row.name, row.scores.get(GREEDY), row) for row in figures]
        title = "Mean score over tasks"
    known = [(name, one, row) for name, one, row in rows if one is not None and math.isfinite(one.value)]
    figure = _figure(7, 1.2 + 0.38 * max(len(known), 1))
    axis = figure.subplots()
    for place, (_, one, row) in enumerate(known):
        trained = row.policy not in ("backbone", "reference")
        axis.barh(place, one.value, color="tab:blue" if trained else "lightgrey", height=0.65)
        if one.low is not None and one.high is not None:
            axis.hlines(place, one.low, one.high, color="black", linewidth=1.5)
            axis.vlines((one.low, one.high), place - 0.12, place + 0.12, color="black", linewidth=1.5)
    axis.set_yticks(range(len(known)), [name for name, _, _ in known])
    axis.invert_yaxis()
    if comparison.simulated:
        for end in (0.0, 1.0):
            axis.axvline(end, color="grey", linestyle="--", linewidth=1)
    seeds = len(comparison.seeds)
    axis.set_title(title, fontsize=10)
    covers = "people, not training" if seeds == 1 else "people and training"
    axis.set_xlabel(
        f"{comparison.title}: greedy; {seeds} replicate{'s' if seeds > 1 else ''}, 95 % over {covers}", fontsize=8
    )
    axis.grid(axis="x", alpha=0.3)
    return _save(figure, path)


def plot_attribution(blocks: Sequence[AttributionBlock], path: Path) -> Path:
    """What each step does for the answer: a panel per policy, a row per step, a column per edit; colour and upper
    figure are the share of answers changed, the lower one is the change in score. Grey: the edit does not apply, or to
    fewer than 20 questions."""
    used = {tag for block in blocks for tag in block.tags}
    tags = [tag for tag in (NO_CHAIN, *TAGS) if tag in used]
    across = min(len(blocks), 2)
    down = math.ceil(len(blocks) / across)
    figure = _figure(1.2 + 6.4 * across, 0.6 + (1.2 + 0.52 * len(tags)) * down)
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for empty in axes[len(blocks) :]:
        empty.set_axis_off()
    colours = colormaps["Blues"].with_extremes(bad="whitesmoke")
    for axis, block in zip(axes, blocks, strict=False):
        found = [[block.effect(tag, edit) for edit in EDIT_COLUMNS] for tag in tags]
        many = [[one is not None and one.questions >= MIN_PEOPLE for one in line] for line in found]
        grid = [
            [_mean(one, "changed") if enough else math.nan for one, enough in zip(line, flags, strict=True)]
            for line, flags in zip(found, many, strict=True)
        ]
        axis.imshow(grid, cmap=colours, vmin=0, vmax=1, aspect="auto")
        for y, line in enumerate(found):
            for x, one in enumerate(line):
                if one is None or not one.questions:
                    continue
                changed, score = _mean(one, "changed"), _mean(one, "score")
                below = "" if math.isnan(score) else f"\n{score:+.2f}"
                colour = "grey" if not many[y][x] else "white" if changed > 0.55 else "black"
                text = f"{changed:.0%}{below}" if many[y][x] else f"n={one.questions}"
                axis.text(x, y, text, ha="center", va="center", fontsize=7.5, color=colour)
        axis.set_xticks(
            range(len(EDIT_COLUMNS)), [name.replace(", ", ",\n") for name in EDIT_COLUMNS.values()], fontsize=7.5
        )
        axis.set_yticks(range(len(tags)), [tag_name(tag) for tag in tags], fontsize=8)
        axis.set_title(block.name, fontsize=10)
        for edge in (2.5, 5.5):  # fixed | rest written anew | early answers
            axis.axvline(edge, color="black", linewidth=1)
        axis.tick_params(length=0)
    figure.suptitle("Share of answers that an edit of each step changes; below it the change in score", fontsize=10)
    return _save(figure, path)


def _mean(effect: Effect | None, quantity: str) -> float:
    mean = effect.means.get(quantity) if effect else None
    return math.nan if mean is None else mean.value


def _figure(width: float, height: float) -> Figure:
    # Not through pyplot, whose choice of a display belongs to the caller: a notebook's plots must stay visible.
    return Figure(figsize=(width, height))


def _save(figure: Figure, path: Path) -> Path:
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    return path
