"""The swap stage: one policy's greedy answers to the test questions with the person's own and with other histories."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from tagpr import storage
from tagpr.chains.tags import TagVocabulary
from tagpr.context import StageContext, StopRequested
from tagpr.data.other_people import People
from tagpr.data.prompts import PromptBuilder, PromptStyle, check_fits_context
from tagpr.data.retrieval import Retriever
from tagpr.data.simulated.observer import reference_answers
from tagpr.errors import UserError
from tagpr.evaluation.predict import read_completion
from tagpr.evaluation.specificity import SwappedAnswer, specificity
from tagpr.evaluation.stage import spread
from tagpr.evaluation.swap import NEAREST, RANDOM, Swapped, swapped_histories
from tagpr.lm.backbone import Backbone, load_tokenizer
from tagpr.lm.generation.base import Completion, Sampling
from tagpr.schema import EvaluatedPeople, SwapSettings
from tagpr.tasks import task_named
from tagpr.types import Record

CHUNK = 128  # questions per generation call, each under every condition; a killed swap loses at most one
NUM_RESAMPLES = 10_000
RESAMPLING_SEED = 20250928


def run(
    *,
    prompt: PromptStyle,
    tags: TagVocabulary,
    engine: Any,
    backbone: Backbone,
    retrieval: Retriever,
    evaluation: EvaluatedPeople,
    swap: SwapSettings,
    inputs: Mapping[str, Path],
    output: Path,
    context: StageContext,
) -> dict[str, int | float]:
    """swap.parquet: every answer under every condition; swap.json: Gain, Specificity and how well histories matched.

    Args:
        engine: partial of a RolloutEngine that takes the tokenizer.
        inputs: records and policy.
    Raises:
        UserError: prompts that show no history.
    """
    policy = inputs["policy"] / "policy"
    model, tokenizer = backbone.load(policy), load_tokenizer(policy)
    builder = PromptBuilder(style=prompt, tokenizer=tokenizer)
    check_fits_context(
        builder, context_tokens=model.config.max_position_embeddings, completion_tokens=swap.max_new_tokens
    )
    records = storage.read_records(inputs["records"], evaluation.splits)
    asked = _asked(records, evaluation.max_records, swap.max_records)
    own = [builder.build(record) for record in asked]
    shown = [one for one in own if one.history]
    if not shown:
        raise UserError(
            "diagnostics.swap: no prompt shows an entry of the person's history, so there is nothing to swap. Set "
            "retrieval and prompt to ones that show history, or diagnostics=none."
        )
    people = {task: People(list(group)) for task, group in _by_task(records)}
    sampling = Sampling(temperature=0.0, top_p=1.0, top_k=0, max_new_tokens=swap.max_new_tokens)
    rollouts = engine(tokenizer=tokenizer)
    model = rollouts.place(model)
    answers: list[SwappedAnswer] = []
    with context.progress(context.stage, len(shown)) as advance:
        for start in range(0, len(shown), CHUNK):
            if context.stop.is_set():
                raise StopRequested
            part = shown[start : start + CHUNK]
            done = context.checkpoints / f"swap_{start:06d}.parquet"
            if done.exists():
                chunk = read_answers(done)
            else:
                swapped = [
                    one
                    for each in part
                    for one in swapped_histories(
                        each, people[each.record.task], build=builder.build, retriever=retrieval,
                        candidates=swap.candidates, length_band=swap.length_band, seed=context.seed,
                    )
                ]  # fmt: skip
                # People who are asked the same read the same prompt without history: it is answered once.
                token_ids = {one.prompt.text: builder.token_ids(one.prompt) for one in swapped}
                drawn = rollouts.generate(
                    model, list(token_ids.values()), num_samples=1, sampling=sampling, seed=context.seed, on_done=None
                )
                completions = {text: group[0] for text, group in zip(token_ids, drawn, strict=True)}
                chunk = list(_read(swapped, completions, people, tags=tags))
                storage.write_parquet(done, chunk, SwappedAnswer)
            answers += chunk
            advance(len(part))
    storage.write_parquet(output / "swap.parquet", answers, SwappedAnswer)
    matched = matching(answers)
    result = specificity(((0, one) for one in answers), nested=False, num_resamples=NUM_RESAMPLES, seed=RESAMPLING_SEED)
    unknown = sum(not one.other_answer_from for one in answers if one.condition == NEAREST)
    storage.write_json(
        output / "swap.json",
        {
            "tasks": {task: {**asdict(one), "formatting_only": one.formatting_only} for task, one in result.items()},
            "matching": matched,
            "other_answer_from": {
                source: sum(one.other_answer_from == source for one in answers if one.condition == NEAREST)
                for source in ("gold", "rule")
            },
            "other_answer_unknown": unknown,
            "without_history": len(own) - len(shown),
        },
    )
    return {
        "records": len(shown), "people": len({one.record.user_id for one in shown}), "answers": len(answers),
        "without_history": len(own) - len(shown), "truncated": sum(one.truncated for one in answers),
        "unparsed": sum(not one.parsed for one in answers),
        **{f"{condition}_{how}": number for condition, by in matched.items() for how, number in by.items()},
    }  # fmt: skip


def read_answers(path: Path) -> list[SwappedAnswer]:
    """The rows of a swap.parquet."""
    return [SwappedAnswer(**row) for row in storage.read_parquet(path)]


def matching(answers: Sequence[SwappedAnswer]) -> dict[str, dict[str, int]]:
    """Condition -> how many histories of others have the size of the own one, and how many only come closest."""
    return {
        condition: {
            how: sum(one.condition == condition and one.exact is exact for one in answers)
            for how, exact in (("exact", True), ("closest", False))
        }
        for condition in (NEAREST, RANDOM)
    }


def _asked(records: Sequence[Record], *limits: int | None) -> Sequence[Record]:
    for limit in limits:
        if limit is not None:
            records = spread(records, limit)
    return records


def _by_task(records: Sequence[Record]) -> Iterator[tuple[str, Iterator[Record]]]:
    return groupby(sorted(records, key=_task), key=_task)


def _task(record: Record) -> str:
    return record.task


def _read(
    swapped: Sequence[Swapped], completions: Mapping[str, Completion], people: Mapping[str, People], *,
    tags: TagVocabulary,
) -> Iterator[SwappedAnswer]:  # fmt: skip
    """The answers, scored on the person's gold and on what the other person says."""
    nearest = {_key(one.prompt.record): one.other for one in swapped if one.condition == NEAREST}
    for one in swapped:
        record, history = one.prompt.record, one.prompt.history
        task = task_named(record.task)
        completion = completions[one.prompt.text]
        read = read_completion(one.prompt, completion, tags=tags, decoding="greedy", sample_index=0)
        other = one.other or nearest[_key(record)]
        assert other is not None
        wanted, source = people[record.task].answer_of(other, record)
        best = "" if record.truth is None else reference_answers(record, history).bayes

        def score(answer: str, target: str | None, known: object, scored=task.score) -> float:
            return scored(answer, target) if known and target is not None else math.nan

        yield SwappedAnswer(
            record_id=record.record_id, user_id=record.user_id, task=record.task, condition=one.condition,
            other_user_id="" if one.other is None else one.other.user_id, exact=one.exact, entries=len(history),
            characters=sum(len(entry.input) + len(entry.response) for entry in history),
            completion=completion.text, answer=read.answer, parsed=read.parsed, truncated=completion.truncated,
            gold=record.gold, score=read.score, bayes_answer=best, bayes_score=score(best, record.gold, record.truth),
            other_answer=wanted, other_answer_from=source, other_score=score(read.answer, wanted, source),
            bayes_other_score=score(best, wanted, source and record.truth),
        )  # fmt: skip


def _key(record: Record) -> tuple[str, str]:
    return record.task, record.record_id
