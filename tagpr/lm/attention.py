"""Shared-prefix attention: each prompt is encoded once, and its G completions attend to it and to themselves.

Registered with transformers as `two_part`: SDPA as it is, until a forward pass gets a `packed` attention. Then the tokens come as
one row without padding: all prompts, then all completions; and attention has two parts, joined by their log-sum-exps: a
group's completions against their prompt's keys and values (one product), and each completion against itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

TWO_PART = "two_part"


class PackedAttention(Protocol):
    """Attention over the tokens of one packed row; given to a forward pass as `packed=...`, it does every layer's attention."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """(N, H, d) queries and (N, K, d) keys and values, after rotation -> (N, H, d)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Padding:
    """Where the rows of a padded grid stand in a packed sequence, and back.

    A padded slot repeats the first token: finite, and never read, as keys on the right of a causal row or masked elsewhere.
    """

    shape: tuple[int, int]  # rows, longest row
    slots: Tensor | None  # (rows * longest,) packed position of each slot; None where nothing is padded
    real: Tensor | None  # (packed tokens,) slot of each token; None where nothing is padded

    @classmethod
    def of_mask(cls, mask: Tensor) -> Padding:
        rows, longest = mask.shape
        if bool(mask.all()):
            return cls(shape=(rows, longest), slots=None, real=None)
        real = mask.flatten().nonzero()[:, 0]
        slots = torch.zeros(rows * longest, dtype=torch.long, device=mask.device)
        slots[real] = torch.arange(len(real), device=mask.device)
        return cls(shape=(rows, longest), slots=slots, real=real)

    def pad(self, packed: Tensor) -> Tensor:
        """(tokens, ...) -> (rows, longest, ...)."""
        return (packed if self.slots is None else packed.index_select(0, self.slots)).unflatten(0, self.shape)

    def pack(self, padded: Tensor) -> Tensor:
        """(rows, longest, ...) -> (tokens, ...)."""
        flat = padded.flatten(0, 1)
        return flat if self.real is None else flat.index_select(0, self.real)


@dataclass(frozen=True, kw_only=True)
class SharedPrefix:
    """How a packed micro-batch of B prompts with G completions each is laid out."""

    num_prompt_tokens: int
    prompts: Padding  # B rows
    completions: Padding | None  # B * G rows; None where there are no completion tokens
    prompt_bias: (
        Tensor | None
    )  # (B, 1, 1, P) 0 or -inf, added to scores against prompt keys; None where no prompt is padded

    @classmethod
    def of_masks(cls, prompt_mask: Tensor, completion_mask: Tensor, *, dtype: torch.dtype) -> SharedPrefix:
        """From (B, P) and (B, G, T) masks, True = a token that is fed to the model."""
        prompts = Padding.of_mask(prompt_mask)
        has_completions = completion_mask.numel() > 0 and bool(completion_mask.any())
        bias = None
        if prompts.slots is not None:
            bias = torch.zeros(prompt_mask.shape, dtype=dtype, device=prompt_mask.device)
            bias = bias.masked_fill_(~prompt_mask, float("-inf"))[:, None, None, :]
        return cls(
            num_prompt_tokens=int(prompt_mask.sum()),
            prompts=prompts,
            completions=Padding.of_mask(completion_mask.flatten(0, 1)) if has_completions else None,
            prompt_bias=bias,
        )

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        return _TwoPart.apply(query, key, value, self, scale)


def two_part_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    packed: PackedAttention | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """The attention function that transformers calls in every layer; see AttentionInterface."""
    if packed is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    if dropout or kwargs.get("sliding_window") is not None or kwargs.get("softcap") is not None:
        raise ValueError(
            f"packed rows know plain causal attention; got dropout={dropout}, "
            f"sliding_window={kwargs.get('sliding_window')}, softcap={kwargs.get('softcap')}. Use the padded method."
        )
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    return packed.attend(module.layer_idx, q, k, v, scaling)[None], None


def packed_hidden(model: PreTrainedModel, token_ids: Tensor, positions: Tensor, packed: PackedAttention) -> Tensor:
    """(N, D) last hidden states of one packed row, (N,) token ids and positions.

    Raises:
        ValueError: a model that was loaded with another attention.
    """
    if model.config._attn_implementation != TWO_PART:
        raise ValueError(
            f"the model's attention is {model.config._attn_implementation!r}, expected {TWO_PART!r} for packed rows: load it with "
            "backbone.attention=two_part, or take the dense or padded method, or the hf engine."
        )
    return model.get_decoder()(
        input_ids=token_ids[None],
        position_ids=positions[None],
        # Four axes: transformers passes such a mask on as it is, instead of building one of N x N. Nobody reads it.
        attention_mask=torch.ones((1, 1, 1, 1), dtype=torch.bool, device=token_ids.device),
        use_cache=False,
        packed=packed,
    ).last_hidden_state[0]


class _TwoPart(torch.autograd.Function):
    """Packed attention, (N, H, d) and (N, K, d) -> (N, H, d), H a multiple of K.

    The backward pass of each part takes the output and the log-sum-exp of the *joined* attention: p = exp(score - lse) and
    d score = p (d p - sum(d out * out)) hold part by part then, so nothing but q, k, v, output and lse is kept.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, layout: SharedPrefix, scale: float
    ) -> Tensor:
        q, k, v = _Parts.of(query, layout), _Parts.of(key, layout), _Parts.of(value, layout)
        repeats = query.shape[1] // key.shape[1]
        prompt_k, prompt_v = _repeat(k.prompts, repeats), _repeat(v.prompts, repeats)
        prompt_out, prompt_lse = _attend(q.prompts, prompt_k, prompt_v, None, True, scale)
        lse = None
        out = layout.prompts.pack(prompt_out.transpose(1, 2))
        if layout.completions is not None:
            to_prompt, to_prompt_lse = _attend(q.by_group, prompt_k, prompt_v, layout.prompt_bias, False, scale)
            to_self, to_self_lse = _attend(
                q.by_completion, _repeat(k.by_completion, repeats), _repeat(v.by_completion, repeats), None, True, scale
            )
            # From here (rows B * G, T, H, ...), the layout of the packed output.
            rows = layout.completions.shape
            to_prompt = to_prompt.transpose(1, 2).reshape(*rows, *query.shape[1:])
            to_prompt_lse = to_prompt_lse.transpose(1, 2).reshape(*rows, query.shape[1])
            to_self, to_self_lse = to_self.transpose(1, 2), to_self_lse.transpose(1, 2)
            lse = torch.logaddexp(to_prompt_lse, to_self_lse)
            joined = to_prompt * (to_prompt_lse - lse).exp().to(to_prompt.dtype).unsqueeze(-1)
            joined += to_self * (to_self_lse - lse).exp().to(to_self.dtype).unsqueeze(-1)
            out = torch.cat([out, layout.completions.pack(joined)])
        ctx.save_for_backward(query, key, value, out, prompt_lse, lse)
        ctx.layout, ctx.scale = layout, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, prompt_lse, lse = ctx.saved_tensors
        layout, scale = ctx.layout, ctx.scale
        q, k, v = _Parts.of(query, layout), _Parts.of(key, layout), _Parts.of(value, layout)
        o, g = _Parts.of(out, layout), _Parts.of(grad.contiguous(), layout)
        repeats = query.shape[1] // key.shape[1]
        prompt_k, prompt_v = _repeat(k.prompts, repeats), _repeat(v.prompts, repeats)
        # A padded query repeats a real token and its gradient: only the real slots may reach the keys.
        prompt_grad = _zero_padding(g.prompts, layout.prompts)
        dq, dk, dv = _attend_backward(
            prompt_grad, q.prompts, prompt_k, prompt_v, o.prompts, prompt_lse, None, True, scale
        )
        parts = [layout.prompts.pack(dq.transpose(1, 2))], [], []
        if layout.completions is not None:
            rows, heads = layout.completions.shape, query.shape[1]
            completion_grad = _zero_padding(g.by_completion, layout.completions)
            group_grad = _by_group(completion_grad, layout)
            own_lse = lse.transpose(1, 2).contiguous()
            group_lse = lse.reshape(layout.prompts.shape[0], -1, heads).transpose(1, 2).contiguous()
            dq_prompt, dk_shared, dv_shared = _attend_backward(
                group_grad, q.by_group, prompt_k, prompt_v, o.by_group, group_lse, layout.prompt_bias, False, scale
            )
            dk, dv = dk + dk_shared, dv + dv_shared
            dq_self, dk_self, dv_self = _attend_backward(
                completion_grad,
                q.by_completion,
                _repeat(k.by_completion, repeats),
                _repeat(v.by_completion, repeats),
                o.by_completion,
                own_lse,
                None,
                True,
                scale,
            )
            dq_rows = dq_self.transpose(1, 2) + dq_prompt.transpose(1, 2).reshape(*rows, *query.shape[1:])
            parts[0].append(layout.completions.pack(dq_rows))
            parts[1].append(layout.completions.pack(_sum_repeats(dk_self, repeats).transpose(1, 2)))
            parts[2].append(layout.completions.pack(_sum_repeats(dv_self, repeats).transpose(1, 2)))
        parts[1].insert(0, layout.prompts.pack(_sum_repeats(dk, repeats).transpose(1, 2)))
        parts[2].insert(0, layout.prompts.pack(_sum_repeats(dv, repeats).transpose(1, 2)))
        return *(torch.cat(part) for part in parts), None, None


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """A packed (N, H, d) tensor, padded into the grids that the two parts of attention work on."""

    prompts: Tensor  # (B, H, P, d)
    by_completion: Tensor | None  # (B * G, H, T, d)
    by_group: Tensor | None  # (B, H, G * T, d), the same memory

    @classmethod
    def of(cls, packed: Tensor, layout: SharedPrefix) -> _Parts:
        prompts = layout.prompts.pad(packed[: layout.num_prompt_tokens]).transpose(1, 2)
        if layout.completions is None:
            return cls(prompts=prompts, by_completion=None, by_group=None)
        completions = layout.completions.pad(packed[layout.num_prompt_tokens :]).transpose(1, 2)
        return cls(prompts=prompts, by_completion=completions, by_group=_by_group(completions, layout))


def _by_group(completions: Tensor, layout: SharedPrefix) -> Tensor:
    """(B * G, H, T, d) -> (B, H, G * T, d)."""
    return completions.transpose(1, 2).reshape(layout.prompts.shape[0], -1, *completions.shape[1::2]).transpose(1, 2)


def _zero_padding(padded: Tensor, padding: Padding) -> Tensor:
    """(rows, H, longest, d) with zeros in the slots that hold no token."""
    if padding.real is None:
        return padded
    counts = torch.zeros(padding.shape[0] * padding.shape[1], dtype=padded.dtype, device=padded.device)
    counts[padding.real] = 1
    return padded * counts.view(padding.shape)[:, None, :, None]


def _repeat(grid: Tensor, repeats: int) -> Tensor:
    """(rows, K, L, d) -> (rows, K * repeats, L, d): query head h reads key head h // repeats."""
    return grid if repeats == 1 else grid[:, :, None].expand(-1, -1, repeats, -1, -1).flatten(1, 2)


def _sum_repeats(grid: Tensor, repeats: int) -> Tensor:
    return grid if repeats == 1 else grid.unflatten(1, (-1, repeats)).sum(dim=2)


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool, scale: float) -> tuple[Tensor, Tensor]:
    """Attention and its log-sum-exp: (rows, H, L, d), (rows, H, L)."""
    if q.device.type == "cpu":
        # What SDPA itself runs on CPU; asked for by name because SDPA keeps the log-sum-exp to itself.
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q, k, v, 0.0, causal, attn_mask=bias, scale=scale
        )
    scores = _scores(q, k, bias, causal, scale)
    lse = scores.logsumexp(dim=-1)
    return (scores - lse[..., None]).exp().to(v.dtype) @ v, lse


def _attend_backward(
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
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad, q, k, v, out, lse, 0.0, causal, attn_mask=bias, scale=scale
        )
    weights = (_scores(q, k, bias, causal, scale) - lse[..., None]).exp()
    delta = (grad * out).sum(dim=-1, keepdim=True)
    grad_scores = (weights * (grad @ v.transpose(2, 3) - delta) * scale).to(q.dtype)
    return grad_scores @ k, grad_scores.transpose(2, 3) @ q, weights.to(grad.dtype).transpose(2, 3) @ grad


def _scores(q: Tensor, k: Tensor, bias: Tensor | None, causal: bool, scale: float) -> Tensor:
    scores = (q @ k.transpose(2, 3)).float() * scale
    if causal:
        later = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return scores if bias is None else scores + bias


AttentionInterface.register(TWO_PART, two_part_attention)
AttentionMaskInterface.register(TWO_PART, sdpa_mask)
