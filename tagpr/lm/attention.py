"""Shared-prefix attention: each prompt is encoded once, and its G completions attend to it and to themselves.

Registered with transformers as `two_part` and as `flex`: SDPA as it is, until a forward pass gets a `packed` attention.
Then the tokens come as one row without padding: all prompts, then all completions; and what is passed attends. Here it
has two parts, joined by their log-sum-exps: a group's completions against their prompt's keys and values (one product),
and each completion against itself. For FlexAttention see flex.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tagpr.lm.asked_rows import AskedRows, attend_asked
from tagpr.lm.kernels import attend, attend_backward
from tagpr.lm.lean import lean_decoder, lean_hidden
from tagpr.lm.padding import grid, sum_repeats
from tagpr.lm.prefix import PackedAttention, PrefixLayout

TWO_PART, FLEX = "two_part", "flex"
PACKED = frozenset({TWO_PART, FLEX})  # attention implementations that know packed rows; they differ in `fast_method`


class SharedPrefix(PrefixLayout):
    """The two-part attention over such a micro-batch."""

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, rows: Tensor | None = None
    ) -> Tensor:
        if rows is None:
            return _TwoPart.apply(query, key, value, self, scale)
        asked = AskedRows.of_rows(rows, self, dtype=query.dtype)
        return attend_asked(query, key, value, self, asked, scale)


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    packed: PackedAttention | None = None,
    **kwargs: Any,
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
    # Under autocast the values are narrower than what a float32 norm has made of queries and keys.
    return packed.attend(module.layer_idx, q.to(v.dtype), k.to(v.dtype), v, scaling)[None], None


def packed_hidden(
    model: PreTrainedModel,
    token_ids: Tensor,
    positions: Tensor,
    packed: PackedAttention,
    *,
    rows: Tensor | None = None,
) -> Tensor:
    """(N, D) last hidden states of one packed row, (N,) token ids and positions.

    Args:
        rows: tokens whose states are wanted, in this order; None: all. What the last layer need not do for the others
            it leaves out, where it can.

    Raises:
        ValueError: a model that was loaded with another attention.
    """
    if model.config._attn_implementation not in PACKED:
        raise ValueError(
            f"the model's attention is {model.config._attn_implementation!r}, expected {TWO_PART!r} or {FLEX!r} for "
            "packed rows: load it with backbone.attention=two_part, or take the dense or padded method, or the hf "
            "engine."
        )
    if (decoder := lean_decoder(model)) is not None:
        return lean_hidden(decoder, token_ids, positions, packed, rows=rows)
    hidden = model.get_decoder()(
        input_ids=token_ids[None],
        position_ids=positions[None],
        # Four axes: transformers passes such a mask on as it is, instead of building one of N x N. Nobody reads it.
        attention_mask=torch.ones((1, 1, 1, 1), dtype=torch.bool, device=token_ids.device),
        use_cache=False,
        packed=packed,
    ).last_hidden_state[0]
    return hidden if rows is None else hidden.index_select(0, rows)


class _TwoPart(torch.autograd.Function):
    """Packed attention, (N, H, d) and (N, K, d) -> (N, H, d), H a multiple of K.

    The backward pass of each part takes the output and the log-sum-exp of the *joined* attention: p = exp(score -
    lse) and d score = p (d p - sum(d out * out)) hold part by part then, so nothing but q, k, v, output and lse is
    kept.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: SharedPrefix, scale: float) -> Tensor:
        split, prompts, completions = layout.num_prompt_tokens, layout.prompts, layout.completions
        repeats = query.shape[1] // key.shape[1]
        prompt_k, prompt_v = grid(key[:split], prompts, repeats), grid(value[:split], prompts, repeats)
        prompt_out, prompt_lse = attend(grid(query[:split], prompts), prompt_k, prompt_v, None, True, scale)
        out, lse = prompts.pack(prompt_out.transpose(1, 2)), None
        if completions is not None:
            q = grid(query[split:], completions)
            k, v = grid(key[split:], completions, repeats), grid(value[split:], completions, repeats)
            bias, groups = layout.prompt_bias, prompts.shape[0]
            shared, shared_lse = attend(_by_group(q, groups), prompt_k, prompt_v, bias, False, scale)
            own, own_lse = attend(q, k, v, None, True, scale)
            # From here (B * G, T, H, ...), the order of the packed output.
            rows = (*completions.shape, query.shape[1])
            shared, shared_lse = shared.transpose(1, 2).reshape(*rows, -1), shared_lse.transpose(1, 2).reshape(rows)
            own, own_lse = own.transpose(1, 2), own_lse.transpose(1, 2)
            lse = torch.logaddexp(shared_lse, own_lse)
            joined = shared * (shared_lse - lse).exp().to(shared.dtype).unsqueeze(-1)
            joined += own * (own_lse - lse).exp().to(own.dtype).unsqueeze(-1)
            out = torch.cat([out, completions.pack(joined)])
        ctx.save_for_backward(query, key, value, out, prompt_lse, lse)
        ctx.layout, ctx.scale = layout, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, prompt_lse, lse = ctx.saved_tensors
        layout, scale = ctx.layout, ctx.scale
        split, prompts, completions = layout.num_prompt_tokens, layout.prompts, layout.completions
        repeats = query.shape[1] // key.shape[1]
        q, o = grid(query[:split], prompts), grid(out[:split], prompts)
        prompt_k, prompt_v = grid(key[:split], prompts, repeats), grid(value[:split], prompts, repeats)
        # A padded query repeats a real token: without zeros there, its gradient would reach the keys.
        g = prompts.pad_with_zeros(grad[:split]).transpose(1, 2)
        dq, dk, dv = attend_backward(g, q, prompt_k, prompt_v, o, prompt_lse, None, True, scale)
        dq_own = dk_own = dv_own = None
        if completions is not None:
            groups, heads = prompts.shape[0], query.shape[1]
            q, o = grid(query[split:], completions), grid(out[split:], completions)
            k, v = grid(key[split:], completions, repeats), grid(value[split:], completions, repeats)
            g = completions.pad_with_zeros(grad[split:]).transpose(1, 2)
            group_lse = lse.reshape(groups, -1, heads).transpose(1, 2).contiguous()
            grouped = (_by_group(tensor, groups) for tensor in (g, q, o))
            g_group, q_group, o_group = grouped
            dq_shared, dk_shared, dv_shared = attend_backward(
                g_group, q_group, prompt_k, prompt_v, o_group, group_lse, layout.prompt_bias, False, scale
            )
            dk, dv = dk.add_(dk_shared), dv.add_(dv_shared)
            own_lse = lse.transpose(1, 2).contiguous()
            dq_own, dk_own, dv_own = attend_backward(g, q, k, v, o, own_lse, None, True, scale)
            dq_own.add_(dq_shared.transpose(1, 2).reshape(*completions.shape, heads, -1).transpose(1, 2))
        return (
            _pack(dq, dq_own, layout, 1),
            _pack(dk, dk_own, layout, repeats),
            _pack(dv, dv_own, layout, repeats),
            None,
            None,
        )


def _pack(prompts: Tensor, completions: Tensor | None, layout: SharedPrefix, repeats: int) -> Tensor:
    """Gradients of the two grids, (rows, K * repeats, longest, d), summed over repeats -> (tokens, K, d)."""
    parts = [layout.prompts.pack(sum_repeats(prompts, repeats).transpose(1, 2))]
    if completions is not None and layout.completions is not None:
        parts.append(layout.completions.pack(sum_repeats(completions, repeats).transpose(1, 2)))
    return torch.cat(parts)


def _by_group(completions: Tensor, groups: int) -> Tensor:
    """(B * G, H, T, d) -> (B, H, G * T, d), the same memory."""
    heads, size = completions.shape[1], completions.shape[3]
    return completions.transpose(1, 2).reshape(groups, -1, heads, size).transpose(1, 2)


for _name in PACKED:
    AttentionInterface.register(_name, packed_attention)
    AttentionMaskInterface.register(_name, sdpa_mask)
