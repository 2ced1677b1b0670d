"""A policy's answers to records: generate, read strictly and leniently, score with the task's own reward."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from transformers import PreTrainedModel

from tagpr.chains.tags import TagVocabulary, parse
from tagpr.data.prompts import PromptBuilder
from tagpr.lm.generation.base import Completion, RolloutEngine, Sampling
from tagpr.tasks import task_named
from tagpr.types import Prediction, Prompt


def predict(
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    *,
    builder: PromptBuilder,
    engine: RolloutEngine,
    tags: TagVocabulary,
    sampling: Sampling,
    num_samples: int,
    decoding: str,
    seed: int,
    on_done: Callable[[int], None] | None,
) -> tuple[list[Prediction], int]:
    """`num_samples` answers to each prompt, in order, and how many completions were cut at the token limit."""
    completions = engine.generate(
        model, [builder.token_ids(prompt) for prompt in prompts], num_samples=num_samples, sampling=sampling, seed=seed,
        on_done=on_done,
    )  # fmt: skip
    predictions = [
        read_completion(prompt, completion, tags=tags, decoding=decoding, sample_index=index)
        for prompt, group in zip(prompts, completions, strict=True)
        for index, completion in enumerate(group)
    ]
    return predictions, sum(completion.truncated for group in completions for completion in group)


def read_completion(
    prompt: Prompt, completion: Completion, *, tags: TagVocabulary, decoding: str, sample_index: int
) -> Prediction:
    """One completion as a prediction.

    The strict answer is what stands outside the thinking block, whether or not the tags are in order: tags are the tag
    reward's matter. An unparsable answer is scored by the official fallback and counted by `parsed`.
    """
    record = prompt.record
    task = task_named(record.task)
    answer = parse(completion.text, tags, prompt.thinking, task.is_valid).answer
    lenient = task.lenient(completion.text)
    gold = record.gold
    return Prediction(
        record_id=record.record_id, user_id=record.user_id, task=record.task, decoding=decoding,
        sample_index=sample_index, completion=completion.text, answer=answer, parsed=task.is_valid(answer),
        lenient_answer=lenient, gold=gold, score=math.nan if gold is None else task.score(answer, gold),
        lenient_score=math.nan if gold is None else task.score(lenient, gold),
    )  # fmt: skip
