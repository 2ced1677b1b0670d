from __future__ import annotations

import pytest
import torch

from tagpr.lm.attention import (
    Padding,
    SharedPrefix,
    _attend,
    _attend_backward,
    attend_by_products,
    attend_by_products_backward,
    two_part_attention,
)


def test_padding_there_and_back() -> None:
    mask = torch.tensor([[True, False, False], [True, True, True]])
    padding = Padding.of_mask(mask)
    packed = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    padded = padding.pad(packed)
    assert padded[mask].flatten().tolist() == [1, 2, 3, 4]
    assert padding.pack(padded).equal(packed)
    assert Padding.of_mask(torch.ones(2, 2, dtype=torch.bool)).slots is None


@pytest.mark.parametrize("causal", [True, False])
def test_the_kernel_and_plain_products_agree(causal: bool) -> None:
    """The CPU kernel is reached by a private name: this pins its values, log-sum-exps and backward pass."""
    torch.manual_seed(0)
    queries = 6 if causal else 4
    q, k, v = torch.randn(2, 3, queries, 8), torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8)
    bias = None if causal else torch.zeros(2, 1, 1, 6).index_fill_(3, torch.tensor([4, 5]), float("-inf"))
    for ours, plain in zip(
        _attend(q, k, v, bias, causal, 0.3), attend_by_products(q, k, v, bias, causal, 0.3), strict=True
    ):
        torch.testing.assert_close(ours, plain, atol=2e-6, rtol=1e-5)
    # As if joined with another part: an output and a log-sum-exp that are not the part's own.
    out, lse = torch.randn_like(q), attend_by_products(q, k, v, bias, causal, 0.3)[1] + torch.rand(2, 3, queries)
    given = (torch.randn_like(q), q, k, v, out, lse, bias, causal, 0.3)
    for ours, plain in zip(_attend_backward(*given), attend_by_products_backward(*given), strict=True):
        torch.testing.assert_close(ours, plain, atol=2e-6, rtol=1e-5)


def test_gradients_by_finite_differences() -> None:
    prompt_mask = torch.tensor([[True, True, True], [True, True, False]])
    completion_mask = torch.tensor([[[True, True], [True, False]], [[False, False], [True, True]]])
    layout = SharedPrefix.of_masks(prompt_mask, completion_mask, dtype=torch.float64)
    torch.manual_seed(0)
    q = torch.randn(10, 4, 3, dtype=torch.float64, requires_grad=True)
    k, v = (torch.randn(10, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda *qkv: layout.attend(0, *qkv, 0.5), (q, k, v))


def test_what_packed_rows_do_not_know_is_refused() -> None:
    layout = SharedPrefix.of_masks(torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 0, 0).bool(), dtype=torch.float32)
    states = torch.randn(1, 2, 2, 4)
    with pytest.raises(ValueError, match="sliding_window=8"):
        two_part_attention(
            torch.nn.Module(), states, states, states, None, scaling=1.0, packed=layout, sliding_window=8
        )
