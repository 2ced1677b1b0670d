"""Records and the SFT policy in, preference pairs out."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from tagpr.chains.tags import TagVocabulary, parse
from tagpr.context import StageContext
from tagpr.data.prompts import PromptBuilder, PromptStyle, check_fits_context
from tagpr.errors import UserError
from tagpr.lm.backbone import Backbone, load_tokenizer
from tagpr.lm.generation.base import RolloutEngine, Sampling
from tagpr.prmu.pairs import (
    N1,
    N1_LABEL,
    N3,
    N4,
    PolicySample,
    label_frequencies,
    label_pairs,
    no_history_pairs,
    on_policy_pairs,
    quotas,
    remove_duplicates,
    shared_query_pairs,
    split_queries,
    take,
    take_blocks,
)
from tagpr.prmu.shortcuts import shortcut_report
from tagpr.storage import iterate_records, write_json, write_pairs, write_parquet
from tagpr.tasks import ALL_TASKS
from tagpr.types import PreferencePair, Record


class ShortcutWarning(UserWarning):
    """A rule that sees no user wins too often on real pairs."""


class ShortcutError(UserError):
    """The same on simulated pairs, which are ours to make without shortcuts."""


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """Built from the group `pairs`."""

    mix: Mapping[str, float]  # share of N1, N1_label, N3, N4; they add up to 1
    max_pairs: int  # upper bound on the training pairs
    people_per_query: int  # N1: people of one block; they share texts in training
    labels_per_record: int  # N1_label: negatives per record
    samples: int  # N4 and the dev samples: answers per prompt
    no_history_samples: int  # N3: answers to choose the length match from
    max_prompts: int  # records the policy answers, per type
    dev_prompts: int  # dev records it answers
    min_gap: float  # N4: official score by which the chosen answer leads
    negatives_per_record: int  # N4
    dev_query_share: float  # of the queries that train and dev people share
    shortcut_limit: float  # accuracy above which a user-blind rule is a fault of the pairs
    temperature: float  # of all sampling here
    max_new_tokens: int


def run(
    *,
    backbone: Backbone,
    prompt: PromptStyle,
    tags: TagVocabulary,
    engine: Callable[..., RolloutEngine],
    pairs: PairSettings,
    inputs: Mapping[str, Path],
    output: Path,
    context: StageContext,
) -> dict[str, int | float]:
    """Make pairs of train people's `pairs` questions and, apart, of dev people's.

    Writes `train.parquet`, `dev.parquet`, `samples.parquet` (the policy's answers with their scores), `shortcuts.json`.

    Returns:
        Pairs per type and split, what was removed and why, samples and how many could be read, gold labels used.
    Raises:
        ShortcutError: on simulated people, a rule that sees no user wins N1 pairs too often.
    """
    generator = np.random.default_rng(context.seed)
    policy_folder = inputs["sft"] / "policy"
    tokenizer = load_tokenizer(policy_folder)
    model = backbone.load(policy_folder)
    builder = PromptBuilder(style=prompt, tokenizer=tokenizer)
    check_fits_context(
        builder, context_tokens=model.config.max_position_embeddings, completion_tokens=pairs.max_new_tokens
    )
    answering = _Answering(
        engine=engine(tokenizer=tokenizer),
        model=model,
        builder=builder,
        vocabulary=tags,
        settings=pairs,
        context=context,
    )
    train, dev = split_queries(
        [r for r in iterate_records(inputs["records"], ["train"]) if r.purpose == "pairs" and r.gold is not None],
        [r for r in iterate_records(inputs["records"], ["dev"]) if r.gold is not None],
        dev_share=pairs.dev_query_share,
    )
    frequencies = label_frequencies(train)

    def length(answer: str) -> int:
        return len(tokenizer(answer, add_special_tokens=False)["input_ids"])

    made: list[PreferencePair] = []
    samples: list[PolicySample] = []
    removed: Counter[str] = Counter()
    for split, records in (("train", train), ("dev", dev)):
        blocks = shared_query_pairs(records, people_per_query=pairs.people_per_query, generator=generator)
        sharing = {pair.record_id for block in blocks for pair in block}
        labels = label_pairs(records, frequencies, per_record=pairs.labels_per_record, generator=generator)
        available = {N1: sum(map(len, blocks)), N1_LABEL: len(labels)}
        quota = quotas(pairs.mix, available, max_pairs=pairs.max_pairs)
        # Records in N1 first: the same histories then serve all three types in training.
        order = sorted(records, key=lambda r: r.record_id not in sharing)
        limits = {
            kind: pairs.dev_prompts if split == "dev" else min(pairs.max_prompts, quota[kind]) for kind in (N3, N4)
        }
        chosen = {kind: _some(order, limits[kind], generator) for kind in (N3, N4)}
        samples += answering.samples(chosen[N4], with_history=True, number=pairs.samples)
        samples += answering.samples(chosen[N3], with_history=False, number=pairs.no_history_samples)
        n3 = no_history_pairs(chosen[N3], samples, length=length)
        n4 = on_policy_pairs(chosen[N4], samples, min_gap=pairs.min_gap, per_record=pairs.negatives_per_record)
        kept, reasons = remove_duplicates(
            [
                *take_blocks(blocks, quota[N1], generator=generator),
                *take(labels, quota[N1_LABEL], generator=generator),
                *take(n3, quota[N3], generator=generator),
                *take(n4, quota[N4], generator=generator),
            ]
        )
        made += kept
        removed += reasons
    write_pairs(output, made)
    write_parquet(output / "samples.parquet", samples, PolicySample)
    by_split = {split: [pair for pair in made if pair.split == split] for split in ("train", "dev")}
    report = shortcut_report(by_split["train"], by_split["dev"], limit=pairs.shortcut_limit)
    write_json(output / "shortcuts.json", report)
    _judge_shortcuts(report, simulated=any(record.truth is not None for record in train))
    counts = Counter(f"{pair.split}_{pair.negative_type}" for pair in made)
    return {
        **{name: counts[name] for name in sorted(counts)},
        **{f"removed_{reason}": number for reason, number in sorted(removed.items())},
        "samples": len(samples),
        "samples_parsed": sum(sample.parsed for sample in samples),
        "gold_labels": len({pair.record_id for pair in by_split["train"]}),
    }


class _Answering:
    """The SFT policy as a source of answers."""

    def __init__(
        self,
        *,
        engine: RolloutEngine,
        model: PreTrainedModel,
        builder: PromptBuilder,
        vocabulary: TagVocabulary,
        settings: PairSettings,
        context: StageContext,
    ) -> None:
        self.engine = engine
        self.model = model
        self.builder = builder
        self.vocabulary = vocabulary
        self.settings = settings
        self.context = context
        self.calls = 0

    def samples(self, records: Sequence[Record], *, with_history: bool, number: int) -> list[PolicySample]:
        """`number` answers to each record, scored."""
        if not records or not number:
            return []
        self.calls += 1
        asked = records if with_history else [replace(record, retrieved=()) for record in records]
        prompts = [self.builder.build(record) for record in asked]
        title = "sampling answers" if with_history else "sampling answers without history"
        with self.context.progress(title, total=len(prompts) * number) as advance:
            groups = self.engine.generate(
                self.model,
                [self.builder.token_ids(prompt) for prompt in prompts],
                num_samples=number,
                sampling=Sampling(
                    temperature=self.settings.temperature,
                    top_p=1.0,
                    top_k=0,
                    max_new_tokens=self.settings.max_new_tokens,
                ),
                seed=self.context.seed + self.calls,
                on_done=advance,
            )
        samples = []
        for record, prompt, group in zip(records, prompts, groups, strict=True):
            task = ALL_TASKS[record.task]
            for i, completion in enumerate(group):
                parsed = parse(completion.text, self.vocabulary, prompt.thinking, task.is_valid)
                samples.append(
                    PolicySample(
                        record_id=record.record_id,
                        user_id=record.user_id,
                        task=record.task,
                        split=record.split,
                        with_history=with_history,
                        sample_index=i,
                        answer=parsed.answer,
                        parsed=parsed.g_answer and not completion.truncated,
                        score=task.score(parsed.answer, record.gold or ""),
                    )
                )
        return samples


def _some(records: Sequence[Record], number: int, generator: np.random.Generator) -> list[Record]:
    """`number` records, people in turn, so that no one person fills the quota; earlier records of a person first."""
    turn: Counter[str] = Counter()
    keyed = []
    shuffle = generator.permutation(len(records))
    for place, record in zip(shuffle, records, strict=True):
        keyed.append((turn[record.user_id], int(place), record))
        turn[record.user_id] += 1
    return [record for _, _, record in sorted(keyed, key=lambda item: item[:2])[:number]]


def _judge_shortcuts(report: Mapping[str, Sequence[str]], *, simulated: bool) -> None:
    on_taste = [line for line in report["exceeded"] if f"on {N1}:" in line]
    if not on_taste:
        return
    message = (
        f"A rule that sees no user wins {', '.join(on_taste)} of the pairs, expected at most {report['limit']}: PRMU "
        "could learn that instead of taste. shortcuts.json has the figures; look at pairs.mix and at the answers."
    )
    if simulated:
        raise ShortcutError(message)
    warnings.warn(message, ShortcutWarning, stacklevel=2)
