"""Run folders made by hand, with scores written by the evaluate stage's own function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tagpr import storage
from tagpr.chains.tags import TagVocabulary
from tagpr.evaluation.predict import read_completion
from tagpr.evaluation.shown import ShownHistory, shown_history
from tagpr.evaluation.stage import task_scores
from tagpr.lm.generation.base import Completion
from tagpr.tasks import task_named
from tagpr.types import ProfileEntry, Prompt, Record, Reference
from tests.analysis.made_runs import make_run


class Asked(NamedTuple):
    """A question with the references' answers to it."""

    task: str
    record: str
    user: str
    gold: str
    references: Mapping[str, str]  # name -> answer


@dataclass
class RunFolders:
    """Writes stages into a cache and run folders beside it, as the pipeline does."""

    root: Path
    Asked = Asked

    def asked(self, task: str, record: str, user: str, gold: str, blind: str, bayes: str) -> Asked:
        """A question to a simulated person."""
        return Asked(task, record, user, gold, {"blind": blind, "bayes": bayes})

    def stage(self, name: str, fingerprint: str, **manifest) -> Path:
        folder = self.root / "cache" / name / fingerprint
        storage.write_json(folder / "manifest.json", {"stage": name, "fingerprint": fingerprint, **manifest})
        return folder

    def records(self, fingerprint: str, data: str) -> Path:
        config = {"data": {"name": data}}
        return self.stage("records", fingerprint, config=config, source_files={}, counts={}, cpu_seconds=1.0)

    def evaluation(
        self,
        fingerprint: str,
        asked: Sequence[Asked],
        answers: Sequence[str | Sequence[str]],  # several for several samples
        *,
        records="r0",
        shown=2,
        decoding="greedy",
    ) -> str:
        entries = tuple(ProfileEntry(entry_id=str(i), input="abcd", response="1") for i in range(4))
        prompts = [
            Prompt(
                record=Record(
                    record_id=q.record, user_id=q.user, task=q.task, split="test", purpose="test", question="",
                    query="", gold=q.gold, profile=entries, retrieved=(0, 1, 2),
                ),
                text="", history=entries[:shown], thinking=False, num_cut=0, num_dropped=3 - shown,
            )
            for q in asked
        ]  # fmt: skip
        none = TagVocabulary(names=[])
        samples = [[answer] if isinstance(answer, str) else answer for answer in answers]
        predictions = [
            read_completion(prompt, completion(answer), tags=none, decoding=decoding, sample_index=index)
            for prompt, several in zip(prompts, samples, strict=True)
            for index, answer in enumerate(several)
        ]
        references = [
            Reference(
                record_id=q.record, user_id=q.user, task=q.task, name=name, answer=answer, gold=q.gold,
                score=task_named(q.task).score(answer, q.gold),
            )
            for q in asked
            for name, answer in q.references.items()
        ]  # fmt: skip
        folder = self.stage(
            "evaluate", fingerprint, inputs={"records": records}, code={"tasks": "1"}, counts={},
            config={"evaluation": {"splits": ["test"]}},
        )  # fmt: skip
        storage.write_predictions(folder / "predictions.parquet", predictions)
        storage.write_references(folder / "references.parquet", references)
        storage.write_parquet(folder / "shown.parquet", [shown_history(prompt) for prompt in prompts], ShownHistory)
        scores = {"decoding": decoding, "num_samples": len(samples[0]), "truncated": 0.0}
        storage.write_json(folder / "scores.json", {**scores, "tasks": task_scores(predictions, references, prompts)})
        return fingerprint

    def run(
        self,
        rows: Mapping[str, tuple[str, Sequence[tuple[str, str]], Mapping[str, str]]],
        *,
        seed: int = 0,
        run_name: str = "full",
        experiment: str = "demo",
        config: Mapping[str, object] | None = None,
        diagnostics: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Path:
        """rows: name -> (policy, stages, {decoding: evaluation's fingerprint}); diagnostics: name -> {kind: the
        diagnosis' fingerprint}."""
        folder = self.root / experiment / run_name / f"seed_{seed}-{len(list(self.root.rglob('run.json')))}"
        storage.write_json(
            folder / "run.json",
            {
                "experiment": experiment, "run_name": run_name, "seed": seed,
                "rows": {
                    name: {
                        "policy": policy, "policy_stages": [list(stage) for stage in stages],
                        "evaluations": {d: f"../../../cache/evaluate/{one}" for d, one in evaluations.items()},
                        "diagnostics": {
                            kind: f"../../../cache/{kind}/{one}"
                            for kind, one in (diagnostics or {}).get(name, {}).items()
                        },
                    }
                    for name, (policy, stages, evaluations) in rows.items()
                },
            },
        )  # fmt: skip
        settings = {"seed": seed, "run_name": run_name, "data": {"seed": seed}, **(config or {})}
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
        return folder


def completion(text: str) -> Completion:
    return Completion(token_ids=(), logprobs=(), text=text, truncated=False)


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    return RunFolders(root=tmp_path / "runs")


@pytest.fixture
def seed_0(folders):
    """ann has three questions, bob one.

    S2 (label): blind 1, 0, 0 -> 1/3; bayes 1, 1, 0 -> 2/3; base 0, 0, 1; sft 1, 1, 0; rl 1, 1, 1.
    S3 (rating, gold 4): blind 3 -> .75; bayes 4 -> 1; base unreadable -> worst end, 1 - 3/4; sft 5 -> .75; rl 4 -> 1.
    Means over tasks: blind 13/24, bayes 20/24, base 7/24, sft 17/24, rl 24/24.
    """
    questions = [
        folders.asked("S2", "s2-a0", "ann", "cosy", "cosy", "cosy"),
        folders.asked("S2", "s2-a1", "ann", "quiet", "cosy", "quiet"),
        folders.asked("S2", "s2-b0", "bob", "eerie", "cosy", "grand"),
        folders.asked("S3", "s3-a0", "ann", "4", "3", "4"),
    ]
    return make_run(
        folders, questions, seed=0,
        base=("nothing", "cosy", "eerie", "I say 2"), sft=("cosy", "quiet", "cosy", "5"),
        rl=("cosy", "quiet", "eerie", "4"),
    )  # fmt: skip


@pytest.fixture
def seed_1(folders):
    """cat alone, in another world. Means: blind (0 + .5) / 2, bayes 1, base .25, sft (1 + .875) / 2, rl .5."""
    questions = [
        folders.asked("S2", "s2-a0", "cat", "city", "cosy", "city"),
        folders.asked("S3", "s3-a0", "cat", "1", "3", "1"),
        folders.asked("S3", "s3-a1", "cat", "5", "3", "5"),
    ]
    return make_run(
        folders, questions, seed=1, base=("cosy", "3", "3"), sft=("city", "1", "4"), rl=("cosy", "1", "5")
    )  # fmt: skip
