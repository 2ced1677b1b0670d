"""Records, chains and a tiny model for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tagpr.data.prompts import CompactStyle, PromptBuilder
from tagpr.lm.backbone import Backbone, fresh_tiny
from tagpr.types import ProfileEntry, Record, TaggedChain

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_tokenizer() -> PreTrainedTokenizerBase:
    """One token per byte, and the chat's own."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate([*SPECIAL, *letters])}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=SPECIAL[1:2]
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


@dataclass(frozen=True, kw_only=True)
class TinyBackbone(Backbone):
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return byte_tokenizer()

    def policy(self) -> PreTrainedModel:
        return fresh_tiny(
            self.tokenizer(),
            hidden_size=16,
            intermediate_size=32,
            num_layers=2,
            num_heads=2,
            num_kv_heads=1,
            head_dim=8,
            max_positions=256,
            init_std=0.2,
            seed=7,
            attention=self.attention,
        )


def make_record(number: int, *, split: str = "train") -> Record:
    return Record(
        record_id=f"r{number}",
        user_id=f"u{number // 2}",
        task="S3",
        split=split,
        purpose="sft" if split == "train" else "dev",
        question=f"ignored {number}",
        query="calm " * (number % 4 + 1),
        gold=str(number % 5 + 1),
        profile=(ProfileEntry(entry_id="e0", input="loud place", response="2"),),
        retrieved=(0,),
    )


def _chain(record: Record, *, sample_index: int = 0) -> TaggedChain:
    assert record.gold is not None
    return TaggedChain(
        record_id=record.record_id,
        task=record.task,
        sample_index=sample_index,
        completion=f"<think><a>so : {record.gold}</a></think>{record.gold}",
        answer=record.gold,
        score=1.0,
        teacher="hand",
        habitual=False,
    )


@pytest.fixture
def make_chain() -> Callable[..., TaggedChain]:
    """(record, sample_index) -> its chain."""
    return _chain


@pytest.fixture
def backbone() -> Backbone:
    return TinyBackbone(dtype="float32", attention="sdpa")


@pytest.fixture
def style() -> CompactStyle:
    return CompactStyle(thinking=True, query_tokens=40, history_tokens=60, entry_tokens=30, order="ranked")


@pytest.fixture
def builder(backbone: Backbone, style: CompactStyle) -> PromptBuilder:
    return PromptBuilder(style=style, tokenizer=backbone.tokenizer())


@pytest.fixture
def records() -> dict[str, Record]:
    made = [make_record(n) for n in range(10)] + [make_record(n, split="dev") for n in range(10, 13)]
    return {record.record_id: record for record in made}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
