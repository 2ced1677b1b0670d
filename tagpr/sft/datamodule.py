"""What a batch of supervised fine-tuning is: the chains of some records, each prompt once for all chains after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from tagpr.data.prompts import PromptBuilder
from tagpr.lm.batches import GroupedBatch, split_groups
from tagpr.types import Record, TaggedChain


@dataclass(frozen=True, kw_only=True, slots=True)
class SftExample:
    """A chain as the policy is to write it. Filled by `encode_chains`."""

    record_id: str
    prompt_ids: tuple[int, ...]  # chat template and generation prompt included
    completion_ids: tuple[int, ...]  # end-of-text included


@dataclass(frozen=True, kw_only=True, slots=True)
class SftBatch:
    """One optimizer step on one rank. Filled by the collate function."""

    micro_batches: tuple[GroupedBatch, ...]
    num_tokens: int  # completion tokens in all of them


def encode_chains(
    chains: Sequence[TaggedChain],
    records: Mapping[str, Record],
    *,
    builder: PromptBuilder,
    tokenizer: PreTrainedTokenizerBase,
    max_positions: int,
) -> list[SftExample]:
    """Chains as token ids. A record's prompt is built once for all of its chains.

    Raises:
        ValueError: a chain of an unknown record, or one that is longer than the model's context.
    """
    eos = tokenizer.eos_token_id
    assert isinstance(eos, int)
    prompts: dict[str, tuple[int, ...]] = {}
    examples = []
    for chain in chains:
        if chain.record_id not in records:
            raise ValueError(
                f"a chain belongs to record {chain.record_id!r}, which is not among the {len(records)} records: "
                "the chains were made from other records; run the chains stage again."
            )
        if chain.record_id not in prompts:
            prompts[chain.record_id] = tuple(builder.token_ids(builder.build(records[chain.record_id])))
        completion = tokenizer.encode(chain.completion, add_special_tokens=False)
        example = SftExample(
            record_id=chain.record_id,
            prompt_ids=prompts[chain.record_id],
            completion_ids=(*completion, eos),
        )
        length = len(example.prompt_ids) + len(example.completion_ids)
        if length > max_positions:
            raise ValueError(
                f"record {chain.record_id!r}: prompt and chain have {length} tokens, but the model's context is "
                f"{max_positions}. Lower the prompt's token budget."
            )
        examples.append(example)
    return examples


def split_examples(
    examples: Sequence[SftExample], records: Mapping[str, Record], *, num_dev_records: int, seed: int
) -> tuple[list[SftExample], list[SftExample]]:
    """Train and dev: dev people's chains where there are any, else all chains of some train records.

    A record's chains never stand on both sides.

    Args:
        num_dev_records: most records on the dev side; held out from train, at most a fifth of the records are taken.
    """
    by_record: dict[str, list[SftExample]] = {}
    for example in examples:
        by_record.setdefault(example.record_id, []).append(example)
    train = [name for name in by_record if records[name].split == "train"]
    dev = [name for name in by_record if records[name].split == "dev"]
    order = np.random.default_rng(seed)
    if dev:
        dev = [dev[i] for i in order.permutation(len(dev))[:num_dev_records]]
    else:
        held_out = set(order.permutation(len(train))[: min(num_dev_records, len(train) // 5)].tolist())
        dev = [name for i, name in enumerate(train) if i in held_out]
        train = [name for i, name in enumerate(train) if i not in held_out]
    return [e for name in train for e in by_record[name]], [e for name in dev for e in by_record[name]]


def record_numbers(examples: Sequence[SftExample]) -> list[int]:
    """Each example's record, counted from 0: what the loader keeps together."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(example.record_id, len(numbers)) for example in examples]


def make_batch(examples: Sequence[SftExample], *, micro_batch_tokens: int, pad_id: int) -> SftBatch:
    """Micro-batches of like length that hold at most `micro_batch_tokens` tokens, padding included.

    The chains of one record are one group, whose prompt is encoded once. A micro-batch has groups of one size: where
    records differ in how many chains they have in the step, each size gets micro-batches of its own.
    """
    records: dict[str, list[SftExample]] = defaultdict(list)
    for example in examples:
        records[example.record_id].append(example)
    by_size: dict[int, list[list[SftExample]]] = defaultdict(list)
    for group in records.values():
        by_size[len(group)].append(group)
    micro_batches: list[GroupedBatch] = []
    for _, groups in sorted(by_size.items()):
        whole = GroupedBatch.from_lists(
            [group[0].prompt_ids for group in groups],
            [[example.completion_ids for example in group] for group in groups],
            pad_id=pad_id,
        )
        micro_batches += [whole.select(index) for index in split_groups(whole, max_tokens=micro_batch_tokens)]
    return SftBatch(
        micro_batches=tuple(micro_batches),
        num_tokens=sum(len(example.completion_ids) for example in examples),
    )


def collate_examples(
    examples: Sequence[SftExample], *, micro_batch_tokens: int, pad_id: int
) -> Callable[[list[int], np.random.Generator], SftBatch]:
    """The loader's collate function over these examples."""

    def collate(indices: list[int], generator: np.random.Generator) -> SftBatch:
        return make_batch([examples[i] for i in indices], micro_batch_tokens=micro_batch_tokens, pad_id=pad_id)

    return collate
