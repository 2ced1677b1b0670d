from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel

from tagpr.lm.attention import SharedPrefix, packed_hidden
from tagpr.lm.lean import _HeadNorms, _RmsNorm, _SiluTimes, lean_decoder

MakeModel = Callable[..., PreTrainedModel]
PROMPT_MASK = torch.arange(7) < torch.tensor([7, 3])[:, None]
COMPLETION_MASK = torch.arange(5) < torch.tensor([[4, 1, 5], [0, 3, 2]])[..., None]


def hidden_and_gradients(model: PreTrainedModel) -> tuple[Tensor, dict[str, Tensor]]:
    layout = SharedPrefix.of_masks(PROMPT_MASK, COMPLETION_MASK, dtype=torch.float32)
    number = int(PROMPT_MASK.sum() + COMPLETION_MASK.sum())
    draw = torch.Generator().manual_seed(3)
    token_ids = torch.randint(256, (number,), generator=draw)
    model.zero_grad()
    hidden = packed_hidden(model, token_ids, torch.arange(number) % 12, layout)
    (hidden * torch.randn(hidden.shape, generator=draw)).sum().backward()
    return hidden.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_values_and_gradients_are_those_of_transformers(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    with torch.no_grad():  # norms of ones would hide a norm that is left out
        for name, weights in model.named_parameters():
            if "norm" in name:
                weights.uniform_(0.5, 1.5)
    assert lean_decoder(model) is not None
    hidden, grads = hidden_and_gradients(model)
    monkeypatch.setattr("tagpr.lm.attention.lean_decoder", lambda model: None)
    expected, expected_grads = hidden_and_gradients(model)
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-5)
    assert grads.keys() == expected_grads.keys()
    for name, grad in grads.items():
        assert (grad - expected_grads[name]).norm() <= 1e-5 * expected_grads[name].norm(), name


def test_wanted_rows_alone_are_given_in_the_order_asked(make_model: MakeModel, llama: PreTrainedModel) -> None:
    layout = SharedPrefix.of_masks(PROMPT_MASK, COMPLETION_MASK, dtype=torch.float32)
    token_ids = torch.arange(25) * 7
    rows = torch.tensor([24, 0, 9])
    for model in (make_model(), llama):
        whole = packed_hidden(model, token_ids, torch.arange(25) % 12, layout)
        some = packed_hidden(model, token_ids, torch.arange(25) % 12, layout, rows=rows)
        torch.testing.assert_close(some, whole[rows], atol=1e-5, rtol=1e-5)


def double(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def test_gradients_by_finite_differences() -> None:
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(lambda x, w: _RmsNorm.apply(x, w, 0.1), (double(3, 5), double(5)))
    assert torch.autograd.gradcheck(_SiluTimes.apply, (double(3, 8),))
    # Two query heads and one key head of size 4; any cosines and sines will do.
    cos, sin = torch.randn(2, 3, 1, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda qkv, q, k: _HeadNorms.apply(qkv, q, k, cos, sin, 1, 0.1), (double(3, 16), double(4), double(4))
    )


def test_all_else_goes_through_the_models_own_forward_pass(make_model: MakeModel, llama: PreTrainedModel) -> None:
    assert lean_decoder(llama) is None
    assert lean_decoder(make_model().to(torch.bfloat16)) is None
    adapted = get_peft_model(make_model(), LoraConfig(r=2, target_modules=["q_proj"]))
    assert lean_decoder(adapted) is None
    assert lean_decoder(adapted.base_model.model) is None
    checkpointed = make_model()
    checkpointed.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    assert lean_decoder(checkpointed) is None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert lean_decoder(make_model()) is None
