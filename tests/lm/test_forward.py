from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.lm.batches import GroupedBatch
from tagpr.lm.forward import (
    Method,
    TokenScores,
    check_against_padded,
    completion_logprobs,
    gap_to_padded,
    last_completion_states,
    last_hidden_states,
)
from tests.lm.conftest import token_lists

MakeModel = Callable[..., PreTrainedModel]
UNEVEN = ([7, 3], [[5, 1, 4], [2, 9, 3]])  # B = 2, G = 3, T = 9
METHODS: list[Method] = ["two_part", "flex", "dense"]
pytestmark = pytest.mark.usefixtures("flex_by_formula")  # the kernel itself: test_flex.py


def batch_of(prompts: list[int], completions: list[list[int]]) -> GroupedBatch:
    groups = [token_lists(lengths, seed=100 + number) for number, lengths in enumerate(completions)]
    return GroupedBatch.from_lists(token_lists(prompts, seed=1), groups, pad_id=257)


def scored(model: PreTrainedModel, batch: GroupedBatch, method: Method) -> tuple[TokenScores, dict[str, Tensor]]:
    """Scores, and gradients of a weighted sum in which every token has a weight of its own."""
    model.zero_grad()
    scores = completion_logprobs(model, batch, temperature=0.7, method=method, chunk_size=5)
    (scores.logprobs * torch.linspace(-1, 1, scores.logprobs.numel()).view_as(scores.logprobs)).sum().backward()
    return scores, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_agree(model: PreTrainedModel, batch: GroupedBatch, method: Method) -> None:
    expected, expected_grads = scored(model, batch, "padded")
    scores, grads = scored(model, batch, method)
    torch.testing.assert_close(scores.logprobs, expected.logprobs, atol=1e-5, rtol=0)
    torch.testing.assert_close(scores.entropy, expected.entropy, atol=1e-5, rtol=0)
    assert not scores.logprobs[~batch.completion_mask].any()
    assert grads.keys() == expected_grads.keys()
    total = torch.cat([grad.flatten() for grad in expected_grads.values()]).norm()
    for name, grad in grads.items():
        gap, size = (grad - expected_grads[name]).norm(), expected_grads[name].norm()
        assert gap <= 1e-5 * size + 1e-7 * total, f"{name}: gap {gap:.2e} of {size:.2e}"


def test_padded_scores_equal_a_forward_pass_per_completion(make_model: MakeModel) -> None:
    model, batch = make_model(attention="sdpa"), batch_of(*UNEVEN)
    scores = completion_logprobs(model, batch, temperature=0.7, method="padded", chunk_size=64)
    for b, group in enumerate(batch.completion_lengths.tolist()):
        prompt = batch.prompt_ids[b][batch.prompt_mask[b]]
        for g, length in enumerate(group):
            completion = batch.completion_ids[b, g, :length]
            logits = model(input_ids=torch.cat([prompt, completion])[None]).logits[0, len(prompt) - 1 : -1] / 0.7
            expected = logits.log_softmax(dim=1)
            torch.testing.assert_close(
                scores.logprobs[b, g, :length], expected[torch.arange(length), completion], atol=1e-5, rtol=0
            )
            torch.testing.assert_close(
                scores.entropy[b, g, :length], -(expected.exp() * expected).sum(dim=1), atol=1e-5, rtol=0
            )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("prompts", "completions"),
    [
        UNEVEN,
        ([4], [[6]]),
        ([5, 5], [[3, 3, 3], [3, 3, 3]]),
        ([1, 1, 2, 9], [[1], [1], [1], [1]]),
        ([2, 6], [[0, 3], [1, 0]]),
        ([7, 1, 4], [[2], [0], [9]]),
    ],
    ids=["uneven", "one", "nothing_padded", "single_tokens", "empty_completions", "nothing_shared"],
)
def test_shared_prefix_equals_padded(
    make_model: MakeModel, method: Method, prompts: list[int], completions: list[list[int]]
) -> None:
    assert_agree(make_model(), batch_of(prompts, completions), method)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    prompts=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    num_completions=st.integers(1, 4),
    data=st.data(),
)
@pytest.mark.parametrize("method", METHODS)
def test_shared_prefix_equals_padded_at_any_size(
    make_model: MakeModel, method: Method, prompts: list[int], num_completions: int, data: st.DataObject
) -> None:
    lengths = st.lists(st.integers(1, 12), min_size=num_completions, max_size=num_completions)
    assert_agree(make_model(), batch_of(prompts, [data.draw(lengths) for _ in prompts]), method)


@pytest.mark.parametrize("method", METHODS)
def test_another_architecture(llama: PreTrainedModel, method: Method) -> None:
    assert_agree(llama, batch_of(*UNEVEN), method)


@pytest.mark.parametrize("method", METHODS)
def test_with_lora(make_model: MakeModel, method: Method) -> None:
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
    model = get_peft_model(make_model(), config)
    assert_agree(model, batch_of(*UNEVEN), method)
    _, grads = scored(model, batch_of(*UNEVEN), method)
    assert grads
    assert all("lora_" in name for name in grads)


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("method", METHODS)
def test_with_activation_checkpointing(make_model: MakeModel, method: Method, lora: bool) -> None:
    """Checkpointed layers against the padded way without checkpointing, adapters or not."""
    model, batch = make_model(), batch_of(*UNEVEN)
    if lora:
        model = get_peft_model(
            model, LoraConfig(r=2, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
        )
    expected, expected_grads = scored(model, batch, "padded")
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if lora:
        model.enable_input_require_grads()
    model.train()
    scores, grads = scored(model, batch, method)
    torch.testing.assert_close(scores.logprobs, expected.logprobs, atol=1e-5, rtol=0)
    assert grads.keys() == expected_grads.keys()
    total = torch.cat([grad.flatten() for grad in expected_grads.values()]).norm()
    for name, grad in grads.items():
        assert (grad - expected_grads[name]).norm() <= 1e-5 * expected_grads[name].norm() + 1e-7 * total, name


def test_padding_leaves_no_trace(make_model: MakeModel) -> None:
    """What stands in padded slots, and how many there are, changes nothing."""
    model, batch = make_model(), batch_of(*UNEVEN)
    wide = GroupedBatch(
        prompt_ids=torch.nn.functional.pad(batch.prompt_ids.masked_fill(~batch.prompt_mask, 9), (0, 3), value=8),
        prompt_mask=torch.nn.functional.pad(batch.prompt_mask, (0, 3)),
        completion_ids=torch.nn.functional.pad(batch.completion_ids.masked_fill(~batch.completion_mask, 9), (0, 2)),
        completion_mask=torch.nn.functional.pad(batch.completion_mask, (0, 2)),
    )
    (scores, grads), (wide_scores, wide_grads) = scored(model, batch, "two_part"), scored(model, wide, "two_part")
    assert wide_scores.logprobs.shape == (2, 3, 11)
    torch.testing.assert_close(wide_scores.logprobs[..., :9], scores.logprobs, atol=1e-6, rtol=0)
    assert grads.keys() == wide_grads.keys()


@pytest.mark.parametrize("method", ["two_part", "flex"])
def test_bfloat16(make_model: MakeModel, method: Method) -> None:
    """Eight bits of mantissa: log-probabilities of a few nats agree to a few hundredths."""
    model = make_model().to(torch.bfloat16)
    assert gap_to_padded(model, batch_of(*UNEVEN), temperature=1.0, method=method, chunk_size=64) < 0.1


@pytest.mark.parametrize("method", ["two_part", "flex"])
def test_under_autocast(make_model: MakeModel, method: Method) -> None:
    model, batch = make_model(), batch_of(*UNEVEN)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert gap_to_padded(model, batch, temperature=1.0, method=method, chunk_size=64) < 0.1
        _, grads = scored(model, batch, method)
    assert all(grad.isfinite().all() and grad.dtype == torch.float32 for grad in grads.values())


@pytest.mark.parametrize("method", [*METHODS, "padded"])
def test_last_states(make_model: MakeModel, method: Method) -> None:
    model, batch = make_model(), batch_of(*UNEVEN)
    decoder = model.get_decoder()
    states = last_completion_states(model, batch, method=method)
    for b, group in enumerate(batch.completion_lengths.tolist()):
        for g, length in enumerate(group):
            tokens = torch.cat([batch.prompt_ids[b][batch.prompt_mask[b]], batch.completion_ids[b, g, :length]])
            expected = decoder(input_ids=tokens[None]).last_hidden_state[0, -1]
            torch.testing.assert_close(states[b, g], expected, atol=1e-5, rtol=1e-5)

    lists = token_lists([4, 11, 1, 6, 6], seed=3)
    rows = last_hidden_states(model, lists, method=method, max_tokens=13)
    for tokens, row in zip(lists, rows, strict=True):
        expected = decoder(input_ids=torch.tensor([tokens])).last_hidden_state[0, -1]
        torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-5)


def test_refusals_say_how_to_put_it_right(make_model: MakeModel, tokenizer: PreTrainedTokenizerBase) -> None:
    batch = batch_of([2], [[0, 1]])
    with pytest.raises(ValueError, match=r"backbone\.attention=two_part"):
        completion_logprobs(make_model(attention="sdpa"), batch, temperature=1.0, method="two_part", chunk_size=8)
    with pytest.raises(ValueError, match="a completion has no tokens"):
        last_completion_states(make_model(), batch, method="padded")
    adapted = get_peft_model(make_model(), LoraConfig(r=2, target_modules=["q_proj", "lm_head"]))
    with pytest.raises(ValueError, match="leave lm_head out"):
        completion_logprobs(adapted, batch, temperature=1.0, method="two_part", chunk_size=8)


def test_the_self_check_is_silent_for_a_right_model_and_loud_for_a_wrong_one(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch = make_model(), batch_of(*UNEVEN)
    check_against_padded(model, batch, temperature=1.0, method="two_part", chunk_size=8)
    monkeypatch.setattr("tagpr.lm.forward.gap_to_padded", lambda *args, **scoring: float("nan"))
    with pytest.raises(RuntimeError, match=r"differ from the padded ones by nan.*Set rl.method=padded"):
        check_against_padded(model, batch, temperature=1.0, method="two_part", chunk_size=8)
