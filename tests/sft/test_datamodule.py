"""Chains become token ids, and batches waste little on padding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tagpr.data.prompts import PromptBuilder
from tagpr.lm.backbone import Backbone
from tagpr.sft.datamodule import SftExample, encode_chains, make_batch, record_numbers, split_examples
from tagpr.types import Record


def encode(chains, records: dict[str, Record], builder: PromptBuilder, *, max_positions: int = 256) -> list[SftExample]:
    return encode_chains(chains, records, builder=builder, tokenizer=builder.tokenizer, max_positions=max_positions)


def test_completion_follows_the_prompt_and_ends_in_eos(
    records: dict[str, Record], builder: PromptBuilder, make_chain: Any
) -> None:
    example = encode([make_chain(records["r1"])], records, builder)[0]
    tokenizer = builder.tokenizer
    assert tokenizer.decode(example.prompt_ids) == (
        "<|im_start|>user\nscore :\n<1> loud place => 2\n? calm calm =><|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.decode(example.completion_ids) == "<think><a>so : 2</a></think>2<|im_end|>"
    assert example.completion_ids[-1] == tokenizer.eos_token_id


def test_without_thinking_the_completion_is_the_answer(
    records: dict[str, Record], backbone: Backbone, style, make_chain: Any
) -> None:
    builder = PromptBuilder(style=replace(style, thinking=False), tokenizer=backbone.tokenizer())
    example = encode([replace(make_chain(records["r1"]), completion="2")], records, builder)[0]
    assert builder.tokenizer.decode(example.prompt_ids).endswith("<|im_start|>assistant\n<think></think>")
    assert builder.tokenizer.decode(example.completion_ids) == "2<|im_end|>"


def test_unknown_records_and_long_chains_are_named(
    records: dict[str, Record], builder: PromptBuilder, make_chain: Any
) -> None:
    with pytest.raises(ValueError, match="belongs to record 'r99', which is not among the 13 records"):
        encode([replace(make_chain(records["r1"]), record_id="r99")], records, builder)
    with pytest.raises(ValueError, match="'r1': prompt and chain have 91 tokens, but the model's context is 50"):
        # 61 bytes and chat tokens of prompt, 29 bytes of chain, end-of-text.
        encode([make_chain(records["r1"])], records, builder, max_positions=50)


def test_dev_people_validate(records: dict[str, Record], builder: PromptBuilder, make_chain: Any) -> None:
    examples = encode([make_chain(record) for record in records.values()], records, builder)
    train, dev = split_examples(examples, records, num_dev_records=2, seed=0)
    assert {e.record_id for e in train} == {f"r{n}" for n in range(10)}
    assert len(dev) == 2
    assert {e.record_id for e in dev} < {"r10", "r11", "r12"}


def test_without_dev_chains_whole_records_are_held_out(
    records: dict[str, Record], builder: PromptBuilder, make_chain: Any
) -> None:
    chains = [make_chain(records[f"r{n}"], sample_index=i) for i in range(2) for n in range(10)]
    examples = encode(chains, records, builder)
    train, dev = split_examples(examples, records, num_dev_records=64, seed=0)
    assert (len(train), len(dev)) == (16, 4)  # at most a fifth of the records, both chains of each
    assert not {e.record_id for e in train} & {e.record_id for e in dev}
    assert split_examples(examples, records, num_dev_records=64, seed=0) == (train, dev)
    assert split_examples(examples, records, num_dev_records=64, seed=1)[1] != dev
    assert split_examples(examples, records, num_dev_records=0, seed=0)[1] == []


def test_micro_batches_hold_like_lengths_within_the_budget() -> None:
    lengths = [3, 40, 4, 38, 5, 39]
    examples = [SftExample(record_id=str(n), prompt_ids=(7,) * n, completion_ids=(8,) * 2) for n in lengths]
    batch = make_batch(examples, micro_batch_tokens=90, pad_id=0)
    found = [sorted(part.prompt_lengths.tolist()) for part in batch.micro_batches]
    assert found == [[3, 4, 5], [38, 39], [40]]  # 2 * (39 + 2) <= 90 < 3 * (40 + 2)
    assert batch.num_tokens == 12


def test_chains_of_a_record_share_its_prompt() -> None:
    names = ["b", "b", "a", "c", "c", "b"]
    prompts = {"a": (7,) * 4, "b": (7,) * 5, "c": (7,) * 6}
    examples = [
        SftExample(record_id=name, prompt_ids=prompts[name], completion_ids=(8,) * (i + 1))
        for i, name in enumerate(names)
    ]
    assert record_numbers(examples) == [0, 0, 1, 2, 2, 0]
    batch = make_batch(examples, micro_batch_tokens=100, pad_id=0)
    # A micro-batch per group size: record a with one chain, c with two, b with three.
    assert [part.prompt_lengths.tolist() for part in batch.micro_batches] == [[4], [6], [5]]
    assert [part.completion_lengths.tolist() for part in batch.micro_batches] == [[[3]], [[4, 5]], [[1, 2, 6]]]
    assert batch.num_tokens == 1 + 2 + 3 + 4 + 5 + 6
