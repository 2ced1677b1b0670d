"""Finished runs as objects: what each row of a run answered, and what its policy has cost."""

from __future__ import annotations

import difflib
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import yaml

from tagpr.errors import BadInputError, UserError
from tagpr.pipeline.fingerprint import digest
from tagpr.storage import iterate_records, read_json

Question = tuple[str, str]  # task, record id

# Settings that tell replicates of one arm apart, or that change no result: two runs that agree on all others are
# replicates.
_NOT_OF_THE_ARM = (
    "seed", "paths", "logger", "plan", "until", "only", "force", "experiment_name", "run_name", "diagnostics", "hydra",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """The task's reward of one question's answer, averaged over samples where there are several."""

    user_id: str
    score: float
    lenient_score: float
    samples: tuple[float, ...]  # the score of each


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A finished stage's folder."""

    folder: Path

    @property
    def stage(self) -> str:
        return self.folder.parent.name

    @property
    def fingerprint(self) -> str:
        return self.folder.name

    @cached_property
    def manifest(self) -> dict[str, Any]:
        path = self.folder / "manifest.json"
        if not path.is_file():
            raise UserError(
                f"{path} is gone, but a run's table needs it. Run the same `tagpr` command again: what is missing is "
                "computed anew."
            )
        return read_json(path)

    @property
    def counts(self) -> Mapping[str, float]:
        return self.manifest.get("counts") or {}


@dataclass(frozen=True, kw_only=True)
class Evaluation(Artifact):
    """One policy under one decoding rule on test people."""

    @cached_property
    def scores(self) -> dict[str, Any]:
        """scores.json: per task metrics, parse failures, references, what the prompts showed."""
        return read_json(self.folder / "scores.json")

    @property
    def tasks(self) -> Mapping[str, Any]:
        return self.scores["tasks"]

    @cached_property
    def questions(self) -> dict[Question, Scored]:
        """Every question that has a gold answer."""
        columns = ["task", "record_id", "user_id", "score", "lenient_score"]
        table = pq.read_table(self.folder / "predictions.parquet", columns=columns).to_pydict()
        samples: dict[Question, list[tuple[float, float]]] = defaultdict(list)
        user_of = {}
        for task, record, user, score, lenient in zip(*(table[name] for name in columns), strict=True):
            if score is not None and not math.isnan(score):
                samples[task, record].append((score, lenient))
                user_of[task, record] = user
        return {
            key: Scored(
                user_id=user_of[key],
                score=fmean(score for score, _ in group),
                lenient_score=fmean(lenient for _, lenient in group),
                samples=tuple(score for score, _ in group),
            )
            for key, group in samples.items()
        }

    @cached_property
    def references(self) -> dict[str, dict[Question, float]]:
        """Name of a reference -> question -> its score."""
        columns = ["name", "task", "record_id", "score"]
        table = pq.read_table(self.folder / "references.parquet", columns=columns).to_pydict()
        scores: dict[str, dict[Question, float]] = defaultdict(dict)
        for name, task, record, score in zip(*(table[column] for column in columns), strict=True):
            scores[name][task, record] = score
        return dict(scores)

    @property
    def num_samples(self) -> int:
        """Answers per question."""
        return self.scores["num_samples"]

    @cached_property
    def shown(self) -> dict[Question, tuple[int, int]]:
        """Question -> entries in the profile, entries in the prompt; empty for evaluations of older versions."""
        path = self.folder / "shown.parquet"
        if not path.is_file():
            return {}
        columns = ["task", "record_id", "entries_in_profile", "entries_shown"]
        table = pq.read_table(path, columns=columns).to_pydict()
        rows = zip(*(table[column] for column in columns), strict=True)
        return {(task, record): (profile, shown) for task, record, profile, shown in rows}

    @property
    def entries_shown(self) -> float:
        """History entries in a prompt, mean over tasks."""
        return fmean(task["history"]["entries_shown"] for task in self.tasks.values())


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a policy has cost, over all stages that made it."""

    gold_labels: float  # distinct golds of train people that any stage looked at
    rl_steps: float
    prmu_calls: float  # answers that PRMU judged as a reward
    cpu_seconds: float  # all threads, evaluation not included
    resumed: bool  # some stage went on after a kill, and its CPU time counts from there only


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a run's table: a policy and its evaluations."""

    name: str
    policy: str  # `backbone`, or the stage that made it
    stages: tuple[Artifact, ...]  # all stages on the policy's path, each after its inputs
    evaluations: Mapping[str, Evaluation]  # decoding -> evaluation
    diagnostics: Mapping[str, Artifact]  # swap, ... -> what was asked of the policy beside its scores

    @property
    def rl_stages(self) -> tuple[Artifact, ...]:
        return tuple(stage for stage in self.stages if stage.stage.startswith("rl_"))

    @cached_property
    def identity(self) -> tuple[tuple[str, str], ...]:
        """Rows with the same one are the same evaluations, whatever they are called."""
        return tuple(sorted((decoding, one.fingerprint) for decoding, one in self.evaluations.items()))

    @cached_property
    def spent(self) -> Spent:
        return Spent(
            gold_labels=_gold_labels(self.stages),
            rl_steps=sum(stage.counts.get("steps", 0) for stage in self.rl_stages),
            prmu_calls=sum(stage.counts.get("prmu_calls", 0) for stage in self.rl_stages),
            cpu_seconds=sum(stage.manifest.get("cpu_seconds", 0.0) for stage in self.stages),
            resumed=any(stage.manifest.get("resumed", False) for stage in self.stages),
        )


def _gold_labels(stages: tuple[Artifact, ...]) -> float:
    """Distinct golds. Chains and SFT see the same questions' golds, so do pairs and PRMU; the three purposes share no
    question. RL stages ask the same pool of questions, each its own part of it."""
    of = {stage.stage: stage.counts.get("gold_labels", 0) for stage in stages}
    supervised = max(of.get("chains", 0), of.get("sft", 0)) + max(of.get("pairs", 0), of.get("prmu", 0))
    rl = [stage for stage in stages if stage.stage.startswith("rl_") and of[stage.stage]]
    if len(rl) <= 1:
        return supervised + sum(of[stage.stage] for stage in rl)
    records = next(stage for stage in stages if stage.stage == "records")
    return supervised + len({question for stage in rl for question in _asked_with_gold(stage, records)})


def _asked_with_gold(stage: Artifact, records: Artifact) -> set[Question]:
    table = pq.read_table(stage.folder / "rollouts", columns=["task", "record_id"]).to_pydict()
    asked = set(zip(table["task"], table["record_id"], strict=True))
    if len(asked) == stage.counts["gold_labels"]:
        return asked
    # Only some golds were shown. The rule is RL's own, and its module imports torch: not before it is needed.
    from tagpr.rl.stage import may_use_gold

    fraction = stage.manifest["config"]["rl"]["gold_fraction"]
    pool = iterate_records(records.folder, ["train"])
    return asked & {(one.task, one.record_id) for one in pool if one.gold is not None and may_use_gold(one, fraction)}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One `tagpr` run that came to its table."""

    folder: Path
    experiment: str
    run_name: str
    seed: int
    arm: str  # runs of one run_name with the same arm differ in their seed alone
    contrasts: Mapping[str, tuple[str, str]]  # name -> row and what it is tested against, listed before the run
    rows: Mapping[str, Row]

    @cached_property
    def records(self) -> Artifact:
        """The records stage that its evaluations read."""
        one = next(iter(next(iter(self.rows.values())).evaluations.values()))
        return Artifact(folder=one.folder.parent.parent / "records" / one.manifest["inputs"]["records"])

    @cached_property
    def stages(self) -> dict[tuple[str, str], Artifact]:
        """(stage, fingerprint) -> every stage that a policy of the run was made by."""
        return {(stage.stage, stage.fingerprint): stage for row in self.rows.values() for stage in row.stages}


def read_run(folder: Path) -> Run:
    """The run that `folder/run.json` describes.

    Raises:
        BadInputError: run.json is missing or is not one.
    """
    path = folder / "run.json"
    try:
        raw = read_json(path)
        rows = {name: _read_row(folder, name, row) for name, row in raw["rows"].items()}
        settings = _settings(folder / "config.yaml")
        listed = (settings.get("evaluation") or {}).get("contrasts") or {}
        return Run(
            folder=folder,
            experiment=raw["experiment"],
            run_name=raw["run_name"],
            seed=raw["seed"],
            arm=_arm(settings),
            contrasts={name: (one["row"], one["against"]) for name, one in listed.items()},
            rows=rows,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{path} is not the description of a run ({type(error).__name__}: {error}). Give a folder that `tagpr` "
            "wrote, e.g. runs/demo/full/seed_0-1a2b3c4d, or one above it."
        ) from None


def _read_row(folder: Path, name: str, raw: Mapping[str, Any]) -> Row:
    evaluations = {
        # Run folders move together with the cache, so their links are relative.
        decoding: Evaluation(folder=(folder / place).resolve())
        for decoding, place in raw["evaluations"].items()
    }
    cache = next(iter(evaluations.values())).folder.parent.parent
    stages = tuple(Artifact(folder=cache / stage / fingerprint) for stage, fingerprint in raw["policy_stages"])
    diagnostics = {
        # Runs of versions before diagnostics have none.
        kind: Artifact(folder=(folder / place).resolve())
        for kind, place in raw.get("diagnostics", {}).items()
    }
    return Row(name=name, policy=raw["policy"], stages=stages, evaluations=evaluations, diagnostics=diagnostics)


def _settings(config: Path) -> dict[str, Any]:
    return yaml.safe_load(config.read_text(encoding="utf-8")) if config.is_file() else {}


def _arm(settings: Mapping[str, Any]) -> str:
    if not settings:
        return ""
    kept = {key: value for key, value in settings.items() if key not in _NOT_OF_THE_ARM}
    data = dict(kept.get("data") or {})
    if "root" not in data:
        data.pop("seed", None)  # a simulated world follows the run's seed; real people keep their splits
    data.pop("root", None)  # the files' contents tell data sets apart, not where they lie
    # What is tested changes no result: replicates with other lists are still replicates, and the table says so.
    evaluation = {key: value for key, value in (kept.get("evaluation") or {}).items() if key != "contrasts"}
    return digest({**kept, "data": data, "evaluation": evaluation})[:8]


def find_runs(place: Path) -> list[Run]:
    """Every run in a folder and below it, by path.

    Raises:
        BadInputError: there is none.
    """
    found = sorted(path.parent for path in place.rglob("run.json") if "cache" not in path.relative_to(place).parts)
    if not found:
        near = [] if place.is_dir() else difflib.get_close_matches(place.name, _names_beside(place), n=1)
        raise BadInputError(
            f"{place} holds no finished run (no run.json in it or below it)."
            + (f" Did you mean {place.parent / near[0]}?" if near else " A run's folder appears when `tagpr` ends.")
        )
    return [read_run(folder) for folder in found]


def _names_beside(place: Path) -> list[str]:
    return [path.name for path in place.parent.iterdir()] if place.parent.is_dir() else []
