"""Keys and values while completions are drawn: a prompt's once for its whole group, a completion's in preallocated memory."""

from __future__ import annotations

import torch
from torch import Tensor

from tagpr.lm.attention import Padding, SharedPrefix


class GroupCache:
    """A grid of B groups with G rows each, and the attention of one new token per row (a PackedAttention).

    Rows stand in the order (group, sample) outside; inside in the order (group, key head, sample), so that one product serves
    all queries of a group that read the same prompt keys.

    Args:
        prompt_mask: (B, P) True = a real token.
        num_samples: G.
        num_layers: of the model.
        capacity: completion tokens that a row can hold.
    """

    def __init__(
        self, *, prompt_mask: Tensor, num_samples: int, num_layers: int, capacity: int, dtype: torch.dtype
    ) -> None:
        self.num_groups, self.num_samples = prompt_mask.shape[0], num_samples
        self.capacity, self.length = capacity, 0
        nothing = prompt_mask.new_zeros((self.num_groups, 0, 0))
        self.layout = SharedPrefix.of_masks(prompt_mask, nothing, dtype=dtype)
        bias = self.layout.prompt_bias
        self.prompt_bias = None if bias is None else bias[:, 0]  # (B, 1, P)
        self.prompt_keys: list[Tensor] = []  # per layer (B, K, P, d)
        self.prompt_values: list[Tensor] = []
        self.own_keys: list[Tensor] = []  # per layer (B, K, G, capacity, d)
        self.own_values: list[Tensor] = []

    def prefill(self) -> _Prefill:
        """The attention of the prompts' forward pass; it fills the prompts' keys and values."""
        return _Prefill(self)

    def advance(self) -> None:
        """Make room for one more token per row: call before each decoding pass."""
        self.length += 1

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """(B * G, H, d) queries of the newest tokens, with their keys and values (B * G, K, d) -> (B * G, H, d)."""
        groups, samples, heads = self.num_groups, self.num_samples, key.shape[1]
        repeats, size, length = query.shape[1] // heads, query.shape[2], self.length
        own_keys, own_values = self.own_keys[layer], self.own_values[layer]
        own_keys[:, :, :, length - 1] = key.view(groups, samples, heads, size).transpose(1, 2)
        own_values[:, :, :, length - 1] = value.view(groups, samples, heads, size).transpose(1, 2)
        q = query.reshape(groups, samples, heads, repeats, size).transpose(1, 2) * scale
        by_group = q.reshape(groups * heads, samples * repeats, size)
        to_prompt = by_group @ self.prompt_keys[layer].flatten(0, 1).transpose(1, 2)
        if self.prompt_bias is not None:
            to_prompt.view(groups, heads, samples * repeats, -1).add_(self.prompt_bias[:, None])
        own = slice(0, length)
        to_self = by_group.view(-1, repeats, size) @ own_keys.flatten(0, 2)[:, own].transpose(1, 2)
        weights = torch.cat([to_prompt, to_self.view(*to_prompt.shape[:2], length)], dim=-1).softmax(dim=-1)
        longest = to_prompt.shape[-1]
        out = weights[..., :longest] @ self.prompt_values[layer].flatten(0, 1)
        weights_self = weights[..., longest:].reshape(-1, repeats, length)
        out += (weights_self @ own_values.flatten(0, 2)[:, own]).view_as(out)
        return out.view(groups, heads, samples, repeats, size).transpose(1, 2).reshape(query.shape)

    def keep(self, groups: Tensor, samples: Tensor) -> None:
        """Shrink the grid to the given groups (B',) and, in each, the given samples (B', G')."""
        rows = groups[:, None] * self.num_samples + samples
        for layer, (keys, values) in enumerate(zip(self.own_keys, self.own_values, strict=True)):
            self.own_keys[layer], self.own_values[layer] = self._rows(keys, rows), self._rows(values, rows)
        if len(groups) < self.num_groups:
            self.prompt_keys = [keys[groups] for keys in self.prompt_keys]
            self.prompt_values = [values[groups] for values in self.prompt_values]
            self.prompt_bias = None if self.prompt_bias is None else self.prompt_bias[groups]
        self.num_groups, self.num_samples = samples.shape

    def _rows(self, own: Tensor, rows: Tensor) -> Tensor:
        kept = own.new_empty((rows.shape[0], own.shape[1], rows.shape[1], *own.shape[3:]))
        by_row = own[..., : self.length, :].transpose(1, 2)
        kept[..., : self.length, :] = by_row[rows // self.num_samples, rows % self.num_samples].transpose(1, 2)
        return kept


class _Prefill:
    """Attention of the prompts, each seen once."""

    def __init__(self, cache: GroupCache) -> None:
        self.cache = cache

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        cache = self.cache
        shape = (cache.num_groups, key.shape[1], cache.num_samples, cache.capacity, key.shape[2])
        cache.prompt_keys.append(_grid(key, cache.layout.prompts))
        cache.prompt_values.append(_grid(value, cache.layout.prompts))
        cache.own_keys.append(key.new_empty(shape))
        cache.own_values.append(value.new_empty(shape))
        return cache.layout.attend(layer, query, key, value, scale)


def _grid(packed: Tensor, padding: Padding) -> Tensor:
    """(tokens, K, d) -> (B, K, P, d)."""
    return padding.pad(packed).transpose(1, 2).contiguous()
