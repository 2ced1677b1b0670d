"""Finished runs as objects: what each row of a run answered, and what its policy has cost."""

from __future__ import annotations

import difflib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import yaml

from tagpr.errors import BadInputError, UserError
from tagpr.evaluation.samples import mean_of_metrics
from tagpr.pipeline.diagnoses import ON_DEV
from tagpr.pipeline.fingerprint import digest
from tagpr.pipeline.graph import without_silent
from tagpr.storage import iterate_records, read_json, read_predictions, read_references
from tagpr.tasks import task_named
from tagpr.types import Prediction, Reference

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
    """One policy under one decoding rule on test people.

    Args:
        folds: where people were tested fold by fold, each by a policy that was trained without them: one evaluation
            per fold. `folder` is then the first one's.
    """

    folds: tuple[Evaluation, ...] = ()

    @property
    def parts(self) -> tuple[Evaluation, ...]:
        return self.folds or (self,)

    @property
    def fingerprint(self) -> str:
        return "+".join(part.folder.name for part in self.parts)

    @cached_property
    def predictions(self) -> list[Prediction]:
        return [one for part in self.parts for one in read_predictions(part.folder / "predictions.parquet")]

    @cached_property
    def reference_answers(self) -> list[Reference]:
        return [one for part in self.parts for one in read_references(part.folder / "references.parquet")]

    @cached_property
    def tasks(self) -> Mapping[str, Any]:
        """Per task metrics, parse failures, references, what the prompts showed: scores.json, or what it would hold had
        all folds been one."""
        if not self.folds:
            return read_json(self.folder / "scores.json")["tasks"]
        names = dict.fromkeys(name for part in self.folds for name in part.tasks)
        return {
            name: self._pooled(name, [part.tasks[name] for part in self.folds if name in part.tasks]) for name in names
        }

    def _pooled(self, name: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        task = task_named(name)

        def mean(values: Iterable[float]) -> float:
            return sum(part["n"] * value for part, value in zip(parts, values, strict=True)) / pooled["n"]

        def score(answers: Sequence[Prediction] | Sequence[Reference]) -> dict[str, float]:
            return task.metrics([one.answer for one in answers], [one.gold or "" for one in answers])

        pooled: dict[str, Any] = {key: sum(part[key] for part in parts) for key in ("n", "people")}
        pooled["parse_failures"] = mean(part["parse_failures"] for part in parts)
        pooled["history"] = {key: mean(part["history"][key] for part in parts) for key in parts[0]["history"]}
        pooled["golds"] = sum(part["golds"] for part in parts)
        scored = [one for one in self.predictions if one.task == name and one.gold is not None]
        if not scored:
            return pooled
        rounds = [[one for one in scored if one.sample_index == index] for index in range(self.num_samples)]
        beside: dict[str, list[Reference]] = defaultdict(list)
        for one in self.reference_answers:
            if one.task == name and one.gold is not None:
                beside[one.name].append(one)
        lenient = [
            task.metrics([one.lenient_answer for one in one_round], [one.gold or "" for one in one_round])
            for one_round in rounds
        ]
        return pooled | {
            "metrics": mean_of_metrics([score(one_round) for one_round in rounds]),
            "lenient_metrics": mean_of_metrics(lenient),
            "score": fmean(one.score for one in scored),
            "lenient_score": fmean(one.lenient_score for one in scored),
            "references": {
                reference: {"score": fmean(one.score for one in answers), "metrics": score(answers)}
                for reference, answers in beside.items()
            },
        }

    @cached_property
    def questions(self) -> dict[Question, Scored]:
        """Every question that has a gold answer."""
        if self.folds:
            return {key: one for part in self.folds for key, one in part.questions.items()}
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
        if self.folds:
            names = dict.fromkeys(name for part in self.folds for name in part.references)
            return {
                name: {key: score for part in self.folds for key, score in part.references.get(name, {}).items()}
                for name in names
            }
        columns = ["name", "task", "record_id", "score"]
        table = pq.read_table(self.folder / "references.parquet", columns=columns).to_pydict()
        scores: dict[str, dict[Question, float]] = defaultdict(dict)
        for name, task, record, score in zip(*(table[column] for column in columns), strict=True):
            scores[name][task, record] = score
        return dict(scores)

    @property
    def num_samples(self) -> int:
        """Answers per question."""
        return read_json(self.parts[0].folder / "scores.json")["num_samples"]

    @cached_property
    def shown(self) -> dict[Question, tuple[int, int]]:
        """Question -> entries in the profile, entries in the prompt; empty for evaluations of older versions."""
        if self.folds:
            return {key: one for part in self.folds for key, one in part.shown.items()}
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
    resumed: bool  # some stage went on after a kill, and its CPU time counts from there only: of earlier versions


def _lost_time(manifest: Mapping[str, Any]) -> bool:
    """Since manifests count `runs`, a resumed stage's CPU time is that of all of them."""
    return manifest.get("resumed", False) and "runs" not in manifest


NUMBERS_SPENT = ("gold_labels", "rl_steps", "prmu_calls", "cpu_seconds")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a run's table: a policy and its evaluations; of folds, their policies as one.

    Args:
        folds: fold -> the same row of its run; `stages` are then those of all of them.
    """

    name: str
    policy: str  # `backbone`, or the stage that made it
    stages: tuple[Artifact, ...]  # all stages on the policy's path, each after its inputs
    evaluations: Mapping[str, Evaluation]  # decoding -> evaluation
    diagnostics: Mapping[str, Artifact]  # swap, ... -> what was asked of the policy beside its scores
    folds: Mapping[int, Row] = field(default_factory=dict)

    @cached_property
    def dev_evaluations(self) -> tuple[Evaluation, ...]:
        """An untrained row's greedy answers to dev people, one evaluation per fold; none: they were not asked."""
        if self.folds:
            return tuple(one for row in self.folds.values() for one in row.dev_evaluations)
        return (Evaluation(folder=self.diagnostics[ON_DEV].folder),) if ON_DEV in self.diagnostics else ()

    @property
    def rl_stages(self) -> tuple[Artifact, ...]:
        if self.folds:
            return next(iter(self.folds.values())).rl_stages
        return tuple(stage for stage in self.stages if stage.stage.startswith("rl_"))

    @property
    def paid_by_truth(self) -> bool:
        """Whether some RL stage credited spans by the simulated world's truth (advantage=segment_truth)."""
        advantages = [stage.manifest.get("config", {}).get("advantage", {}) for stage in self.rl_stages]
        return any("span_truth" in (one.get("process") or {}).get("_target_", "") for one in advantages)

    @cached_property
    def identity(self) -> tuple[tuple[str, str], ...]:
        """Rows with the same one are the same evaluations, whatever they are called."""
        return tuple(sorted((decoding, one.fingerprint) for decoding, one in self.evaluations.items()))

    @cached_property
    def spent(self) -> Spent:
        """Of one policy: the mean over folds where each fold has its own."""
        if self.folds:
            return Spent(
                **{name: fmean(getattr(one.spent, name) for one in self.folds.values()) for name in NUMBERS_SPENT},
                resumed=any(one.spent.resumed for one in self.folds.values()),
            )
        return Spent(
            gold_labels=_gold_labels(self.stages),
            rl_steps=sum(stage.counts.get("steps", 0) for stage in self.rl_stages),
            prmu_calls=sum(stage.counts.get("prmu_calls", 0) for stage in self.rl_stages),
            cpu_seconds=sum(stage.manifest.get("cpu_seconds", 0.0) for stage in self.stages),
            resumed=any(_lost_time(stage.manifest) for stage in self.stages),
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
    arm: str  # runs of one run_name with the same arm differ in their seed, and in their fold, alone
    contrasts: Mapping[str, tuple[str, str]]  # name -> row and what it is tested against, listed before the run
    rows: Mapping[str, Row]
    num_folds: int | None = None  # that the people are divided into; None: no folds
    folds: tuple[int, ...] = ()  # those of them that are tested here

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
        num_folds = (settings.get("data") or {}).get("folds")
        return Run(
            folder=folder,
            experiment=raw["experiment"],
            run_name=raw["run_name"],
            seed=raw["seed"],
            arm=_arm(settings),
            contrasts={name: (one["row"], one["against"]) for name, one in listed.items()},
            rows=rows,
            num_folds=num_folds,
            folds=() if num_folds is None else (settings["data"]["fold"],),
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
    own = {key: value for key, value in settings.items() if key not in _NOT_OF_THE_ARM}
    kept = without_silent(own)  # the files' contents tell data sets apart, not where they lie
    data = dict(kept.get("data") or {})
    data.pop("fold", None)  # folds of the same people are pooled
    if not {"root", "path"} & set(own.get("data") or {}):
        data.pop("seed", None)  # a simulated world follows the run's seed; real people keep their splits
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
        near = [] if place.exists() else difflib.get_close_matches(place.name, _names_beside(place), n=1)
        raise BadInputError(
            f"{place} holds no finished run (no run.json in it or below it)."
            + (f" Did you mean {place.parent / near[0]}?" if near else " A run's folder appears when `tagpr` ends.")
        )
    return [read_run(folder) for folder in found]


def _names_beside(place: Path) -> list[str]:
    return [path.name for path in place.parent.iterdir()] if place.parent.is_dir() else []
