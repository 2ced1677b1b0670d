"""One decoding step of a model: the newest token of every row in, logits of the next one out."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention, Qwen3ForCausalLM

from tagpr.lm.attention import PackedAttention, packed_hidden


class Decoder(Protocol):
    def step(self, token_ids: Tensor, positions: Tensor, packed: PackedAttention) -> Tensor:
        """(R,) newest tokens and their positions -> (R, V) logits."""
        ...


class TransformersDecoder:
    """The model's own forward pass; for every architecture, adapters included."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model, self.head = model, model.get_output_embeddings()

    def step(self, token_ids: Tensor, positions: Tensor, packed: PackedAttention) -> Tensor:
        return self.head(packed_hidden(self.model, token_ids, positions, packed))


class Qwen3Decoder:
    """Qwen3's forward pass with few, large operations: one product for q, k and v, one for gate and up.

    A step of a small model is bound by the number of operations. The fused weights are copies: make a decoder for one `generate`
    call and drop it, so that no update of the weights is missed.
    """

    def __init__(self, model: Qwen3ForCausalLM, *, max_positions: int) -> None:
        config = model.config
        self.num_heads, self.num_kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        self.eps = config.rms_norm_eps
        self.embedding, self.head, self.norm = (
            model.get_input_embeddings(),
            model.get_output_embeddings(),
            model.model.norm,
        )
        self.layers = [_Layer(layer, self.num_heads, self.num_kv_heads) for layer in model.model.layers]
        positions = torch.arange(max_positions, device=model.device)[None]
        cos, sin = model.model.rotary_emb(self.embedding.weight, positions)
        self.cos = cos[0]
        # rotate_half(x) * sin is the halves of x swapped, times sin with its first half negated.
        half = self.head_dim // 2
        self.sin = torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=1)

    @staticmethod
    def fits(model: PreTrainedModel) -> bool:
        """Whether the model is a Qwen3 with plain, bias-free linear layers: no adapters, no quantisation."""
        return type(model) is Qwen3ForCausalLM and all(
            type(module) is nn.Linear and module.bias is None
            for name, module in model.named_modules()
            if name.endswith(("_proj", "lm_head"))
        )

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
            out = packed.attend(index, qk[:, : self.num_heads], qk[:, self.num_heads :], value, layer.scale)
            x = torch.addmm(x, out.flatten(1), layer.out)
            gate, up = (rms_norm(x, layer.mlp_norm, self.eps) @ layer.gate_up).chunk(2, dim=1)
            x = torch.addmm(x, functional.silu(gate).mul_(up), layer.down)
        return self.head(rms_norm(x, self.norm.weight, self.eps))


class _Layer:
    """One decoder layer's weights, fused, transposed views for `x @ w`."""

    def __init__(self, layer: nn.Module, num_heads: int, num_kv_heads: int) -> None:
        attention: Qwen3Attention = layer.self_attn
        self.input_norm, self.mlp_norm = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        self.qkv = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).t()
        self.qk_norm = torch.cat(
            [attention.q_norm.weight.expand(num_heads, -1), attention.k_norm.weight.expand(num_kv_heads, -1)]
        )
        self.out, self.scale = attention.o_proj.weight.t(), attention.scaling
        self.gate_up = torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight]).t()
        self.down = layer.mlp.down_proj.weight.t()


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Qwen3's normalisation: in float32 whatever the input, back in its type, times the weight."""
    full = x.float()
    inverse = (torch.linalg.vecdot(full, full) / x.shape[-1] + eps).rsqrt_()
    return (full * inverse[..., None]).to(x.dtype) * weight
