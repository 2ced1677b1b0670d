"""A handful of made-up people, and a model of a few thousand parameters that reads them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen3Config
from transformers.models.qwen3 import Qwen3Model

from tagpr.chains.tags import TagVocabulary
from tagpr.data.retrieval import BM25Retriever
from tagpr.lm.backbone import save_policy
from tagpr.prmu import pairs_stage, stage
from tagpr.prmu.arch import Agnostic, Basis, Bilinear, HistoryText, PrmuArch, Similarity
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.text_encoder import TextEncoder
from tagpr.storage import write_records
from tagpr.types import ProfileEntry, Record
from tests.prmu.stages import LABELS, PAIRS, STYLE, TRAINER, ByteBackbone, LabelEngine, context, settings

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
    """A token per byte, so that any text can be read; its chat template writes what was said and nothing else."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(["<|endoftext|>", *alphabet])}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        chat_template="{% for m in messages %}{{ m.content }}{% endfor %}",
    )


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


# --- both stages, run once: a test that writes into these folders copies them first --------------------------------


@pytest.fixture(scope="session")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    tokenizer: PreTrainedTokenizerBase,
    backbone: ByteBackbone,
    make_record: MakeRecord,
) -> Path:
    """Records in which a person's label is always the same, and a policy folder."""
    root = tmp_path_factory.mktemp("prmu")
    records = []
    for split, people in (("train", range(9)), ("dev", range(9, 15))):
        for u in people:
            taste = LABELS[u % 3]
            records += [
                make_record(
                    f"{split}-{u}-{q}",
                    f"u{u}",
                    query=f"{split} venue {q}",
                    gold=taste,
                    history=tuple((f"place {u} {i}", taste) for i in range(3)),
                    split=split,
                    purpose="dev" if split == "dev" else ("pairs" if q else "rl"),
                )
                for q in range(4)
            ]
    write_records(root / "records", [replace(r, truth={"rule": "taste"}) for r in records])
    save_policy(backbone.policy(), tokenizer, root / "sft" / "policy")
    return root


@pytest.fixture(scope="session")
def backbone(tokenizer: PreTrainedTokenizerBase) -> ByteBackbone:
    return ByteBackbone(dtype="float32", attention="sdpa", inner=tokenizer)


@pytest.fixture(scope="session")
def made_pairs(folder: Path, backbone: ByteBackbone) -> tuple[Path, dict]:
    """The pairs' folder and what the stage counted."""
    output = folder / "pairs"
    output.mkdir()
    counts = pairs_stage.run(
        backbone=backbone,
        prompt=STYLE,
        tags=TagVocabulary(names=()),
        engine=LabelEngine,
        retrieval=BM25Retriever(k=3),
        pairs=PAIRS,
        inputs={"records": folder / "records", "sft": folder / "sft"},
        output=output,
        context=context(folder, "pairs"),
    )
    return output, counts


@pytest.fixture(scope="session")
def trained(folder: Path, backbone: ByteBackbone, made_pairs: tuple[Path, dict]) -> tuple[Path, dict]:
    """PRMU's folder and what the stage counted."""
    output = folder / "prmu"
    output.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = stage.run(
            backbone=backbone,
            prmu=settings(),
            trainer=TRAINER,
            inputs={"records": folder / "records", "pairs": made_pairs[0]},
            output=output,
            context=context(folder, "prmu"),
        )
    return output, counts
