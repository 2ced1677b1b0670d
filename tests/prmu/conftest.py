"""A handful of made-up people, and a model of a few thousand parameters that reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen3Config
from transformers.models.qwen3 import Qwen3Model

from tagpr.prmu.arch import Agnostic, Basis, Bilinear, HistoryText, PrmuArch, Similarity
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.text_encoder import TextEncoder
from tagpr.types import ProfileEntry, Record

MakeRecord = Callable[..., Record]
READER = {"dim": 12, "prior_entries": 2.0, "recency_buckets": 3, "pooling": "mean_attention"}
SETTINGS: dict[type[PrmuArch], dict[str, Any]] = {
    Agnostic: {},
    Basis: {"num_prototypes": 5, **READER},
    Bilinear: READER,
    HistoryText: {"history_tokens": 80},
    Similarity: {"prior_entries": 2.0},
}


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    """A tag question (S2) unless told otherwise; `history` is ((input, response), ...)."""

    def make(
        record_id: str,
        user_id: str,
        *,
        query: str = "a calm hall",
        gold: str | None = "quiet",
        history: tuple[tuple[str, str], ...] = (("a pier", "seaside"), ("a mill", "village")),
        task: str = "S2",
        split: str = "train",
        purpose: str = "pairs",
    ) -> Record:
        return Record(
            record_id=record_id,
            user_id=user_id,
            task=task,
            split=split,
            purpose=purpose,
            question=query,
            query=query,
            gold=gold,
            profile=tuple(
                ProfileEntry(entry_id=f"{record_id}-p{i}", input=a, response=b) for i, (a, b) in enumerate(history)
            ),
            retrieved=(),
        )

    return make


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    """A token per byte, so that any text can be read."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(["<|endoftext|>", *alphabet])}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|endoftext|>", eos_token="<|endoftext|>")


@pytest.fixture
def make_model(tokenizer: PreTrainedTokenizerBase) -> Callable[[type[PrmuArch]], PrmuModel]:
    def make(kind: type[PrmuArch]) -> PrmuModel:
        torch.manual_seed(0)
        config = Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            max_position_embeddings=128,
            pad_token_id=0,
        )
        encoder = TextEncoder(backbone=Qwen3Model(config), tokenizer=tokenizer, max_tokens=64, batch_tokens=256)
        return PrmuModel(encoder=encoder, arch=kind(hidden_size=16, **SETTINGS[kind]), max_entries=4)

    return make


@pytest.fixture
def bilinear(make_model: Callable[[type[PrmuArch]], PrmuModel]) -> PrmuModel:
    return make_model(Bilinear)


@pytest.fixture
def agnostic(make_model: Callable[[type[PrmuArch]], PrmuModel]) -> PrmuModel:
    return make_model(Agnostic)
