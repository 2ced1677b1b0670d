"""A byte-level tokenizer and random tiny models, varied enough that a wrong mask or position shows."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_mask
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from tagpr.lm.backbone import fresh_tiny

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NUM_BYTES = 256


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    """Bytes are tokens 0 to 255; end-of-text, padding and the chat's mark follow."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>"],
    )
    made.chat_template = CHAT_TEMPLATE
    return made


@pytest.fixture
def make_model(tokenizer: PreTrainedTokenizerBase) -> Callable[..., PreTrainedModel]:
    """(seed, attention) -> a Qwen3 whose four query heads share two key heads; weights large, so that tokens vary."""

    def make(*, seed: int = 0, attention: str = "two_part") -> PreTrainedModel:
        return fresh_tiny(
            tokenizer,
            hidden_size=64,
            intermediate_size=96,
            num_layers=2,
            num_heads=4,
            num_kv_heads=2,
            head_dim=16,
            max_positions=256,
            init_std=0.1,
            seed=seed,
            attention=attention,
        )

    return make


@pytest.fixture
def llama(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Another architecture, untied, with three query heads per key head."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        initializer_range=0.1,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config).eval()
    model.set_attn_implementation("two_part")
    return model


@pytest.fixture
def flex_by_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """FlexAttention's plain formula in place of the kernel, which has no backward pass on CPU; the mask is ours."""

    def attend(query: Tensor, key: Tensor, value: Tensor, mask: BlockMask, scale: float) -> Tensor:
        num_queries, num_keys = query.shape[2], key.shape[2]
        seen = create_mask(mask.mask_mod, None, None, num_queries, num_keys, device="cpu")
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=seen, scale=scale, enable_gqa=True
        )

    monkeypatch.setattr("tagpr.lm.flex.check_kernel", lambda *args, **kwargs: None)
    monkeypatch.setattr("tagpr.lm.flex.flex_attend", attend)


def token_lists(lengths: list[int], *, seed: int) -> list[list[int]]:
    """Random byte tokens, one list per length."""
    draw = random.Random(seed)
    return [[draw.randrange(NUM_BYTES) for _ in range(length)] for length in lengths]
