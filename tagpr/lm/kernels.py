"""One part of attention with its log-sum-exp, and its gradients when parts have been joined."""

from __future__ import annotations

import torch
from torch import Tensor


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool, scale: float) -> tuple[Tensor, Tensor]:
    """Attention and its log-sum-exp: (rows, H, L, d), (rows, H, L)."""
    if q.device.type == "cpu":
        # What SDPA itself runs on CPU; asked for by name because SDPA keeps the log-sum-exp to itself.
        mask = None if bias is None else bias.to(q.dtype)
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q, k, v, 0.0, causal, attn_mask=mask, scale=scale
        )
    return attend_by_products(q, k, v, bias, causal, scale)


def attend_by_products(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    """The same in plain products, on any device; the scores are in memory as a whole."""
    scores = _scores(q, k, bias, causal, scale)
    lse = scores.logsumexp(dim=-1)
    return (scores - lse[..., None]).exp().to(v.dtype) @ v, lse


def attend_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    bias: Tensor | None,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    if q.device.type == "cpu":
        mask = None if bias is None else bias.to(q.dtype)
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad, q, k, v, out, lse, 0.0, causal, attn_mask=mask, scale=scale
        )
    return attend_by_products_backward(grad, q, k, v, out, lse, bias, causal, scale)


def attend_by_products_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    bias: Tensor | None,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of one part, given the joined output and log-sum-exp."""
    weights = (_scores(q, k, bias, causal, scale) - lse[..., None]).exp()
    delta = (grad * out).sum(dim=-1, keepdim=True)
    grad_scores = (weights * (grad @ v.transpose(2, 3) - delta) * scale).to(q.dtype)
    return grad_scores @ k, grad_scores.transpose(2, 3) @ q, weights.to(grad.dtype).transpose(2, 3) @ grad


def _scores(q: Tensor, k: Tensor, bias: Tensor | None, causal: bool, scale: float) -> Tensor:
    scores = torch.matmul(q, k.transpose(2, 3)).to(torch.promote_types(q.dtype, torch.float32)) * scale
    if causal:
        later = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return scores if bias is None else scores + bias
