"""Runs of run.sh as answers: each question's score beside the best that could be known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean

from tagpr.analysis.panel import BEST, BLIND, GREEDY
from tagpr.analysis.process import shown_of
from tagpr.analysis.runs import Artifact, Evaluation, Question, Row, Run, find_runs
from tagpr.data.simulated.observer import reference_answers
from tagpr.errors import UserError
from tagpr.storage import read_records
from tagpr.tasks import task_named
from tagpr.types import Record

USERS, ENTRIES, FAMILIES, COMPUTE = "world_users", "world_entries", "world_families", "world_compute"
POLICY = "sft"  # the row of a run's table that the studies read


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answered question of a test person."""

    seed: int  # of the world: people of two worlds are two people
    user: str
    task: str
    record_id: str
    score: float  # the task's reward in [0, 1], mean over samples
    blind: float  # of the best answer that knows nothing of the person
    best: float  # of the Bayes answer given the entries shown

    @property
    def key(self) -> tuple[int, str, str]:
        return self.seed, self.task, self.record_id


@dataclass(frozen=True, kw_only=True)
class Arm:
    """The runs of one run_name: a replicate per seed."""

    name: str
    runs: Mapping[int, Run]

    def evaluations(self, row: str = POLICY, decoding: str = GREEDY) -> dict[int, Evaluation]:
        return {seed: run.rows[row].evaluations[decoding] for seed, run in self.runs.items()}

    def answers(self, row: str = POLICY, decoding: str = GREEDY) -> list[Answer]:
        return [
            answer for seed, one in self.evaluations(row, decoding).items() for answer in answers_of(one, seed=seed)
        ]

    def stage(self, name: str) -> list[Artifact]:
        """The stage of that name on the policy's path, one per seed."""
        return [stage_of(run.rows[POLICY], name) for run in self.runs.values()]

    def count(self, stage: str, name: str) -> float:
        """A manifest's count, mean over seeds."""
        return fmean(one.counts[name] for one in self.stage(stage))

    @property
    def cpu_seconds(self) -> float:
        """Of SFT, mean over seeds."""
        return fmean(one.manifest["cpu_seconds"] for one in self.stage("sft"))

    @property
    def resumed(self) -> bool:
        """Some SFT went on after a kill: its CPU time counts from there only."""
        return any(one.manifest.get("resumed", False) for one in self.stage("sft"))

    @cached_property
    def records(self) -> dict[tuple[int, str, str], Record]:
        """What was asked, truth included, by `Answer.key`."""
        found = {}
        for seed, run in self.runs.items():
            evaluation = run.rows[POLICY].evaluations[GREEDY]
            splits = evaluation.manifest["config"]["evaluation"]["splits"]
            for record in read_records(run.records.folder, splits):
                found[seed, record.task, record.record_id] = record
        return found


def arms_of(folder: Path, experiment: str) -> dict[str, Arm]:
    """run_name -> its runs.

    Raises:
        UserError: two runs of one name and seed.
    """
    found: dict[str, dict[int, Run]] = {}
    for run in find_runs(folder):
        if run.experiment != experiment:
            continue
        own = found.setdefault(run.run_name, {})
        if run.seed in own:
            raise UserError(
                f"{own[run.seed].folder} and {run.folder} are both seed {run.seed} of {run.run_name}: a replicate must "
                "count once. Remove the one that you do not mean, or give runs of other settings a FOLDER of their own."
            )
        own[run.seed] = run
    return {name: Arm(name=name, runs=dict(sorted(runs.items()))) for name, runs in sorted(found.items())}


def run_named(folder: Path, experiment: str, name: str, seed: int) -> Run:
    """Raises UserError where there is none."""
    arms = arms_of(folder, experiment)
    if name not in arms or seed not in arms[name].runs:
        known = [f"{arm.name} (seeds {', '.join(map(str, arm.runs))})" for arm in arms.values()]
        raise UserError(
            f"{folder} holds no run {experiment}/{name} of seed {seed}; of {experiment} there are "
            f"{'; '.join(known) or 'none'}. Run experiments/world_learning/run.sh first."
        )
    return arms[name].runs[seed]


def stage_of(row: Row, name: str) -> Artifact:
    """Raises ValueError where the row's policy was made without it."""
    return next(stage for stage in row.stages if stage.stage == name)


def answers_of(evaluation: Evaluation, *, seed: int) -> list[Answer]:
    """Every question with a gold, with its references.

    Raises:
        UserError: people who are not simulated.
    """
    beside = evaluation.references
    if BLIND not in beside or BEST not in beside:
        raise UserError(
            f"{evaluation.folder} has no blind and Bayes answers, expected an evaluation of simulated people."
        )
    return [
        Answer(
            seed=seed, user=one.user_id, task=task, record_id=record, score=one.score,
            blind=beside[BLIND][task, record], best=beside[BEST][task, record],
        )
        for (task, record), one in evaluation.questions.items()
    ]  # fmt: skip


def tasks_of(answers: Sequence[Answer]) -> list[str]:
    return sorted({one.task for one in answers})


def unaware_scores(evaluation: Evaluation, records: Mapping[Question, Record]) -> dict[Question, float]:
    """Score of an observer who knows the world but believes that only train people's families exist, given the entries
    shown."""
    found = {}
    for question, positions in shown_of(evaluation).items():
        record = records[question]
        assert record.truth is not None, "only simulated people have shown_entries.json"
        believed = replace(record, truth={**record.truth, "families": record.truth["seen_families"]})
        answer = reference_answers(believed, [record.profile[position] for position in positions]).bayes
        found[question] = task_named(record.task).score(answer, record.gold or "")
    return found


def shared_seeds(arms: Sequence[Arm]) -> list[Arm]:
    """The arms with the seeds that all of them have.

    Raises:
        UserError: there is no such seed.
    """
    seeds = set.intersection(*(set(arm.runs) for arm in arms)) if arms else set()
    if arms and not seeds:
        own = "; ".join(f"{arm.name}: {', '.join(map(str, arm.runs))}" for arm in arms)
        raise UserError(f"no seed is common to all arms ({own}). Run the study again with the same SEEDS for all.")
    return [replace(arm, runs={seed: run for seed, run in arm.runs.items() if seed in seeds}) for arm in arms]
