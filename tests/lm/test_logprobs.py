from __future__ import annotations

import math

import pytest
import torch

from tagpr.lm.logprobs import token_logprobs


def test_two_words_by_hand() -> None:
    """Logits (ln 3, 0): p = (3/4, 1/4); entropy = ln 4 - 3/4 ln 3."""
    hidden, weight = torch.tensor([[1.0], [1.0]]), torch.tensor([[math.log(3)], [0.0]])
    logprobs, entropy = token_logprobs(hidden, weight, torch.tensor([0, 1]), temperature=1.0, chunk_size=1)
    torch.testing.assert_close(logprobs, torch.tensor([math.log(3 / 4), math.log(1 / 4)]))
    torch.testing.assert_close(entropy, torch.full((2,), math.log(4) - 0.75 * math.log(3)))


@pytest.mark.parametrize("chunk_size", [1, 3, 7, 100])
@pytest.mark.parametrize("temperature", [1.0, 0.6, 2.0])
def test_values_and_gradients_equal_plain_log_softmax(chunk_size: int, temperature: float) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(7, 5, requires_grad=True)
    weight = torch.randn(11, 5, requires_grad=True)
    targets, upstream = torch.randint(11, (7,)), torch.randn(7)

    plain = (hidden @ weight.t() / temperature).log_softmax(dim=1)
    expected = plain.gather(1, targets[:, None])[:, 0]
    expected_grads = torch.autograd.grad((expected * upstream).sum(), (hidden, weight), retain_graph=True)

    logprobs, entropy = token_logprobs(hidden, weight, targets, temperature=temperature, chunk_size=chunk_size)
    grads = torch.autograd.grad((logprobs * upstream).sum(), (hidden, weight), retain_graph=True)
    torch.testing.assert_close(logprobs, expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(entropy, -(plain.exp() * plain).sum(dim=1), atol=1e-6, rtol=1e-6)
    both = torch.autograd.grad((logprobs * upstream + entropy * upstream.flip(0)).sum(), (hidden, weight))
    spread = -(plain.exp() * plain).sum(dim=1)
    expected_both = torch.autograd.grad((expected * upstream + spread * upstream.flip(0)).sum(), (hidden, weight))
    for grad, wanted in zip(both, expected_both, strict=True):
        torch.testing.assert_close(grad, wanted, atol=1e-5, rtol=1e-5)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad, atol=2e-6, rtol=1e-6)


def test_a_huge_logit_stays_finite() -> None:
    hidden, weight = torch.tensor([[1.0]], requires_grad=True), torch.tensor([[1e4], [0.0]])
    logprobs, entropy = token_logprobs(hidden, weight, torch.tensor([1]), temperature=1.0, chunk_size=8)
    logprobs.sum().backward()
    assert logprobs.tolist() == [-1e4]
    assert entropy.tolist() == [0.0]
    assert hidden.grad is not None
    assert hidden.grad.tolist() == [[-1e4]]


def test_bfloat16_states_are_summed_in_float32() -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(4, 8, dtype=torch.bfloat16), torch.randn(500, 8, dtype=torch.bfloat16)
    targets = torch.tensor([1, 2, 3, 4])
    logprobs, _ = token_logprobs(hidden, weight, targets, temperature=1.0, chunk_size=3)
    expected = (hidden @ weight.t()).float().log_softmax(dim=1).gather(1, targets[:, None])[:, 0]
    assert logprobs.dtype == torch.float32
    torch.testing.assert_close(logprobs, expected, atol=1e-5, rtol=1e-5)


def test_no_rows() -> None:
    weight = torch.randn(3, 2, requires_grad=True)
    logprobs, entropy = token_logprobs(
        torch.empty(0, 2), weight, torch.empty(0, dtype=torch.long), temperature=1.0, chunk_size=4
    )
    logprobs.sum().backward()
    assert (len(logprobs), len(entropy)) == (0, 0)
    assert weight.grad is not None
    assert not weight.grad.any()


def test_the_logits_of_all_rows_never_exist_at_once() -> None:
    """64 rows of 50,000 logits are 12.8 MB; a chunk of 2 is 0.4 MB. Forward and backward stay below 4 MB."""
    hidden, weight = torch.randn(64, 4, requires_grad=True), torch.randn(50_000, 4)
    sizes: list[int] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            sizes.extend(item.numel() for item in (out if isinstance(out, tuple) else (out,)) if torch.is_tensor(item))
            return out

    with Watch():
        logprobs, _ = token_logprobs(hidden, weight, torch.zeros(64, dtype=torch.long), temperature=1.0, chunk_size=2)
        logprobs.sum().backward()
    assert max(sizes) <= weight.numel()


@pytest.mark.parametrize(
    ("temperature", "targets", "message"),
    [(0.0, torch.zeros(2, dtype=torch.long), "temperature is 0.0"), (1.0, torch.zeros(3, dtype=torch.long), "targets")],
)
def test_refusals_say_what_was_expected(temperature: float, targets: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        token_logprobs(torch.zeros(2, 4), torch.zeros(5, 4), targets, temperature=temperature, chunk_size=2)
