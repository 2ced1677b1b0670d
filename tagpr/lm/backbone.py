"""Which language model the policy starts from, and how policies are read from and written to Hugging Face folders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, Qwen3Config
from transformers.models.qwen3 import Qwen3ForCausalLM
from transformers.utils import logging as transformers_logging

import tagpr.lm.attention  # noqa: F401  (registers `two_part` and `flex` before a model asks for them)
from tagpr.errors import BadInputError

# Its bars for a one-second load would break into ours.
transformers_logging.disable_progress_bar()


@dataclass(frozen=True, kw_only=True)
class Backbone(ABC):
    """The model that a run starts from. Built from config group `backbone`.

    Args:
        dtype: of the weights: `float32`, `bfloat16`, or `auto` for what the checkpoint holds.
        attention: attention implementation of transformers: `two_part` (ours: SDPA, and shared prefixes where a batch
            asks for them), `flex` (the same, and on a GPU SFT and PRMU share prefixes by FlexAttention), `sdpa`, ...
    """

    dtype: str
    attention: str

    @abstractmethod
    def tokenizer(self) -> PreTrainedTokenizerBase: ...

    @abstractmethod
    def policy(self) -> PreTrainedModel:
        """The backbone itself, before any training of ours."""

    def load(self, folder: Path) -> PreTrainedModel:
        """A policy that a stage has written, with this backbone's dtype and attention."""
        return load_policy(folder, dtype=self.dtype, attention=self.attention)


@dataclass(frozen=True, kw_only=True)
class ShippedBackbone(Backbone):
    """The tiny base that comes with the package."""

    def tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(tiny_base_path())

    def policy(self) -> PreTrainedModel:
        return self.load(tiny_base_path())


@dataclass(frozen=True, kw_only=True)
class PretrainedBackbone(Backbone):
    """Any causal language model of transformers.

    Args:
        path: a local folder, or a model id of the Hugging Face hub (downloaded once, then cached by transformers).
    """

    path: str

    def tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(self.path)

    def policy(self) -> PreTrainedModel:
        return load_policy(self.path, dtype=self.dtype, attention=self.attention)


@dataclass(frozen=True, kw_only=True)
class FreshBackbone(Backbone):
    """A tiny Qwen3 with random weights and the shipped base's tokenizer.

    Args:
        seed: of the initial weights.
        init_std: of the initial weights; 0.02 is Qwen3's own.
    """

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_positions: int
    init_std: float
    seed: int

    def tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(tiny_base_path())

    def policy(self) -> PreTrainedModel:
        model = fresh_tiny(
            self.tokenizer(),
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            head_dim=self.head_dim,
            max_positions=self.max_positions,
            init_std=self.init_std,
            seed=self.seed,
            attention=self.attention,
        )
        return model if self.dtype == "auto" else model.to(getattr(torch, self.dtype))


def tiny_base_path() -> Path:
    """Folder of the base that ships inside the package.

    Raises:
        BadInputError: an installation without it.
    """
    path = Path(str(resources.files("tagpr.lm") / "tiny_base"))
    if not (path / "config.json").is_file():
        raise BadInputError(
            f"the shipped base is not at {path}: reinstall the package, or make it with experiments/tiny_base/train.py."
        )
    return path


def load_tokenizer(path: Path | str) -> PreTrainedTokenizerBase:
    """The tokenizer beside a model. A pad token is needed by every batch; where there is none, end-of-text serves.

    Raises:
        BadInputError: no tokenizer there, or one without an end-of-text token or a chat template.
    """
    local = _check_path(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), local_files_only=local)
    except OSError as error:
        raise BadInputError(
            f"no tokenizer at {path!s}: {_first_line(error)}. Expected a Hugging Face folder or hub id."
        ) from error
    if tokenizer.eos_token_id is None or not tokenizer.chat_template:
        raise BadInputError(
            f"the tokenizer of {path!s} has eos_token={tokenizer.eos_token!r} and a chat template: "
            f"{bool(tokenizer.chat_template)}; expected both. Take an instruction-tuned model, or add what is missing."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_policy(path: Path | str, *, dtype: str, attention: str) -> PreTrainedModel:
    """A causal language model in eval mode, from safetensors only: nothing in the folder is executed.

    Raises:
        BadInputError: no such model.
    """
    local = _check_path(path)
    try:
        return AutoModelForCausalLM.from_pretrained(
            str(path), dtype=dtype, attn_implementation=attention, local_files_only=local, use_safetensors=True
        )
    except OSError as error:
        raise BadInputError(
            f"no causal language model at {path!s}: {_first_line(error)}. Expected a folder with config.json and "
            "model.safetensors, or a hub id (offline: one that is in the cache)."
        ) from error


def save_policy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a Hugging Face folder (config, safetensors, tokenizer, chat template), as transformers and vLLM load it."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def fresh_tiny(
    tokenizer: PreTrainedTokenizerBase,
    *,
    hidden_size: int,
    intermediate_size: int,
    num_layers: int,
    num_heads: int,
    num_kv_heads: int,
    head_dim: int,
    max_positions: int,
    init_std: float,
    seed: int,
    attention: str,
) -> PreTrainedModel:
    """A random Qwen3 with tied embeddings and one row per token of the tokenizer, in eval mode, float32."""
    end, pad = special_ids(tokenizer)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        num_key_value_heads=num_kv_heads,
        head_dim=head_dim,
        max_position_embeddings=max_positions,
        initializer_range=init_std,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        pad_token_id=pad,
        eos_token_id=end,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config).eval()
    model.set_attn_implementation(attention)
    return model


def special_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """The tokenizer's end-of-text and padding tokens."""
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    if not isinstance(end, int) or not isinstance(pad, int):
        raise BadInputError(
            f"the tokenizer has eos {end!r} and pad {pad!r}, expected both: take it from load_tokenizer."
        )
    return end, pad


def _check_path(path: Path | str) -> bool:
    """Whether `path` is a local folder. A path that can only be meant as one, and is not there, is an error."""
    if Path(path).is_dir():
        return True
    if isinstance(path, Path) or str(path).startswith((".", "/", "~")) or str(path).count("/") != 1:
        raise BadInputError(
            f"no folder at {path!s}: expected a Hugging Face folder, or a hub id of the form owner/name."
        )
    return False


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
