from __future__ import annotations

import pytest
import torch

from tagpr.lm.kernels import attend, attend_backward, attend_by_products, attend_by_products_backward


@pytest.mark.parametrize("causal", [True, False])
def test_the_kernel_and_plain_products_agree(causal: bool) -> None:
    """The CPU kernel is reached by a private name: this pins its values, log-sum-exps and backward pass."""
    torch.manual_seed(0)
    queries = 6 if causal else 4
    q, k, v = torch.randn(2, 3, queries, 8), torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8)
    bias = None if causal else torch.zeros(2, 1, 1, 6).index_fill_(3, torch.tensor([4, 5]), float("-inf"))
    for ours, plain in zip(
        attend(q, k, v, bias, causal, 0.3), attend_by_products(q, k, v, bias, causal, 0.3), strict=True
    ):
        torch.testing.assert_close(ours, plain, atol=2e-6, rtol=1e-5)
    # As if joined with another part: an output and a log-sum-exp that are not the part's own.
    out, lse = torch.randn_like(q), attend_by_products(q, k, v, bias, causal, 0.3)[1] + torch.rand(2, 3, queries)
    given = (torch.randn_like(q), q, k, v, out, lse, bias, causal, 0.3)
    for ours, plain in zip(attend_backward(*given), attend_by_products_backward(*given), strict=True):
        torch.testing.assert_close(ours, plain, atol=2e-6, rtol=1e-5)
