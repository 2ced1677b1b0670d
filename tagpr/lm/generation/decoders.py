"""One decoding step of a model: the newest token of every row in, logits of the next one out."""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.models.qwen3.modeling_qwen3 import Qwen3ForCausalLM

from tagpr.lm.attention import packed_hidden
from tagpr.lm.forward import output_head
from tagpr.lm.prefix import PackedAttention


class Decoder(Protocol):
    def step(self, token_ids: Tensor, positions: Tensor, packed: PackedAttention) -> Tensor:
        """(R,) newest tokens and their positions -> (R, V) logits."""
        ...


class TransformersDecoder:
    """The model's own forward pass; for every architecture, adapters included."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model, self.head = model, output_head(model)

    def step(self, token_ids: Tensor, positions: Tensor, packed: PackedAttention) -> Tensor:
        return self.head(packed_hidden(self.model, token_ids, positions, packed))


class Qwen3Decoder:
    """Qwen3's forward pass with few, large operations: one product for q, k and v, one for gate and up.

    A step of a small model is bound by the number of operations. The fused weights are copies: make a decoder for one
    `generate` call and drop it, so that no update of the weights is missed.
    """

    def __init__(self, model: Qwen3ForCausalLM, *, max_positions: int) -> None:
        config = model.config
        self.num_heads, self.head_dim, self.eps = config.num_attention_heads, config.head_dim, config.rms_norm_eps
        self.num_kv_heads: int = config.num_key_value_heads or config.num_attention_heads
        self.embedding, self.head = model.model.embed_tokens, output_head(model)
        self.final_norm = model.model.norm.weight
        self.layers = [_Layer(layer, self.num_heads, self.num_kv_heads) for layer in model.model.layers]
        positions = torch.arange(max_positions, device=model.device)[None]
        cos, sin = model.model.rotary_emb(self.embedding.weight, positions)
        self.cos = cos[0]
        # rotate_half(x) * sin is the halves of x swapped, times sin with its first half negated.
        half = self.head_dim // 2
        self.sin = torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=1)

    def step(self, token_ids: Tensor, positions: Tensor, packed: PackedAttention) -> Tensor:
        size, rotated_heads = self.head_dim, self.num_heads + self.num_kv_heads
        rotated, half = rotated_heads * size, size // 2
        x = self.embedding(token_ids)
        cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        for index, layer in enumerate(self.layers):
            qkv = rms_norm(x, layer.input_norm, self.eps) @ layer.qkv
            qk = rms_norm(qkv[:, :rotated].view(-1, rotated_heads, size), layer.qk_norm, self.eps)
            qk = torch.addcmul(qk * cos, torch.cat([qk[..., half:], qk[..., :half]], dim=-1), sin)
            value = qkv[:, rotated:].view(-1, self.num_kv_heads, size)
            out = packed.attend(index, qk[:, : self.num_heads], qk[:, self.num_heads :], value, 1.0)
            x = torch.addmm(x, out.flatten(1), layer.out)
            gate, up = (rms_norm(x, layer.mlp_norm, self.eps) @ layer.gate_up).chunk(2, dim=1)
            x = torch.addmm(x, functional.silu(gate).mul_(up), layer.down)
        return self.head(rms_norm(x, self.final_norm, self.eps))


def fits_qwen3_decoder(model: PreTrainedModel) -> TypeGuard[Qwen3ForCausalLM]:
    """Whether the model is a Qwen3 with plain, bias-free linear layers: no adapters, no quantisation."""
    if type(model) is not Qwen3ForCausalLM or model.config.hidden_act != "silu":
        return False
    return all(
        type(module) is nn.Linear and module.bias is None
        for name, module in model.named_modules()
        if name.endswith(("_proj", "lm_head"))
    )


class _Layer:
    """One decoder layer's weights, fused, transposed views for `x @ w`."""

    def __init__(self, layer: Any, num_heads: int, num_kv_heads: int) -> None:
        attention = layer.self_attn
        self.input_norm, self.mlp_norm = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        self.qkv = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).t()
        # The scale of the scores goes into the queries' norm.
        q_norm = (attention.q_norm.weight * attention.scaling).expand(num_heads, -1)
        self.qk_norm = torch.cat([q_norm, attention.k_norm.weight.expand(num_kv_heads, -1)])
        self.out = attention.o_proj.weight.t()
        self.gate_up = torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight]).t()
        self.down = layer.mlp.down_proj.weight.t()


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Qwen3's normalisation: in float32 whatever the input, back in its type, times the weight."""
    full, size = x.float(), x.shape[-1]
    # x / sqrt(mean(x^2) + eps) as x / sqrt(|x|^2 + size eps) * sqrt(size): one pass over x instead of two.
    norm = torch.linalg.vector_norm(full, dim=-1, keepdim=True)
    return (full * norm.square_().add_(size * eps).rsqrt_().mul_(size**0.5)).to(x.dtype).mul_(weight)
