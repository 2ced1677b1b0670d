"""What has to be said beside a table: warnings that a reader must not miss, and what each column means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.analysis.contrasts import TIE_MARGIN, listed_pairs
from tagpr.analysis.figures import RowFigures, chosen_on_dev
from tagpr.analysis.leak_notes import leak_lines
from tagpr.analysis.ledger_notes import ledger_lines
from tagpr.analysis.memorisation import memorisation_lines
from tagpr.analysis.panel import BEST, BLIND, GREEDY, NUM_RESAMPLES
from tagpr.analysis.runs import Artifact, Evaluation, Row
from tagpr.analysis.teacher_notes import teacher_lines
from tagpr.evaluation.references import NAMES
from tagpr.evaluation.statistics import ALPHA, MIN_PEOPLE, MIN_REPLICATES
from tagpr.storage import read_json

MANY_FAILURES = 0.05


def warnings_of(comparison: Comparison, figures: Sequence[RowFigures]) -> list[str]:
    """What is wrong with, or missing from, the evidence of a table."""
    models = [row for row in figures if row.policy != "reference"]
    return [
        *_gate_warnings(comparison),
        *_people_warnings(models),
        *_fold_lines(comparison),
        *_failure_warnings(models),
        *_replicate_warnings(comparison, models),
        *_history_lines(comparison),
        *teacher_lines(comparison),
        *leak_lines(comparison),
        *memorisation_lines(comparison),
        *ledger_lines(comparison),
    ]


def prmu_stages(row: ComparedRow) -> list[Artifact]:
    """The reward models that a row's policy followed."""
    return [stage for own in row.by_seed.values() for stage in own.stages if stage.stage == "prmu"]


def gate_of(stage: Artifact) -> Mapping[str, Any] | None:
    """gate.json of a PRMU artifact; None where it has none."""
    path = stage.folder / "gate.json"
    return read_json(path) if path.is_file() else None


def fails_gate(row: ComparedRow) -> bool:
    """Whether a row's policy followed a reward model that did not pass its gate, in any replicate."""
    return any((gate := gate_of(stage)) is not None and not gate["met"] for stage in prmu_stages(row))


def _gate_warnings(comparison: Comparison) -> list[str]:
    stages = {
        (row.run_name, stage.fingerprint): (f"seed {seed}{place}", stage)
        for row in comparison.rows
        for seed, own in row.by_seed.items()
        for place, part in _by_fold(own)
        for stage in part.stages
        if stage.stage == "prmu"
    }
    lines = []
    for (run_name, _), (which, stage) in stages.items():
        gate = gate_of(stage)
        if gate is None or gate["met"]:
            continue
        parts = [
            f"{words} cannot be measured"
            if gate[key] is None
            else f"{words} {gate[key][figure]:.3f}, lower 95 % bound {gate[key]['lower']:.3f}, expected > {bound}"
            for key, words, figure, bound in (
                ("swap", "swap accuracy", "accuracy", "0.5"),
                ("best_of_n", "best-of-n gain over its user-blind twin", "gain_over_blind", "0"),
            )
            if gate[key] is None or not gate[key]["met"]
        ]
        lines.append(f"PRMU GATE NOT MET ({run_name}, {which}): {'; '.join(parts)}.")
    return lines


def _by_fold(row: Row) -> list[tuple[str, Row]]:
    return [(f", fold {fold}", part) for fold, part in row.folds.items()] or [("", row)]


def _fold_lines(comparison: Comparison) -> list[str]:
    """Who was tested where the people are divided into folds."""
    found = []
    for run in comparison.runs:
        if run.num_folds is None:
            continue
        one = next(iter(next(iter(run.rows.values())).evaluations.values()))
        people = len({(answer.task, answer.user_id) for answer in one.predictions})
        missing = [fold for fold in range(run.num_folds) if fold not in run.folds]
        if not missing:
            found.append(
                f"{run.num_folds} folds, {people} people: each was tested once, by policies that were trained without "
                "them. Costs are those of one fold on average."
            )
        else:
            tested = ", ".join(map(str, run.folds))
            found.append(
                f"Not everybody was tested: {people} people, fold {tested} of {run.num_folds}. For the rest run "
                f"data.fold={','.join(map(str, missing))} too."
            )
    return list(dict.fromkeys(found))


def _people_warnings(models: Sequence[RowFigures]) -> list[str]:
    few = [row for row in models if row.people < MIN_PEOPLE]
    if not few:
        return []
    people = max(row.people for row in few)
    if people == 0:
        return ["No golds: nothing is scored. The evaluate artifacts hold submission/<task>.json in LaMP's form."]
    who = "1 person" if people == 1 else f"{people} people"
    return [f"{who} (fewer than {MIN_PEOPLE}): values per person in per_person.md, no intervals."]


def _failure_warnings(models: Sequence[RowFigures]) -> list[str]:
    bad = [
        f"{row.name} {row.parse_failures[GREEDY]:.0%}"
        for row in models
        if row.parse_failures.get(GREEDY, 0.0) > MANY_FAILURES
    ]
    return [f"Greedy answers that could not be read: {', '.join(bad)}."] if bad else []


def _replicate_warnings(comparison: Comparison, models: Sequence[RowFigures]) -> list[str]:
    num = len(comparison.seeds)
    lines = []
    if num == 1:
        lines.append("One replicate: intervals cover people, not training. No claims.")
    elif num < MIN_REPLICATES:
        lines.append(f"{num} replicates: fewer than the {MIN_REPLICATES} that claims need. No claims.")
    if len({tuple(run.contrasts.values()) for run in comparison.runs}) > 1:
        lines.append("These runs were started under different evaluation.contrasts: no list was fixed, no claims.")
    missing = [f"{row.name} ({len(row.seeds)})" for row in models if len(row.seeds) < num]
    if missing:
        lines.append(f"Rows with fewer replicates than the table's {num}: {', '.join(missing)}.")
    parts = {row.name: [part for own in row.by_seed.values() for _, part in _by_fold(own)] for row in comparison.rows}
    mixed = [name for name, rows in parts.items() if len({_code(one.evaluations) for one in rows}) > 1]
    if mixed:
        lines.append(f"Replicates or folds that were computed by different versions of the code: {', '.join(mixed)}.")
    resumed = [row.name for row in models if row.spent is not None and row.spent.resumed]
    if resumed:
        lines.append(f"CPU-seconds count only since the last resume: {', '.join(resumed)}.")
    return lines


def _code(evaluations: Mapping[str, Evaluation]) -> str:
    # An evaluation's rooms hold those of every stage but the trainers'.
    return str(sorted((name, sorted(one.manifest.get("code", {}).items())) for name, one in evaluations.items()))


def _history_lines(comparison: Comparison) -> list[str]:
    """How much of real people's histories the prompts hold."""
    if comparison.simulated:
        return []
    lines = []
    for task in comparison.tasks:
        shown = [one.tasks[task]["history"] for one in comparison.ceilings.values() if task in one.tasks]
        mean = {name: fmean(each[name] for each in shown) for name in shown[0]}
        lines.append(
            f"{task}: of {mean['entries_in_profile']:.1f} entries per history {mean['entries_retrieved']:.1f} are "
            f"retrieved and {mean['entries_shown']:.1f} fit the token budget ({mean['entries_cut']:.1f} of them "
            f"shortened, {mean['entries_dropped']:.1f} dropped): {mean['characters_shown']:.1%} of its characters."
        )
    return lines


def definitions(comparison: Comparison, figures: Sequence[RowFigures], base: str | None) -> list[str]:
    """The meaning of every figure in a table."""
    names = [row.name for row in figures if row.policy == "reference"]
    lines = [
        "Columns named by a task: its official metric, greedy decoding, over all questions (lower is better for MAE "
        "and RMSE).",
        "Score: mean over tasks, each with the same weight, of the mean over its questions of the task's reward "
        "(exact label; 1 - |error| / 4; mean of ROUGE-1 and ROUGE-L), on strictly read answers; an unreadable answer "
        "is scored as the official evaluator does. `T=1`: sampled at temperature 1; of several samples the mean per "
        "question.",
    ]
    if comparison.simulated:
        lines += [
            f"Gap closed = (M - M_{BLIND}) / (M_{BEST} - M_{BLIND}), M the greedy score, a ratio of means over tasks: "
            "0 = knows nothing of the person, 1 = all there is to know. It is no share: it may be negative or exceed "
            "1, since golds are noisy and titles have a reference in place of an optimum. `mean of these` under By "
            "task is the mean of the tasks' ratios, in which a small gap weighs as much as a large one.",
            f"`{BLIND}` and `{BEST}` answer the same questions; `{BEST}` is given the history of the row whose prompts "
            "show the most of it, whatever the other rows are shown.",
            "The people are simulated: no figure here may be compared with, or averaged with, one on LaMP.",
        ]
    lines += [f"`{name}`: {NAMES[name]}." for name in names if not (comparison.simulated and name in (BLIND, BEST))]
    if base is not None:
        lines.append(
            f"Gain{' (in table.csv)' if comparison.simulated else ''}: score minus that of `{base}`, the best "
            "untrained row, both with answers read by the same lenient reader; the relative gain divides by the "
            "latter (a ratio of means over tasks; under By task each task's own ratio, and the mean of these where "
            "all are there), and is left out where that is within two standard errors of 0. The best untrained row is "
            "chosen on "
            + (
                "dev people, whom no table shows."
                if chosen_on_dev(comparison)
                else "the questions shown, which makes gains smaller on average, not larger."
            )
        )
    if any(task.startswith("LaMP") for task in comparison.tasks):
        lines.append(
            "The paper of the method (arXiv 2509.23140) claims a mean relative improvement of 32.65 % over its base "
            "model, on LaMP and a private data set; how its mean is formed is not known."
        )
    lines += [
        _interval_line(comparison),
        "Costs sum over every stage that made the policy, also where a stage was reused: distinct gold labels of "
        "train people that were looked at, RL optimizer steps, answers that PRMU judged during RL, CPU-seconds of all "
        "threads. Means over replicates; evaluation is not included.",
    ]
    return lines


def _interval_line(comparison: Comparison) -> str:
    """How the intervals were made, and what is drawn in them."""
    if len(comparison.seeds) == 1:
        return (
            f"Intervals: 95 %, percentiles of {NUM_RESAMPLES:,} resamples of people. They say nothing of other "
            "training runs."
        )
    drawn = (
        "replicates with their own people; t quantiles of replicates - 1 degrees of freedom"
        if comparison.simulated
        else "replicates, and of people, who are the same in every replicate; the variances add up, each with the t "
        "quantile of its own degrees of freedom"
    )
    return (
        f"Intervals: 95 %, standard errors from {NUM_RESAMPLES:,} resamples of {drawn}. In simulation they cover 92 to "
        "98 % with 10 replicates and with 3 (experiments/interval_coverage); with 3 they are wide, for three runs say "
        "little about runs."
    )


def contrast_definition(comparison: Comparison) -> str:
    """The meaning of the contrasts' columns."""
    found, listed = listed_pairs(comparison)
    people = (
        "" if comparison.simulated else ", and not below what the interval says, since replicates share their people"
    )
    missing = f" ({listed - len(found)} of them have no rows here and count as p = 1)" if len(found) < listed else ""
    family = f"Holm over the {listed} listed{missing}" if listed else "none was"
    return (
        "Difference of greedy scores on the questions that both rows answered. p: sign-flip over replicates, two-sided "
        f"(with R replicates not below 2/2^R){people}. Holm and an outcome stand only where evaluation.contrasts "
        f"listed the contrast before the runs: {family}. holds / fails: adjusted p <= {ALPHA:g}; tie: the 90 % "
        f"interval lies within +-{TIE_MARGIN:g} of the score; undecided: neither, or fewer than {MIN_REPLICATES} "
        "replicates."
    )


def arm_lines(comparison: Comparison) -> list[str]:
    """How each RL row came about: its stages, their steps and what they paid."""
    lines = []
    for row in comparison.rows:
        stages = row.first.rl_stages
        if not stages:
            continue
        parts = []
        for stage in stages:
            counts = stage.counts
            weights = ", ".join(f"{k.removeprefix('weight_')} {v:.3g}" for k, v in counts.items() if "weight_" in k)
            judged = f", {counts['prmu_calls']:g} PRMU calls" if counts.get("prmu_calls") else ""
            parts.append(f"{stage.stage} {counts.get('steps', 0):g} steps{judged} (weights: {weights or 'none'})")
        lines.append(f"{row.name}: {'; then '.join(parts)}")
    return lines
