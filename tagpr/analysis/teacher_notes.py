"""How good the chains are that SFT imitates, task by task: a policy that only imitates has no reason to be better."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from tagpr.analysis.comparison import Comparison
from tagpr.analysis.panel import BLIND
from tagpr.analysis.runs import Artifact

# Without the chains in which the teacher ignores the history on purpose, where it has that habit.
_SCORES = ("teacher_honest_score/", "teacher_score/")


def teacher_lines(comparison: Comparison) -> list[str]:
    """One line per teacher: its own mean score by task on train people, all that it wrote, before any was rejected; on
    simulated people also where that is no better than the best answer that ignores the person."""
    stages = {
        stage.fingerprint: (row.run_name, stage)
        for row in comparison.rows
        for own in row.by_seed.values()
        for stage in own.stages
        if stage.stage == "chains" and scores_of(stage)
    }
    teachers: dict[str, list[tuple[str, Artifact]]] = defaultdict(list)
    for run_name, stage in stages.values():
        teachers[str(stage.manifest.get("config", {}).get("teacher"))].append((run_name, stage))
    blind = _blind(comparison)
    lines = []
    for own in teachers.values():
        scores = _means([scores_of(stage) for _, stage in own])
        whose = f" of {', '.join(dict.fromkeys(name for name, _ in own))}" if len(teachers) > 1 else ""
        # Below by rounding is not below.
        below = [task for task in scores if task in blind and round(scores[task], 2) <= round(blind[task], 2)]
        lines.append(
            f"The teacher{whose} itself, on train people, before rejection: "
            + ", ".join(f"{task} {score:.2f}" for task, score in scores.items())
            + "."
            + "".join(f" On {task} that is no better than ignoring the person ({blind[task]:.2f})." for task in below)
        )
    return list(dict.fromkeys(lines))


def scores_of(chains: Artifact) -> dict[str, float]:
    """Task -> mean score of the teacher's chains, the habitual ones left out; empty for artifacts without."""
    for prefix in _SCORES:
        found = {name.removeprefix(prefix): one for name, one in chains.counts.items() if name.startswith(prefix)}
        if found:
            return found
    return {}


def _blind(comparison: Comparison) -> dict[str, float]:
    if not comparison.simulated:
        return {}
    return _means(
        [
            {task: one.tasks[task]["references"][BLIND]["score"] for task in comparison.tasks if task in one.tasks}
            for one in comparison.ceilings.values()
        ]
    )


def _means(replicates: Sequence[Mapping[str, float]]) -> dict[str, float]:
    tasks = sorted({task for one in replicates for task in one})
    return {task: fmean(one[task] for one in replicates if task in one) for task in tasks}
