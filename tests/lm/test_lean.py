from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel

from tagpr.lm.attention import SharedPrefix, packed_hidden
from tagpr.lm.lean import _HeadNorm, _HeadNorms, _RmsNorm, _SiluTimes, lean_decoder

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


# Prompts of 7 and 3 tokens stand at 0..9, then completions of 4, 1, 5 and 0, 3, 2.
@pytest.mark.parametrize(
    "rows",
    [
        [13, 14, 19, 22, 24],  # the last token of each completion, as a reward model asks
        [24, 0, 9, 10, 20],  # any tokens, in any order
        [6, 9],  # of the prompts alone: a prefill
        [2, 3, 4, 5, 6, 15, 16, 17],  # many of one group, none of the other
    ],
)
def test_few_wanted_rows_have_the_values_and_gradients_of_all(make_model: MakeModel, rows: list[int]) -> None:
    model = make_model()
    layout = SharedPrefix.of_masks(PROMPT_MASK, COMPLETION_MASK, dtype=torch.float32)
    token_ids, wanted = torch.arange(25) * 7, torch.tensor(rows)
    found = []
    for asked in (wanted, None):
        model.zero_grad()
        states = packed_hidden(model, token_ids, torch.arange(25) % 12, layout, rows=asked)
        states = states if asked is not None else states[wanted]
        (states * torch.arange(1.0, 1 + states.numel()).view_as(states).sin()).sum().backward()
        found.append((states, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}))
    (few, few_grads), (all_, all_grads) = found
    torch.testing.assert_close(few, all_, atol=1e-5, rtol=1e-5)
    assert few_grads.keys() == all_grads.keys()
    for name, grad in few_grads.items():
        assert (grad - all_grads[name]).norm() <= 1e-5 * all_grads[name].norm(), name


def test_few_rows_of_equal_prompts_without_completions(make_model: MakeModel) -> None:
    model = make_model()
    nothing = torch.zeros(2, 0, 0, dtype=torch.bool)
    layout = SharedPrefix.of_masks(torch.ones(2, 6, dtype=torch.bool), nothing, dtype=torch.float32)
    token_ids, positions = torch.arange(12) * 5, torch.arange(12) % 6
    whole = packed_hidden(model, token_ids, positions, layout)
    few = packed_hidden(model, token_ids, positions, layout, rows=torch.tensor([11, 5, 2]))
    torch.testing.assert_close(few, whole[[11, 5, 2]], atol=1e-5, rtol=1e-5)


def test_the_model_beneath_the_head_is_read_alike(make_model: MakeModel) -> None:
    model = make_model()
    assert lean_decoder(model.base_model) is lean_decoder(model) is model.base_model


def double(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def test_gradients_by_finite_differences() -> None:
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(lambda x, w: _RmsNorm.apply(x, w, 0.1), (double(3, 5), double(5)))
    assert torch.autograd.gradcheck(_SiluTimes.apply, (double(3, 8),))
    # Two query heads and one key head of size 4; any cosines and sines will do.
    cos, sin = torch.randn(2, 3, 1, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x, weight: _HeadNorm.apply(x, weight, cos, sin, 0.1), (double(3, 8), double(4))
    )
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
