"""Every table of the studies in run.sh that FOLDER has runs of, in Markdown.

python -m experiments.world_learning.tables FOLDER > tables.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from experiments.world_learning.evidence import ALL, AT_RANDOM, CITED, F1, OVER, evidence_rows
from experiments.world_learning.figures import (
    ABOVE,
    BEST,
    BLIND,
    GAP,
    MEAN,
    SCORE,
    lead,
    scores,
    text,
    with_best,
)
from experiments.world_learning.held_out import families
from experiments.world_learning.read import (
    COMPUTE,
    ENTRIES,
    POLICY,
    USERS,
    Answer,
    Arm,
    arms_of,
    shared_seeds,
    tasks_of,
)
from tagpr.analysis.comparison import compare
from tagpr.analysis.panel import GREEDY, SAMPLE
from tagpr.analysis.process import HEADINGS, mean_text, process_cells, process_rows
from tagpr.analysis.runs import find_runs
from tagpr.analysis.text_tables import pipe_table
from tagpr.errors import UserError

PROCESS = "demo"
EVIDENCE = ((F1, ""), (AT_RANDOM, ""), (OVER, "+"), (ALL, ""), (CITED, ""))


# --- number of training people ---------------------------------------------------------------------------------------


def users(folder: Path) -> list[str]:
    """Gap closed by number of people who were trained on, all with the same steps and the same test people."""
    arms = sorted(shared_seeds(list(arms_of(folder, USERS).values())), key=_train_people)
    if not arms:
        return []
    answers = {arm.name: arm.answers() for arm in arms}
    fewest = answers[arms[0].name]
    tasks = tasks_of(fewest)
    rows = []
    for arm in arms:
        own = scores(answers[arm.name])
        change = "-" if arm is arms[0] else text(lead(answers[arm.name], fewest)[SCORE, MEAN], "+")
        batch = fmean(one.manifest["config"]["sft"]["batch_size"] for one in arm.stage("sft"))
        passes = arm.count("sft", "steps") * batch / arm.count("sft", "train_chains")
        rows.append(
            (
                f"{_train_people(arm):g}", f"{arm.count('sft', 'gold_labels'):g}",
                f"{arm.count('sft', 'train_chains'):g}", f"{arm.count('sft', 'steps'):g}", f"{passes:.1f}",
                text(own[SCORE, MEAN]), change, text(own[GAP, MEAN]), *(text(own[GAP, task]) for task in tasks),
            )
        )  # fmt: skip
    headings = (
        "train people", "golds", "chains", "steps", "passes", "score", "change against the fewest", "gap closed",
        *(f"{task} gap" for task in tasks),
    )  # fmt: skip
    return [
        "## Against the number of training people", "", *pipe_table(headings, rows), "",
        f"{_people(fewest)} Blind {text(scores(fewest)[BLIND, MEAN])}, Bayes {text(scores(fewest)[BEST, MEAN])}. "
        "Smaller numbers of people are part of larger ones; golds and chains are those that SFT saw.",
    ]  # fmt: skip


def _train_people(arm: Arm) -> float:
    asked = [one.manifest["config"]["chains"]["train_people"] for one in arm.stage("chains")]
    return fmean(
        run.records.counts["people_train"] if people is None else people
        for people, run in zip(asked, arm.runs.values(), strict=True)
    )


# --- history length --------------------------------------------------------------------------------------------------


def entries(folder: Path) -> list[str]:
    """One policy, asked with the first k entries of each history."""
    arms = arms_of(folder, ENTRIES)
    lines: list[str] = []
    for arm in arms.values():
        first = next(iter(arm.runs.values()))
        names = [name for name, row in first.rows.items() if row.policy == POLICY]
        shown = {name: fmean(one.entries_shown for one in arm.evaluations(name).values()) for name in names}
        names.sort(key=lambda name: shown[name])
        answers = {name: arm.answers(name) for name in names}
        longest = answers[names[-1]]
        tasks = tasks_of(longest)
        rows, by_task = [], []
        for place, name in enumerate(names):
            own, of_all = scores(answers[name]), scores(with_best(answers[name], longest))
            change = "-" if place == 0 else text(lead(answers[name], answers[names[place - 1]])[SCORE, MEAN], "+")
            # Where Bayes has seen nothing it is blind too, and there is no gap to close.
            gap = "-" if abs(own[BEST, MEAN].value - own[BLIND, MEAN].value) < 1e-9 else text(own[GAP, MEAN])
            rows.append(
                (
                    f"{round(shown[name], 1):g}", text(own[SCORE, MEAN]), text(own[ABOVE, MEAN], "+"), change,
                    text(own[BEST, MEAN]), gap, text(of_all[GAP, MEAN]),
                )
            )  # fmt: skip
            by_task.append((f"{round(shown[name], 1):g}", *(text(of_all[GAP, task]) for task in tasks)))
        headings = (
            "entries shown", "score", "above blind", "change against the row above", "Bayes of these entries",
            "gap closed to it", "gap closed to Bayes of the longest",
        )  # fmt: skip
        lines += [
            f"## Against history length ({arm.name})", "", *pipe_table(headings, rows), "",
            f"{_people(longest)} Blind {text(scores(longest)[BLIND, MEAN])}. One policy, whose training prompts showed "
            f"0 to all entries; a shorter history is the beginning of a longer one. SFT: "
            f"{arm.count('sft', 'train_chains'):g} chains, {arm.count('sft', 'steps'):g} steps, "
            f"{arm.cpu_seconds:.0f} CPU-s.", "",
            "Gap closed to Bayes of the longest, by task:", "",
            *pipe_table(("entries shown", *tasks), by_task), "",
        ]  # fmt: skip
    return lines


# --- thinking, at equal compute --------------------------------------------------------------------------------------


def compute(folder: Path) -> list[str]:
    """Tagged chains, untagged ones and bare answers, at equal steps and at equal CPU time."""
    arms = {arm.name: arm for arm in shared_seeds(list(arms_of(folder, COMPUTE).values()))}
    if "tagged" not in arms:
        return []
    order = ["tagged", *(name for name in arms if name != "tagged")]
    answers = {name: {decoding: arms[name].answers(POLICY, decoding) for decoding in (GREEDY, SAMPLE)} for name in arms}
    costs, rows = [], []
    for name in order:
        arm = arms[name]
        steps, seconds = arm.count("sft", "steps"), arm.cpu_seconds
        evaluations = arm.evaluations()
        answering = fmean(one.manifest["cpu_seconds"] for one in evaluations.values())
        failures = fmean(task["parse_failures"] for one in evaluations.values() for task in one.tasks.values())
        costs.append(
            (
                name, f"{steps:g}", f"{seconds:.0f}{' (resumed)' if arm.resumed else ''}", f"{seconds / steps:.2f}",
                f"{arm.count('sft', 'completion_tokens'):,.0f}", f"{answering:.0f}", f"{failures:.1%}",
            )
        )  # fmt: skip
        cells = [name]
        for decoding in (GREEDY, SAMPLE):
            own = scores(answers[name][decoding])
            behind = lead(answers["tagged"][decoding], answers[name][decoding])
            change = "-" if name == "tagged" else text(behind[SCORE, MEAN], "+")
            cells += [text(own[SCORE, MEAN]), text(own[GAP, MEAN]), change]
        rows.append(tuple(cells))
    greedy = answers["tagged"][GREEDY]
    tasks = tasks_of(greedy)
    by_task = [(name, *(text(scores(answers[name][GREEDY])[GAP, task]) for task in tasks)) for name in order]
    return [
        "## Direct answer against chains, at equal training compute", "",
        *pipe_table(
            (
                "arm", "SFT steps", "CPU-s of SFT", "CPU-s per step", "completion tokens trained",
                "CPU-s of greedy answers", "answers not readable",
            ),
            costs,
        ), "",
        *pipe_table(
            (
                "arm", "score, greedy", "gap closed, greedy", "tagged minus it, greedy", "score, T = 1",
                "gap closed, T = 1", "tagged minus it, T = 1",
            ),
            rows,
        ), "",
        "Gap closed by task, greedy:", "", *pipe_table(("arm", *tasks), by_task), "",
        f"{_people(greedy)} Blind {text(scores(greedy)[BLIND, MEAN])}, Bayes {text(scores(greedy)[BEST, MEAN])}. All "
        "arms keep the same chains and golds; without thinking the bare answers are left of them. CPU time is all "
        "threads', as measured, model loading and validation included; prompt tokens are not counted.",
    ]  # fmt: skip


# --- process truth ---------------------------------------------------------------------------------------------------


def process(folder: Path) -> list[str]:
    """Process truth of the demo's policies, untrained ones with the reason why they have none."""
    runs = [run for run in find_runs(folder) if run.experiment == PROCESS]
    lines: list[str] = []
    for comparison in compare(runs):
        rows = process_rows(comparison)
        if not rows:
            continue
        lines += [f"## Process truth ({comparison.title})", ""]
        lines += pipe_table(("row", *HEADINGS.values()), process_cells(rows, intervals=True))
        lines += ["", *(f"- `{row.name}`: no figures, {row.why_none}." for row in rows if row.why_none)]
        lines += ["- `bayes` is the likeliest rule given the entries shown; it writes no chains.", ""]
        headings = (
            "row", "evidence F1", "the same number drawn at random", "evidence F1 minus that", "all entries shown",
            "entries cited",
        )  # fmt: skip
        cited = [
            (name, *(mean_text(own.get(figure), sign, intervals=True) for figure, sign in EVIDENCE))
            for name, own in evidence_rows(comparison).items()
        ]
        lines += [
            *pipe_table(headings, cited), "",
            "Evidence are the entries whose answer follows the person's rule, all but the slips: citing anything has a "
            "high F1, and what the citing itself is worth is the difference to as many entries drawn at random.", "",
        ]  # fmt: skip
    return lines


# --- the page --------------------------------------------------------------------------------------------------------

STUDIES: Mapping[str, Callable[[Path], list[str]]] = {
    "users": users, "entries": entries, "families": families, "compute": compute, "process": process,
}  # fmt: skip


def page(folder: Path) -> list[str]:
    """The tables of every study that has runs; a study that cannot be read says why."""
    lines: list[str] = []
    for name, study in STUDIES.items():
        try:
            found = study(folder)
        except UserError as error:
            found = [f"## {name}", "", f"No table: {error}"]
        lines += [*found, ""] if found else []
    return [*lines, NOTE]


NOTE = (
    "Scores are the tasks' rewards, means over tasks; gap closed = (score - blind) / (Bayes - blind) of these means, "
    "0 where nothing is known of the person and 1 where all that can be. In brackets: 95 % over test people, or over "
    "worlds and people with several seeds; with one seed they say nothing of another training run. Simulated people."
)


def _people(answers: Sequence[Answer]) -> str:
    seeds = sorted({one.seed for one in answers})
    return (
        f"{len({(one.seed, one.user) for one in answers})} test people, {len(answers)} questions, seed"
        f"{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where run.sh put the runs")
    try:
        print("\n".join(page(parser.parse_args().folder)))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
