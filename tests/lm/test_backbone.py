from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from tagpr.lm.backbone import (
    FreshBackbone,
    PretrainedBackbone,
    ShippedBackbone,
    load_policy,
    load_tokenizer,
    save_policy,
    special_ids,
    tiny_base_path,
)

MakeModel = Callable[..., PreTrainedModel]


@pytest.fixture
def policy_folder(make_model: MakeModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> Path:
    save_policy(make_model(), tokenizer, tmp_path / "policy")
    return tmp_path / "policy"


def test_a_saved_policy_comes_back_as_it_was(make_model: MakeModel, policy_folder: Path) -> None:
    """Through our loader and through transformers alone, which knows nothing of our attention."""
    saved = make_model().state_dict()
    ours = load_policy(policy_folder, dtype="float32", attention="two_part")
    theirs = AutoModelForCausalLM.from_pretrained(policy_folder)
    assert ours.config._attn_implementation == "two_part"
    assert theirs.config._attn_implementation == "sdpa"
    for model in (ours, theirs):
        assert not model.training
        assert all(weights.equal(saved[name]) for name, weights in model.state_dict().items())
    assert (policy_folder / "model.safetensors").is_file()
    chat = AutoTokenizer.from_pretrained(policy_folder).apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert chat == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_pretrained_backbone_reads_a_folder(policy_folder: Path) -> None:
    backbone = PretrainedBackbone(path=str(policy_folder), dtype="bfloat16", attention="sdpa")
    assert backbone.policy().dtype == torch.bfloat16
    assert special_ids(backbone.tokenizer()) == (256, 257)
    assert backbone.load(policy_folder).config._attn_implementation == "sdpa"


def test_shipped_and_fresh_backbones_share_a_tokenizer() -> None:
    shipped = ShippedBackbone(dtype="float32", attention="two_part")
    fresh = FreshBackbone(
        dtype="float32",
        attention="two_part",
        hidden_size=32,
        intermediate_size=48,
        num_layers=1,
        num_heads=2,
        num_kv_heads=1,
        head_dim=16,
        max_positions=64,
        init_std=0.02,
        seed=3,
    )
    assert shipped.tokenizer().get_vocab() == fresh.tokenizer().get_vocab()
    assert shipped.policy().config._attn_implementation == "two_part"
    first, again = fresh.policy(), fresh.policy()
    assert first.config.vocab_size == len(fresh.tokenizer())
    assert all(weights.equal(again.state_dict()[name]) for name, weights in first.state_dict().items())
    assert tiny_base_path().name == "tiny_base"


def test_a_fresh_model_leaves_the_random_state_alone(make_model: MakeModel) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make_model(seed=1)
    assert torch.rand(3).equal(expected)


def test_a_tokenizer_without_padding_pads_with_end_of_text(policy_folder: Path) -> None:
    bare = AutoTokenizer.from_pretrained(policy_folder)
    bare.pad_token = None
    bare.save_pretrained(policy_folder)
    assert special_ids(load_tokenizer(policy_folder)) == (256, 256)


def test_what_is_missing_is_named(policy_folder: Path, tmp_path: Path) -> None:
    for load in (load_tokenizer, lambda path: load_policy(path, dtype="auto", attention="sdpa")):
        with pytest.raises(ValueError, match=r"no folder at .*nowhere"):
            load(tmp_path / "nowhere")
        with pytest.raises(ValueError, match="no folder at a/b/c"):
            load("a/b/c")
    (policy_folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"no causal language model at .*model\.safetensors"):
        load_policy(policy_folder, dtype="auto", attention="sdpa")
    (policy_folder / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="chat template: False"):
        load_tokenizer(policy_folder)


def test_pickled_weights_are_not_opened(make_model: MakeModel, policy_folder: Path) -> None:
    (policy_folder / "model.safetensors").unlink()
    torch.save(make_model().state_dict(), policy_folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="no causal language model"):
        load_policy(policy_folder, dtype="auto", attention="sdpa")
