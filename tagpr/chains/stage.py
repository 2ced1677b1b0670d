"""The chains stage: a teacher's chains for the questions set aside for SFT, tagged and filtered."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from tagpr.chains.accounts import Accountable
from tagpr.chains.assemble import write_completion
from tagpr.chains.filters import REASONS, ROUNDING, Candidate, ChainFilter
from tagpr.chains.taggers.base import Tagger
from tagpr.chains.tags import TagVocabulary
from tagpr.chains.teachers.base import Teacher
from tagpr.context import StageContext
from tagpr.data.prompts import PromptBuilder, PromptStyle
from tagpr.errors import BadInputError
from tagpr.lm.backbone import Backbone
from tagpr.storage import read_records, write_chains, write_json
from tagpr.tasks import ALL_TASKS
from tagpr.types import Record, TaggedChain


@dataclass(frozen=True, kw_only=True)
class ChainSettings:
    """Built from the group `chains`."""

    num_samples: int  # chains that the teacher writes per record
    dev_records: int  # most dev people's questions that get chains, to validate SFT on
    train_people: int | None  # who get chains; None: all
    filter: ChainFilter


def run(
    *,
    teacher: Teacher,
    tagger: Tagger,
    tags: TagVocabulary,
    prompt: PromptStyle,
    backbone: Backbone,
    chains: ChainSettings,
    inputs: Mapping[str, Path],
    output: Path,
    context: StageContext,
) -> dict[str, int | float]:
    """Write `chains.parquet` and `rejected.parquet` into `output`; `not_had.jsonl` where a teacher or tagger failed.

    Where the prompt asks for no thinking, chains are sampled and filtered all the same and their bare answers kept, so
    that arms with and without reasoning spend the same gold on the same answers.

    Returns:
        counts by reason of rejection, and of train people's chains the teacher's mean score and share at or above the
        bar: over all, its habitual and its honest ones.
    Raises:
        BadInputError: no record to write chains for, or no chain of a train person could be had.
    """
    records = choose_records(read_records(inputs["records"], ("train", "dev")), chains.dev_records, seed=context.seed)
    records = with_train_people(records, chains.train_people, seed=context.seed)
    if not any(record.split == "train" for record in records):
        raise BadInputError(
            f"{inputs['records']} holds no question of a train person with purpose sft and a gold answer: nothing to "
            "write chains for. Look at the counts in its manifest.json."
        )
    builder = PromptBuilder(style=prompt, tokenizer=backbone.tokenizer())
    started = time.perf_counter()
    shown = [builder.build(record) for record in records]
    kept = _kept(teacher, "teacher", context)
    with context.progress("writing chains", total=len(shown)) as advance:
        written = teacher.write(
            shown, num_samples=chains.num_samples, seed=context.seed, kept=kept, on_done=advance,
        )  # fmt: skip
    had = [
        (prompt, index, raw)
        for prompt, raws in zip(shown, written, strict=True)
        for index, raw in enumerate(raws)
        if raw is not None
    ]
    if not any(prompt.record.split == "train" for prompt, _, _ in had):
        spent = ", ".join(f"{name} {number}" for name, number in teacher.spent().items())
        raise BadInputError(
            f"of {len(shown) * chains.num_samples} chains asked of the teacher {teacher.name}, none of a train "
            f"person's could be read: nothing to teach{f' ({spent})' if spent else ''}. A longer "
            "teacher.max_new_tokens (of an endpoint: teacher.max_tokens) helps where replies are cut off, a more able "
            "teacher where they are not as asked; "
            f"what it said is kept in {kept}."
        )
    with context.progress("tagging chains", total=len(had)) as advance:
        labels = tagger.tag_all(
            [(prompt, raw.steps) for prompt, _, raw in had], kept=_kept(tagger, "tagger", context), on_done=advance
        )
    candidates: list[Candidate] = []
    habitual: list[bool] = []
    for (one, index, raw), names in zip(had, labels, strict=True):
        if names is None:
            continue
        candidates.append(
            Candidate(
                prompt=one,
                sample_index=index,
                reasoning=" ".join(raw.steps),
                completion=write_completion(raw.steps, names, raw.answer, tags),
                answer=raw.answer,
                score=ALL_TASKS[one.record.task].score(raw.answer, one.record.gold or ""),
            )
        )
        habitual.append(raw.habitual)
    bars = chains.filter.bars(_train_scores(candidates), ALL_TASKS)
    reasons = chains.filter.judge(candidates, tasks=ALL_TASKS, bars=bars, vocabulary=tags, seed=context.seed)
    judged = [_tagged_chain(*item, teacher=teacher.name) for item in zip(candidates, habitual, reasons, strict=True)]
    write_chains(output, [one for one in judged if not one.rejected], [one for one in judged if one.rejected])
    _write_not_had(output / "not_had.jsonl", [*teacher.failed(), *tagger.failed()])
    seconds = time.perf_counter() - started
    is_train = [candidate.prompt.record.split == "train" for candidate in candidates]
    return {
        **_counts(judged, is_train),
        **_teacher_scores(judged, is_train, bars),
        "chains_not_had": len(shown) * chains.num_samples - len(had),
        "chains_not_tagged": len(had) - len(candidates),
        **teacher.spent(),
        **tagger.spent(),
        "chains_per_second": len(judged) / seconds,
    }


def _kept(writer: Accountable, name: str, context: StageContext) -> Path:
    """Where replies are kept: with what everything depends on for a key, ablations of one run share them and so keep
    the same chains; else they are this stage's own."""
    if not writer.shares_kept or context.replies is None:
        return context.checkpoints / name
    # The stage can be resumed, although what it goes on from lies elsewhere.
    write_json(context.checkpoints / f"{name}.json", {"kept_at": str(context.replies)})
    return context.replies


def _write_not_had(path: Path, failures: Sequence[Mapping[str, str | int | None]]) -> None:
    if failures:
        path.write_text("".join(f"{json.dumps(line)}\n" for line in failures), encoding="utf-8")


def choose_records(records: Sequence[Record], num_dev: int, *, seed: int) -> list[Record]:
    """Train people's questions for SFT, and some of the dev people's; only those with a gold answer."""
    train = [r for r in records if r.split == "train" and r.purpose == "sft" and r.gold is not None]
    dev = [r for r in records if r.split == "dev" and r.gold is not None]
    return train + random.Random(seed).sample(dev, min(num_dev, len(dev)))


def with_train_people(records: Sequence[Record], num_people: int | None, *, seed: int) -> list[Record]:
    """The records of `num_people` train people, and all of the others'; of two numbers the smaller one's people are
    among the larger one's.

    Raises:
        BadInputError: fewer than one, or more than there are.
    """
    if num_people is None:
        return list(records)
    people = sorted({record.user_id for record in records if record.split == "train"})
    if not 1 <= num_people <= len(people):
        raise BadInputError(
            f"chains.train_people is {num_people}, expected 1 to {len(people)} (the train people with a question for "
            "SFT), or null for all of them."
        )
    random.Random(f"{seed}/train people").shuffle(people)
    chosen = set(people[:num_people])
    return [record for record in records if record.split != "train" or record.user_id in chosen]


def _train_scores(candidates: Sequence[Candidate]) -> dict[str, list[float]]:
    """Scores per task of train people's chains; of dev people's where a task has no others."""
    scores: dict[str, list[float]] = {}
    for split in ("train", "dev"):
        found: dict[str, list[float]] = {}
        for candidate in candidates:
            if candidate.prompt.record.split == split:
                found.setdefault(candidate.prompt.record.task, []).append(candidate.score)
        scores = found | scores
    return scores


def _tagged_chain(candidate: Candidate, habitual: bool, reason: str, *, teacher: str) -> TaggedChain:
    return TaggedChain(
        record_id=candidate.prompt.record.record_id,
        task=candidate.prompt.record.task,
        sample_index=candidate.sample_index,
        completion=candidate.completion if candidate.prompt.thinking else candidate.answer,
        answer=candidate.answer,
        score=candidate.score,
        teacher=teacher,
        habitual=habitual,
        rejected=reason,
    )


def _counts(judged: Sequence[TaggedChain], is_train: Sequence[bool]) -> dict[str, int]:
    train = [chain for chain, inside in zip(judged, is_train, strict=True) if inside]
    kept = [chain for chain in train if not chain.rejected]
    reasons = Counter(chain.rejected for chain in train)
    return {
        "chains_written": len(train),
        "chains_kept": len(kept),
        "chains_kept_habitual": sum(chain.habitual for chain in kept),
        "chains_kept_dev": sum(not chain.rejected for chain in judged) - len(kept),
        "records": len({chain.record_id for chain in train}),
        "records_without_chain": len({c.record_id for c in train}) - len({c.record_id for c in kept}),
        "gold_labels": len({chain.record_id for chain in train}),
        **{f"rejected_{reason}": reasons[reason] for reason in REASONS},
    }


def _teacher_scores(
    judged: Sequence[TaggedChain], is_train: Sequence[bool], bars: Mapping[str, float]
) -> dict[str, float]:
    train = [chain for chain, inside in zip(judged, is_train, strict=True) if inside]
    groups = {
        "teacher": train,
        "teacher_habitual": [chain for chain in train if chain.habitual],
        "teacher_honest": [chain for chain in train if not chain.habitual],
    }
    figures = {}
    for name, group in groups.items():
        if group:
            figures[f"{name}_score"] = mean(chain.score for chain in group)
            figures[f"{name}_good"] = mean(chain.score >= bars[chain.task] - ROUNDING for chain in group)
            for task in sorted({chain.task for chain in group}):
                figures[f"{name}_score/{task}"] = mean(chain.score for chain in group if chain.task == task)
    return figures
