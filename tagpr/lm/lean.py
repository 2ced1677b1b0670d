"""Qwen3's forward pass for training on CPU: the same arithmetic as transformers', in fewer passes over memory.

On CPU an element-wise operation on a wide tensor costs about as much as a small matrix product, and autograd keeps and
revisits every intermediate of a norm or a rotation. Here each of them is one function with its gradient written out;
q, k and v are one product, and so are gate and up.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer, Qwen3ForCausalLM, Qwen3Model

from tagpr.lm.prefix import PackedAttention


def lean_decoder(model: PreTrainedModel) -> Qwen3Model | None:
    """The model's Qwen3 stack, if `lean_hidden` is for it; None for all else.

    Adapters, shards, autocast, activation checkpointing, half precision and accelerators go through the model's own
    forward pass.
    """
    decoder = model.model if type(model) is Qwen3ForCausalLM else model
    if type(decoder) is not Qwen3Model or model.config.hidden_act != "silu" or torch.is_autocast_enabled("cpu"):
        return None
    if model.dtype != torch.float32 or model.device.type != "cpu":
        return None
    plain = all(
        type(layer) is Qwen3DecoderLayer
        and not layer.gradient_checkpointing
        and all(type(module) is nn.Linear and module.bias is None for module in _products(layer))
        for layer in decoder.layers
    )
    return decoder if plain else None


def lean_hidden(
    decoder: Qwen3Model, token_ids: Tensor, positions: Tensor, packed: PackedAttention, *, rows: Tensor | None
) -> Tensor:
    """(N, D) last hidden states of one packed row, as `packed_hidden` gives them.

    In the last layer nobody reads what comes of the tokens that are not in `rows`: they give their keys and values and
    end there. Where more than half are wanted, all ask, since attention by causal blocks is cheaper than by a mask.
    """
    eps = decoder.config.rms_norm_eps
    x = decoder.embed_tokens(token_ids)
    cos, sin = decoder.rotary_emb(x, positions[None])
    # rotate_half(x) * sin is the halves of x swapped, times sin with its first half negated.
    half = cos.shape[-1] // 2
    cos, sin = cos[0][:, None], torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=1)[:, None]
    layers: list[Any] = list(decoder.layers)
    for index, layer in enumerate(layers):
        attention, mlp = layer.self_attn, layer.mlp
        wanted = rows if index + 1 == len(layers) else None
        normed = _rms_norm(x, layer.input_layernorm.weight, eps)
        if wanted is not None and 2 * len(wanted) <= len(x):
            x = x.index_select(0, wanted)
            query = functional.linear(normed.index_select(0, wanted), attention.q_proj.weight)
            query = _HeadNorm.apply(query, attention.q_norm.weight, cos[wanted], sin[wanted], eps)
            key = functional.linear(normed, attention.k_proj.weight)
            key = _HeadNorm.apply(key, attention.k_norm.weight, cos, sin, eps)
            value = functional.linear(normed, attention.v_proj.weight).view_as(key)
            out = packed.attend(index, query, key, value, attention.scaling, wanted)
        else:
            qkv = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
            query, key, value = _HeadNorms.apply(
                functional.linear(normed, qkv),
                attention.q_norm.weight,
                attention.k_norm.weight,
                cos,
                sin,
                decoder.config.num_key_value_heads,
                eps,
            )
            out = packed.attend(index, query, key, value, attention.scaling)
            if wanted is not None:
                x, out = x.index_select(0, wanted), out.index_select(0, wanted)
        x = torch.addmm(x, out.flatten(1), attention.o_proj.weight.t())
        gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        hidden = functional.linear(_rms_norm(x, layer.post_attention_layernorm.weight, eps), gate_up)
        x = torch.addmm(x, _SiluTimes.apply(hidden), mlp.down_proj.weight.t())
    return _rms_norm(x, decoder.norm.weight, eps)


def _products(layer: Any) -> list[nn.Module]:
    attention, mlp = layer.self_attn, layer.mlp
    inputs = [attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj]
    return [*inputs, attention.o_proj, mlp.down_proj]


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return _RmsNorm.apply(x, weight, eps)


def _inverse_rms(x: Tensor, eps: float) -> Tensor:
    """1 / sqrt(mean(x^2) + eps) over the last axis, which is kept with size 1."""
    size = x.shape[-1]
    # From the norm, sqrt(size) / sqrt(|x|^2 + size eps): one pass over x instead of two.
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().add_(size * eps).rsqrt_().mul_(size**0.5)


def _norm_gradient(grad: Tensor, unit: Tensor, scale: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Gradient of x in unit = x * scale, scale = 1 / rms(x): scale * (g - unit * mean(g * unit)), written to `out`."""
    along = torch.linalg.vecdot(grad, unit).div_(-unit.shape[-1])
    across = torch.addcmul(grad, unit, along.unsqueeze(-1))
    return torch.mul(across, scale, out=across if out is None else out)


class _RmsNorm(torch.autograd.Function):
    """y = x / sqrt(mean(x^2) + eps) * weight, rows of x (N, D)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        scale = _inverse_rms(x, eps)
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, scale = ctx.saved_tensors
        unit = x * scale
        grad_weight = (grad * unit).sum(dim=0)
        return _norm_gradient(grad * weight, unit, scale), grad_weight, None


class _HeadNorm(torch.autograd.Function):
    """(N, H d) -> normalised and rotated heads (N, H, d); see `_HeadNorms`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, cos: Tensor, sin: Tensor, eps: float) -> Tensor:
        heads = x.unflatten(1, (-1, weight.shape[0]))
        scale = _inverse_rms(heads, eps)
        ctx.save_for_backward(heads, weight, cos, sin, scale)
        return _rotate((heads * scale).mul_(weight), cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        heads, weight, cos, sin, scale = ctx.saved_tensors
        unit = heads * scale
        grad = _rotate(grad, cos, _swap_halves(sin))
        grad_weight = (grad * unit).sum(dim=(0, 1))
        return _norm_gradient(grad.mul_(weight), unit, scale).flatten(1), grad_weight, None, None, None


class _HeadNorms(torch.autograd.Function):
    """(N, (H + 2 K) d) -> normalised and rotated queries (N, H, d) and keys (N, K, d), and values as they are.

    `cos` and `sin` are (N, 1, d), the first half of `sin` negated; see `lean_hidden`.
    """

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, q_weight: Tensor, k_weight: Tensor, cos: Tensor, sin: Tensor, num_keys: int, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        heads = qkv.view(len(qkv), -1, q_weight.shape[0])
        num_queries = heads.shape[1] - 2 * num_keys
        scale = _inverse_rms(heads[:, :-num_keys], eps)
        ctx.save_for_backward(qkv, q_weight, k_weight, cos, sin, scale)
        ctx.num_keys = num_keys
        unit = heads[:, :-num_keys] * scale
        query = _rotate(unit[:, :num_queries].mul_(q_weight), cos, sin)
        key = _rotate(unit[:, num_queries:].mul_(k_weight), cos, sin)
        return query, key, heads[:, -num_keys:].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_query: Tensor, grad_key: Tensor, grad_value: Tensor) -> tuple[Tensor | None, ...]:
        qkv, q_weight, k_weight, cos, sin, scale = ctx.saved_tensors
        heads = qkv.view(len(qkv), -1, q_weight.shape[0])
        num_queries = heads.shape[1] - 2 * ctx.num_keys
        unit = heads[:, : -ctx.num_keys] * scale
        # A rotation's gradient is the rotation back: the same halves swapped, under the sines swapped.
        back = _swap_halves(sin)
        grad = torch.empty_like(unit)
        _rotate(grad_query, cos, back, out=grad[:, :num_queries])
        _rotate(grad_key, cos, back, out=grad[:, num_queries:])
        along = (grad * unit).sum(dim=0)
        grad[:, :num_queries].mul_(q_weight)
        grad[:, num_queries:].mul_(k_weight)
        grad_heads = torch.empty_like(heads)
        _norm_gradient(grad, unit, scale, out=grad_heads[:, : -ctx.num_keys])
        grad_heads[:, -ctx.num_keys :] = grad_value
        return (
            grad_heads.view_as(qkv), along[:num_queries].sum(dim=0), along[num_queries:].sum(dim=0),
            None, None, None, None,
        )  # fmt: skip


def _swap_halves(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return torch.cat([x[..., half:], x[..., :half]], dim=-1)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor, *, out: Tensor | None = None) -> Tensor:
    turned = x * cos
    return torch.addcmul(turned, _swap_halves(x), sin, out=turned if out is None else out)


class _SiluTimes(torch.autograd.Function):
    """silu(gate) * up, (N, 2 I) -> (N, I), gate and up side by side."""

    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=1)
        return functional.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=1)
        grad_gate_up = torch.empty_like(gate_up)
        grad_gate, grad_up = grad_gate_up.chunk(2, dim=1)
        torch.mul(functional.silu(gate), grad, out=grad_up)
        torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=grad_gate)
        return grad_gate_up
