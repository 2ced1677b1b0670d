"""The last layer's attention where few tokens are asked for: their queries alone, against all keys.

Beside the asked tokens nobody's output is read after the last layer, so nobody else has to ask there. A reward model
reads one token of each answer, SFT the completions of long prompts, a prefill one token of each prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tagpr.lm.kernels import attend, attend_backward
from tagpr.lm.padding import Padding, grid, sum_repeats
from tagpr.lm.prefix import PrefixLayout


@dataclass(frozen=True, kw_only=True)
class AskedRows:
    """How the R asked tokens of a `PrefixLayout` look at its prompts and completions."""

    by_group: Padding  # B rows: the asked tokens of each group
    to_prompt: Tensor  # (B, 1, W, P) 0 or -inf: which keys of the prompt each may see
    tail: Tensor  # those of the R that are completion tokens
    own: Padding | None  # B * G rows: the asked tokens of each completion; None: there are none
    to_self: Tensor | None  # (B * G, 1, w, T) 0 or -inf: which keys of the completion each may see

    @classmethod
    def of_rows(cls, rows: Tensor, layout: PrefixLayout, *, dtype: torch.dtype) -> AskedRows:
        """From (R,) packed positions, in any order."""
        split, (groups, longest) = layout.num_prompt_tokens, layout.prompts.shape
        tail = (rows >= split).nonzero()[:, 0]
        asked, column = (place.to(rows.device)[rows.clamp(max=split - 1)] for place in layout.prompts.places)
        own = to_self = None
        if len(tail) and layout.completions is not None:
            owner, own_column = (place.to(rows.device)[rows[tail] - split] for place in layout.completions.places)
            asked[tail] = owner // (layout.completions.shape[0] // groups)
            column[tail] = longest  # a completion sees the whole prompt
            own = _gathered(owner, num_rows=layout.completions.shape[0])
            to_self = _up_to(own_column, own, num_keys=layout.completions.shape[1], dtype=dtype)
        by_group = _gathered(asked, num_rows=groups)
        to_prompt = _up_to(column, by_group, num_keys=longest, dtype=dtype)
        if layout.prompt_bias is not None:
            to_prompt = to_prompt + layout.prompt_bias
        return cls(by_group=by_group, to_prompt=to_prompt, tail=tail, own=own, to_self=to_self)


def attend_asked(
    query: Tensor, key: Tensor, value: Tensor, layout: PrefixLayout, asked: AskedRows, scale: float
) -> Tensor:
    """(R, H, d) queries of the asked tokens, (N, K, d) keys and values of all -> (R, H, d)."""
    return _Asked.apply(query, key, value, layout, asked, scale)


class _Asked(torch.autograd.Function):
    """Two parts joined by their log-sum-exps, as in attention.py, which says why the backward pass may go by parts."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: PrefixLayout, asked: AskedRows, scale: float
    ) -> Tensor:
        split, repeats = layout.num_prompt_tokens, query.shape[1] // key.shape[1]
        k, v = (grid(one[:split], layout.prompts, repeats) for one in (key, value))
        padded, padded_lse = attend(grid(query, asked.by_group), k, v, asked.to_prompt, False, scale)
        out, lse = (asked.by_group.pack(one.transpose(1, 2)) for one in (padded, padded_lse))
        if asked.own is not None and layout.completions is not None:
            k, v = (grid(one[split:], layout.completions, repeats) for one in (key, value))
            padded, padded_lse = attend(grid(query[asked.tail], asked.own), k, v, asked.to_self, False, scale)
            own, own_lse = (asked.own.pack(one.transpose(1, 2)) for one in (padded, padded_lse))
            joined = torch.logaddexp(lse[asked.tail], own_lse)
            shared_share, own_share = (
                (one - joined).exp()[..., None].to(out.dtype) for one in (lse[asked.tail], own_lse)
            )
            out[asked.tail] = out[asked.tail] * shared_share + own * own_share
            lse[asked.tail] = joined
        ctx.save_for_backward(query, key, value, out, lse)
        ctx.layout, ctx.asked, ctx.scale = layout, asked, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, lse = ctx.saved_tensors
        layout, asked, scale = ctx.layout, ctx.asked, ctx.scale
        split, repeats = layout.num_prompt_tokens, query.shape[1] // key.shape[1]

        def part(
            rows: Tensor | slice, queries: Padding, tokens: slice, keys: Padding, bias: Tensor | None
        ) -> tuple[Tensor, Tensor, Tensor]:
            g = queries.pad_with_zeros(grad[rows]).transpose(1, 2)
            q, o = grid(query[rows], queries), grid(out[rows], queries)
            k, v = grid(key[tokens], keys, repeats), grid(value[tokens], keys, repeats)
            part_lse = queries.pad(lse[rows]).transpose(1, 2).contiguous()
            dq, dk, dv = attend_backward(g, q, k, v, o, part_lse, bias, False, scale)
            dk, dv = (keys.pack(sum_repeats(one, repeats).transpose(1, 2)) for one in (dk, dv))
            return queries.pack(dq.transpose(1, 2)), dk, dv

        every = slice(None)
        grad_query, dk, dv = part(every, asked.by_group, slice(split), layout.prompts, asked.to_prompt)
        if len(key) == split:
            return grad_query, dk, dv, None, None, None
        grad_key, grad_value = torch.zeros_like(key), torch.zeros_like(value)
        grad_key[:split], grad_value[:split] = dk, dv
        if asked.own is not None:
            dq, dk, dv = part(asked.tail, asked.own, slice(split, None), layout.completions, asked.to_self)
            grad_query.index_add_(0, asked.tail, dq)
            grad_key[split:], grad_value[split:] = dk, dv
        return grad_query, grad_key, grad_value, None, None, None


def _gathered(owner: Tensor, *, num_rows: int) -> Padding:
    """A grid with the tokens of each row side by side, (R,) row of each token, in any order."""
    counts = torch.bincount(owner, minlength=num_rows)
    order = owner.argsort(stable=True)
    column = torch.empty_like(owner)
    column[order] = torch.arange(len(owner), device=owner.device) - (counts.cumsum(0) - counts)[owner[order]]
    longest = int(counts.max())
    return Padding.of_slots(owner * longest + column, shape=(num_rows, longest))


def _up_to(last: Tensor, padding: Padding, *, num_keys: int, dtype: torch.dtype) -> Tensor:
    """(rows, 1, longest, keys): 0 for the keys up to a token's last one, -inf after it; empty slots see all."""
    limits = torch.full((padding.shape[0] * padding.shape[1],), num_keys, device=last.device)
    limits[padding.real] = last
    later = torch.arange(num_keys, device=last.device) > limits[:, None]
    bias = torch.zeros(later.shape, dtype=dtype, device=last.device).masked_fill_(later, float("-inf"))
    return bias.unflatten(0, padding.shape)[:, None]
