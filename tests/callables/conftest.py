"""A prmu stage's folder as a run leaves it, with a model of a few thousand parameters, and rows of a data set."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config
from transformers.models.qwen3 import Qwen3Model

from tagpr.compose import composed
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.reward import RewardReferences, ScaleSample
from tagpr.prmu.text_encoder import TextEncoder
from tagpr.storage import write_json, write_records
from tagpr.types import ProfileEntry, Record


def small_model() -> PrmuModel:
    torch.manual_seed(0)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(["<|endoftext|>", *alphabet])}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|endoftext|>", eos_token="<|endoftext|>")
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=128, pad_token_id=0,
    )  # fmt: skip
    arch = instantiate(composed(["prmu.arch.dim=12"]).prmu.arch)
    encoder = TextEncoder(backbone=Qwen3Model(config), tokenizer=tokenizer, max_tokens=64, batch_tokens=256)
    return PrmuModel(encoder=encoder, arch=arch(hidden_size=16), max_entries=4, temperature=0.5)


def person(number: int, *, task: str = "S2", answer: str = "quiet") -> Record:
    return Record(
        record_id=f"{task}-{number}", user_id=f"u{number}", task=task, split="train", purpose="pairs",
        question=f"hall {number}", query=f"hall {number}", gold=answer,
        profile=(ProfileEntry(entry_id=f"p{number}", input="a pier", response=answer),), retrieved=(0,),
    )  # fmt: skip


@pytest.fixture(scope="session")
def prmu_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cache/prmu/<fingerprint> with its records beside it."""
    cache = tmp_path_factory.mktemp("runs") / "cache"
    people = [person(1), person(2, answer="lively"), person(3, task="S5", answer="a long night")]
    write_records(cache / "records" / "r0", people)
    folder = cache / "prmu" / "p0"
    model = small_model()
    model.save_pretrained(folder / "model")
    samples = tuple(ScaleSample(task=task, own=own, blind=0.0) for task in ("S2", "S5") for own in (-0.02, 0.0, 0.02))
    references = RewardReferences(people=tuple(p.record_id for p in people), num_answers=3, samples=samples)
    references.save(folder / "model")
    write_json(folder / "manifest.json", {"stage": "prmu", "inputs": {"records": "r0", "pairs": "b0"}})
    return folder


@pytest.fixture
def row() -> dict[str, object]:
    """Whose own tag is `quiet`."""
    history = [{"input": "a pier at dusk", "output": "quiet"}, {"input": "a mill by a river", "output": "village"}]
    return {"task": "S2", "user_id": "ann", "query": "a calm hall", "history": history, "gold": "quiet"}
