"""The loss counts completion tokens, whatever the micro-batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tagpr.lm.backbone import Backbone
from tagpr.sft.datamodule import SftExample, make_batch
from tagpr.sft.loss import completion_loss

EXAMPLES = [
    SftExample(record_id=str(n), prompt_ids=tuple(range(3, 6 + 5 * n)), completion_ids=tuple(range(30, 33 + n)))
    for n in range(8)
]


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def loss_and_gradients(model: PreTrainedModel, *, micro_batch_tokens: int) -> tuple[float, list[Tensor]]:
    batch = make_batch(EXAMPLES, micro_batch_tokens=micro_batch_tokens, pad_id=0)
    model.zero_grad()
    total = 0.0
    for part in batch.micro_batches:
        loss = completion_loss(model, part, num_tokens=batch.num_tokens, chunk_size=5)
        loss.backward()
        total += loss.item()
    return total, [gradient.clone() for gradient in gradients(model)]


def test_equals_the_plain_formula(backbone: Backbone) -> None:
    model = backbone.policy()
    expected, count = 0.0, 0
    for example in EXAMPLES:
        ids = torch.tensor([[*example.prompt_ids, *example.completion_ids]])
        logprobs = model(ids).logits.log_softmax(-1)[0]
        for position in range(len(example.prompt_ids), ids.shape[1]):
            expected -= logprobs[position - 1, ids[0, position]].item()
            count += 1
    loss, _ = loss_and_gradients(model, micro_batch_tokens=10_000)
    assert count == 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10
    assert loss == pytest.approx(expected / count, abs=1e-5)


def test_eight_times_one_equals_one_times_eight(backbone: Backbone) -> None:
    model = backbone.policy()
    whole_loss, whole = loss_and_gradients(model, micro_batch_tokens=10_000)
    split_loss, split = loss_and_gradients(model, micro_batch_tokens=1)
    assert split_loss == pytest.approx(whole_loss, abs=1e-6)
    assert len(whole) == len(split) > 0
    for a, b in zip(whole, split, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_prompt_tokens_are_not_learned(backbone: Backbone) -> None:
    model = backbone.policy()
    batch = make_batch([EXAMPLES[0]], micro_batch_tokens=1000, pad_id=0)
    loss = completion_loss(model, batch.micro_batches[0], num_tokens=3, chunk_size=8)
    hidden = model.get_decoder()(torch.tensor([[3, 4, 5, 30, 31]])).last_hidden_state[0, 2:]
    by_hand = -(hidden @ model.lm_head.weight.T).log_softmax(-1)[range(3), [30, 31, 32]].mean()
    assert loss.item() == pytest.approx(by_hand.item(), abs=1e-6)


def test_shared_prompts_give_the_loss_and_gradient_of_single_ones(backbone: Backbone) -> None:
    model = replace(backbone, attention="two_part").policy()
    alone = [replace(example, prompt_ids=EXAMPLES[n // 3].prompt_ids) for n, example in enumerate(EXAMPLES)]
    together = [replace(example, record_id=str(n // 3)) for n, example in enumerate(alone)]  # groups of 3, 3 and 2
    found = []
    for examples in (alone, together):
        batch = make_batch(examples, micro_batch_tokens=10_000, pad_id=0)
        model.zero_grad()
        losses = [completion_loss(model, part, num_tokens=52, chunk_size=5) for part in batch.micro_batches]
        sum(losses, torch.zeros(())).backward()
        found.append((sum(map(float, losses)), [gradient.clone() for gradient in gradients(model)]))
    assert len(batch.micro_batches) == 2  # of three chains each, and of two
    assert found[1][0] == pytest.approx(found[0][0], abs=1e-6)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
