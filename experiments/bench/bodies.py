"""What both sides are given: a model of a stated size, texts of stated lengths, threads and cores."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import random
import resource
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

import tagpr.lm.attention  # noqa: F401  (registers `two_part`)

# hidden, layers, heads, key heads, head size, intermediate, vocabulary; the tiny base's own shape comes first.
SIZES: dict[str, tuple[int, int, int, int, int, int, int]] = {
    "1.0M": (128, 4, 4, 2, 32, 384, 1700),
    "1.6M": (128, 4, 4, 2, 128, 384, 1500),
    "10M": (320, 6, 5, 5, 64, 960, 3000),
    "30M": (512, 8, 8, 4, 64, 1536, 4000),
}


def arguments(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of torch (default: %(default)s)")
    parser.add_argument("--cores", default="0,1", help="which ones, on Linux (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=5, help="measured pairs of steps (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=1, help="pairs dropped before them (default: %(default)s)")
    return parser


def step_arguments(description: str | None, *, micro_batch_tokens: int) -> argparse.ArgumentParser:
    """Those of a command that takes steps on both sides."""
    parser = arguments(description)
    parser.add_argument("--size", choices=SIZES, default="1.6M", help="parameters (default: %(default)s)")
    parser.add_argument(
        "--micro-batch-tokens", type=int, default=micro_batch_tokens, help="ours (default: %(default)s)"
    )
    parser.add_argument("--memory", choices=("ours", "theirs"), help="one side alone: peak memory")
    return parser


def settle(given: argparse.Namespace) -> None:
    """Bind this process to its cores and threads, and keep libraries from talking between the JSON lines."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [int(core) for core in given.cores.split(",")])
    torch.set_num_threads(given.threads)
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)


def make_model(size: str, *, attention: str, seed: int = 0) -> PreTrainedModel:
    """A random Qwen3; nothing it can write is the tokenizer's end-of-text."""
    hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary = SIZES[size]
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=vocabulary,
    )
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config)
    model.set_attn_implementation(attention)
    return model


def make_tokenizer(size: str) -> PreTrainedTokenizerBase:
    """One token per word. End-of-text is a token that the model has no row for: every completion has full length."""
    vocabulary = SIZES[size][-1]
    words = {"<pad>": 0} | {f"w{number}": number for number in range(1, vocabulary)} | {"<end>": vocabulary}
    inner = Tokenizer(models.WordLevel(words, unk_token="w1"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<end>", pad_token="<pad>", unk_token="w1", padding_side="left"
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    return tokenizer


def token_lists(lengths: Sequence[int], *, size: str, seed: int) -> list[list[int]]:
    """Random words, one list per length."""
    draw = random.Random(seed)
    return [[draw.randrange(1, SIZES[size][-1]) for _ in range(length)] for length in lengths]


def uneven(mean: int, count: int, *, spread: float, seed: int) -> list[int]:
    """`count` lengths, uniform within mean * (1 -+ spread)."""
    draw = random.Random(seed)
    return [draw.randint(round(mean * (1 - spread)), round(mean * (1 + spread))) for _ in range(count)]


def as_text(tokens: Sequence[int]) -> str:
    return " ".join(f"w{token}" for token in tokens)


def peak_mb() -> float:
    """The most memory this process has had, in MB."""
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def report(case: str, figures: dict[str, Any], *, threads: int) -> None:
    """Print one JSON line."""
    versions = {name: version(name) for name in ("torch", "transformers", "trl")}
    line = {"case": case, **figures, "threads": threads, "python": platform.python_version(), **versions}
    print(json.dumps(line), flush=True)
