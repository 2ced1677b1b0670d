"""Forward passes over grouped batches: hidden states where they count, log-probabilities of completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tagpr.lm.attention import FLEX, PACKED, SharedPrefix, packed_hidden
from tagpr.lm.batches import GroupedBatch, pad_right
from tagpr.lm.flex import FlexPrefix
from tagpr.lm.logprobs import token_logprobs
from tagpr.lm.prefix import PackedAttention

# two_part: prompts once, packed, two-part attention: the fast way on CPU. flex: the same row through FlexAttention, for
# a GPU. dense: prompts once, one row per group with a dense mask, any model. padded: one row per completion, prompt and
# all; the reference.
Method = Literal["two_part", "flex", "dense", "padded"]
# How far a right forward may be from the padded one by rounding, in nats: full and half precision.
MAX_GAP, MAX_GAP_HALF = 1e-3, 0.5


@dataclass(frozen=True, kw_only=True)
class TokenScores:
    """Log-probability and entropy of each completion token, 0 where its mask is False. By `completion_logprobs`."""

    logprobs: Tensor  # (B, G, T) float32, natural log
    entropy: Tensor  # (B, G, T) float32, nats


def completion_logprobs(
    model: PreTrainedModel, batch: GroupedBatch, *, temperature: float, method: Method, chunk_size: int
) -> TokenScores:
    """Score every completion token given its prompt and the tokens before it.

    All methods give the same values and gradients; logits are computed at completion positions only.

    Args:
        model: a causal language model, with or without LoRA; loaded with attention `two_part` or `flex` for these two.
        temperature: > 0; divides the logits.
        chunk_size: rows whose logits exist at a time.
    """
    predecessors = _predecessors(model, batch, method=method)
    logprobs, entropy = token_logprobs(
        predecessors,
        output_head(model).weight,
        batch.completion_ids[batch.completion_mask],
        temperature=temperature,
        chunk_size=chunk_size,
    )
    zeros = torch.zeros(batch.completion_ids.shape, dtype=torch.float32, device=logprobs.device)
    return TokenScores(
        logprobs=zeros.masked_scatter(batch.completion_mask, logprobs),
        entropy=zeros.masked_scatter(batch.completion_mask, entropy),
    )


def gap_to_padded(
    model: PreTrainedModel, batch: GroupedBatch, *, temperature: float, method: Method, chunk_size: int
) -> float:
    """Self-check: the largest difference between a method's log-probabilities and the plain padded ones, in nats."""
    with torch.no_grad():
        ours, plain = (
            completion_logprobs(model, batch, temperature=temperature, method=way, chunk_size=chunk_size).logprobs
            for way in (method, "padded")
        )
    return float((ours - plain).abs().max())


def check_against_padded(
    model: PreTrainedModel, batch: GroupedBatch, *, temperature: float, method: Method, chunk_size: int
) -> None:
    """Compare a method with the plain padded way on a batch; nothing is returned where they agree.

    Raises:
        RuntimeError: they differ by more than rounding explains, as with an architecture whose attention we misread.
    """
    gap = gap_to_padded(model, batch, temperature=temperature, method=method, chunk_size=chunk_size)
    is_full = model.dtype == torch.float32 and not torch.is_autocast_enabled(model.device.type)
    allowed = MAX_GAP if is_full else MAX_GAP_HALF
    if not gap <= allowed:
        raise RuntimeError(
            f"log-probabilities of method={method} differ from the padded ones by {gap:.2g} nats, expected at most "
            f"{allowed:g}: this model is not one that the shared-prefix forward reads rightly. Set rl.method=padded."
        )


def fast_method(model: PreTrainedModel) -> Method:
    """The fastest way that the model's attention allows where the model is."""
    attention = model.config._attn_implementation
    if attention == FLEX and model.device.type == "cuda":
        return "flex"
    return "two_part" if attention in PACKED else "padded"


def output_head(model: PreTrainedModel) -> torch.nn.Linear:
    """The layer that makes logits of hidden states.

    Raises:
        ValueError: one that is more than a product with a matrix.
    """
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or head.bias is not None:
        raise ValueError(
            f"the output embedding is {head}, expected a Linear without bias: leave lm_head out of LoRA's targets."
        )
    for setting in ("final_logit_softcapping", "logits_scaling"):
        if getattr(model.config, setting, None) not in (None, 1):
            raise ValueError(f"the model's config has {setting}, which log-probabilities here do not know.")
    return head


def last_completion_states(model: PreTrainedModel, batch: GroupedBatch, *, method: Method) -> Tensor:
    """(B, G, D) hidden state at the last token of each completion, the prompt encoded once for its G completions.

    Raises:
        ValueError: a completion without tokens.
    """
    if not bool(batch.completion_mask[..., 0].all()):
        raise ValueError("a completion has no tokens, expected at least one: its last state would be the prompt's.")
    mask = batch.completion_mask
    last = mask & ~torch.cat([mask[..., 1:], torch.zeros_like(mask[..., :1])], dim=-1)
    _, states = _encode(model, batch, fed=mask, wanted=last, method=method)
    return states.unflatten(0, batch.completion_ids.shape[:2])


def last_hidden_states(
    model: PreTrainedModel, token_lists: Sequence[Sequence[int]], *, method: Method, max_tokens: int
) -> Tensor:
    """(N, D) hidden state at the last token of each list, in the order given; no logits are computed.

    Lists go sorted by length, in micro-batches of at most `max_tokens` padded tokens (a longer list goes alone). With
    gradients on, the graphs of all micro-batches are kept.
    """
    order = sorted(range(len(token_lists)), key=lambda position: (-len(token_lists[position]), position))
    states, start = [], 0
    while start < len(order):
        stop = start + max(1, max_tokens // max(1, len(token_lists[order[start]])))
        rows = [token_lists[position] for position in order[start:stop]]
        ids, mask = pad_right(rows, pad_id=0)
        nothing = mask.new_zeros((len(rows), 0, 0))
        batch = GroupedBatch(
            prompt_ids=ids, prompt_mask=mask, completion_ids=nothing.long(), completion_mask=nothing
        ).to(model.device)
        states.append(_encode(model, batch, fed=nothing, wanted=nothing, method=method)[0])
        start = stop
    if not states:
        raise ValueError("no token lists, expected at least one.")
    back = torch.tensor(order, device=model.device).argsort()
    return torch.cat(states).index_select(0, back)


def _predecessors(model: PreTrainedModel, batch: GroupedBatch, *, method: Method) -> Tensor:
    """(N, D) states that predict the N counted completion tokens, in the mask's order. A last token is never fed."""
    mask = batch.completion_mask
    fed = torch.cat([mask[..., 1:], torch.zeros_like(mask[..., :1])], dim=-1)
    prompt_last, states = _encode(model, batch, fed=fed, wanted=fed, method=method)
    num_prompts = len(prompt_last)
    source = torch.full(mask.shape, 0, device=mask.device)
    source[..., 0] = torch.arange(num_prompts, device=mask.device)[:, None]
    source[..., 1:][mask[..., 1:]] = num_prompts + torch.arange(len(states), device=mask.device)
    return torch.cat([prompt_last, states]).index_select(0, source[mask])


def _encode(
    model: PreTrainedModel, batch: GroupedBatch, *, fed: Tensor, wanted: Tensor, method: Method
) -> tuple[Tensor, Tensor]:
    """(B, D) state at each prompt's last token; (N, D) states of the completion tokens where `wanted`.

    `fed`, of shape (B, G, T), says which completion tokens the model reads; `wanted` is True for some of them.
    """
    prompt_mask = batch.prompt_mask[:, : int(batch.prompt_lengths.max())]
    prompt_ids = batch.prompt_ids[:, : prompt_mask.shape[1]]
    width = int(fed.sum(dim=-1).max()) if fed.numel() else 0
    fed, wanted = fed[..., :width], wanted[..., :width]
    completion_ids = batch.completion_ids[..., :width]
    if method in ("two_part", "flex"):
        return _encode_packed(model, prompt_ids, prompt_mask, completion_ids, fed, wanted, method=method)
    encode = {"dense": _encode_dense, "padded": _encode_padded}[method]
    prompt_last, states = encode(model, prompt_ids, prompt_mask, completion_ids, fed)
    return prompt_last, states[wanted[fed]]


def _encode_packed(
    model: PreTrainedModel,
    prompt_ids: Tensor,
    prompt_mask: Tensor,
    completion_ids: Tensor,
    fed: Tensor,
    wanted: Tensor,
    *,
    method: Method,
) -> tuple[Tensor, Tensor]:
    """One row without padding: all prompts, then all completions."""
    lengths = prompt_mask.sum(dim=1)
    if fed.shape[1] == 1:
        tail_ids, tail, chosen = completion_ids[:, 0], fed[:, 0], wanted[:, 0]
        return _encode_single(model, prompt_ids, prompt_mask, tail_ids, tail, chosen, method=method)
    positions = torch.arange(prompt_mask.shape[1], device=lengths.device).expand_as(prompt_mask)
    positions_after = lengths[:, None, None] + torch.arange(fed.shape[2], device=lengths.device).expand_as(fed)
    layout = SharedPrefix.of_masks(prompt_mask, fed, dtype=model.dtype)
    states = packed_hidden(
        model,
        torch.cat([prompt_ids[prompt_mask], completion_ids[fed]]),
        torch.cat([positions[prompt_mask], positions_after[fed]]),
        _attention(layout, method, device=prompt_ids.device),
        rows=torch.cat([lengths.cumsum(0) - 1, layout.num_prompt_tokens + wanted[fed].nonzero()[:, 0]]),
    )
    return states[: len(lengths)], states[len(lengths) :]


def _attention(layout: SharedPrefix, method: Method, *, device: torch.device) -> PackedAttention:
    return FlexPrefix.of_layout(layout, device=device) if method == "flex" else layout


def _encode_single(
    model: PreTrainedModel,
    prompt_ids: Tensor,
    prompt_mask: Tensor,
    tail_ids: Tensor,
    tail: Tensor,
    wanted: Tensor,
    *,
    method: Method,
) -> tuple[Tensor, Tensor]:
    """Prompts with one completion each: nothing is shared, so each is one causal sequence. `tail` is (B, T)."""
    real = torch.cat([prompt_mask, tail], dim=1)
    lengths, prompt_lengths = real.sum(dim=1), prompt_mask.sum(dim=1)
    grid = torch.arange(int(lengths.max()), device=real.device) < lengths[:, None]
    positions = torch.arange(grid.shape[1], device=real.device).expand_as(grid)
    chosen = torch.cat([torch.zeros_like(prompt_mask), wanted], dim=1)[real].nonzero()[:, 0]
    layout = SharedPrefix.of_masks(grid, grid.new_zeros((len(grid), 0, 0)), dtype=model.dtype)
    states = packed_hidden(
        model,
        torch.cat([prompt_ids, tail_ids], dim=1)[real],
        positions[grid],
        _attention(layout, method, device=real.device),
        rows=torch.cat([lengths.cumsum(0) - lengths + prompt_lengths - 1, chosen]),
    )
    return states[: len(lengths)], states[len(lengths) :]


def _encode_dense(
    model: PreTrainedModel, prompt_ids: Tensor, prompt_mask: Tensor, completion_ids: Tensor, fed: Tensor
) -> tuple[Tensor, Tensor]:
    """One row per group, prompt and completions side by side, under a mask of (P + G T) x (P + G T)."""
    (batch_size, longest), device = prompt_mask.shape, prompt_mask.device
    lengths = prompt_mask.sum(dim=1)
    num_completions, width = fed.shape[1:]
    real = torch.cat([prompt_mask, fed.flatten(1)], dim=1)
    positions = torch.arange(longest, device=device).expand_as(prompt_mask)
    positions_after = lengths[:, None, None] + torch.arange(width, device=device).expand_as(fed)
    # Number of the completion that a column belongs to; -1 = the prompt, which everybody sees.
    owner = torch.cat([torch.full((longest,), -1), torch.arange(num_completions).repeat_interleave(width)]).to(device)
    visible = ((owner[:, None] == owner) | (owner == -1)).tril() & real[:, None, :]
    visible |= torch.eye(len(owner), dtype=torch.bool, device=device)  # a padded row sees itself, or it would be NaN
    bias = torch.zeros(visible.shape, dtype=model.dtype, device=device).masked_fill_(
        ~visible, torch.finfo(model.dtype).min
    )
    hidden = model.get_decoder()(
        input_ids=torch.cat([prompt_ids, completion_ids.flatten(1)], dim=1),
        position_ids=torch.cat([positions, positions_after.flatten(1)], dim=1),
        attention_mask=bias[:, None],
        use_cache=False,
    ).last_hidden_state
    prompt_last = hidden[torch.arange(batch_size, device=device), lengths - 1]
    return prompt_last, hidden[:, longest:].unflatten(1, (num_completions, width))[fed] if width else hidden[:0, 0]


def _encode_padded(
    model: PreTrainedModel, prompt_ids: Tensor, prompt_mask: Tensor, completion_ids: Tensor, fed: Tensor
) -> tuple[Tensor, Tensor]:
    """One row per completion: its prompt, the completion, padding on the right. Causal, so no mask is needed."""
    batch_size, num_completions, width = fed.shape
    rows = batch_size * max(1, num_completions)
    copies = rows // batch_size
    prompts, prompts_real = prompt_ids.repeat_interleave(copies, 0), prompt_mask.repeat_interleave(copies, 0)
    tail, tail_real = completion_ids.reshape(rows, width), fed.reshape(rows, width)
    ids, real = torch.cat([prompts, tail], dim=1), torch.cat([prompts_real, tail_real], dim=1)
    to_left = (~real).to(torch.int8).argsort(dim=1, stable=True)  # the prompt's own padding moves behind the completion
    ids, real = ids.gather(1, to_left), real.gather(1, to_left)
    length = int(real.sum(dim=1).max())
    hidden = model.get_decoder()(input_ids=ids[:, :length], use_cache=False).last_hidden_state
    lengths, columns = prompts_real.sum(dim=1), torch.arange(length, device=real.device)
    prompt_last = hidden[torch.arange(0, rows, copies), lengths[::copies] - 1]
    return prompt_last, hidden[real[:, :length] & (columns >= lengths[:, None])]
