"""Keys and values while completions are drawn: a prompt's once for its group, a completion's in preallocated memory."""

from __future__ import annotations

import torch
from torch import Tensor

from tagpr.lm.attention import SharedPrefix
from tagpr.lm.flex import FlexPrefix
from tagpr.lm.prefix import PackedAttention


class GroupCache:
    """A grid of B groups with G rows each, and the attention of one new token per row (a PackedAttention).

    Rows stand in the order (group, sample) outside; inside in the order (group, key head, sample), so that one product
    serves all queries of a group that read the same prompt keys. Keys lie transposed, as that product reads them:
    twice as fast for the short rows of decoding.

    Args:
        prompt_mask: (B, P) True = a real token.
        num_samples: G.
        capacity: completion tokens that a row can hold.
        dtype: of the keys and values.
        flex: the prompts' own attention is FlexAttention.
    """

    def __init__(self, *, prompt_mask: Tensor, num_samples: int, capacity: int, dtype: torch.dtype, flex: bool) -> None:
        self.num_groups, self.num_samples = prompt_mask.shape[0], num_samples
        self.capacity, self.length = capacity, 0
        nothing = prompt_mask.new_zeros((self.num_groups, 0, 0))
        self.layout = SharedPrefix.of_masks(prompt_mask, nothing, dtype=dtype)
        self.prompt_attention: PackedAttention = self.layout
        if flex:
            self.prompt_attention = FlexPrefix.of_layout(self.layout, device=prompt_mask.device)
        bias = self.layout.prompt_bias
        self.prompt_bias = None if bias is None else bias[:, 0]  # (B, 1, P)
        self.prompt_keys: list[Tensor] = []  # per layer (B, K, d, P)
        self.prompt_values: list[Tensor] = []  # per layer (B, K, P, d)
        self.own_keys: list[Tensor] = []  # per layer (B, K, G, d, capacity)
        self.own_values: list[Tensor] = []  # per layer (B, K, G, capacity, d)

    def prefill(self) -> Prefill:
        """The attention of the prompts' forward pass, which fills the prompts' keys and values."""
        return Prefill(self)

    def advance(self) -> None:
        """Make room for one more token per row: call before each decoding pass."""
        self.length += 1

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, rows: Tensor | None = None
    ) -> Tensor:
        """(B * G, H, d) queries of the newest tokens, with their keys and values (B * G, K, d) -> (B * G, H, d)."""
        assert rows is None, "a decoding pass wants every row"
        grid, heads = (self.num_groups, self.num_samples), key.shape[1]
        repeats, size, length = query.shape[1] // heads, query.shape[2], self.length
        own_keys, own_values = self.own_keys[layer], self.own_values[layer]
        own_keys[..., length - 1] = key.unflatten(0, grid).transpose(1, 2)
        own_values[..., length - 1, :] = value.unflatten(0, grid).transpose(1, 2)
        by_group = query.reshape(*grid, heads, repeats, size).transpose(1, 2).reshape(grid[0] * heads, -1, size)
        if scale != 1:
            by_group = by_group * scale
        to_prompt = by_group @ self.prompt_keys[layer].flatten(0, 1)
        if self.prompt_bias is not None:
            to_prompt.unflatten(0, (grid[0], heads)).add_(self.prompt_bias[:, None])
        to_self = by_group.view(-1, repeats, size) @ own_keys.flatten(0, 2)[..., :length]
        longest = to_prompt.shape[-1]
        weights = torch.cat([to_prompt, to_self.view(*to_prompt.shape[:2], length)], dim=-1).softmax(dim=-1)
        out = weights[..., :longest] @ self.prompt_values[layer].flatten(0, 1)
        own_weights = weights[..., longest:].reshape(-1, repeats, length)
        out += (own_weights @ own_values.flatten(0, 2)[:, :length]).view_as(out)
        return out.view(grid[0], heads, grid[1], repeats, size).transpose(1, 2).reshape(query.shape)

    def keep(self, groups: Tensor, samples: Tensor) -> None:
        """Shrink the grid to the given groups (B',) and, in each, the given samples (B', G')."""
        self.own_keys = [self._keep(keys, groups, samples, dim=4) for keys in self.own_keys]
        self.own_values = [self._keep(values, groups, samples, dim=3) for values in self.own_values]
        if len(groups) < self.num_groups:
            self.prompt_keys = [keys[groups] for keys in self.prompt_keys]
            self.prompt_values = [values[groups] for values in self.prompt_values]
            self.prompt_bias = None if self.prompt_bias is None else self.prompt_bias[groups]
        self.num_groups, self.num_samples = samples.shape

    def _keep(self, own: Tensor, groups: Tensor, samples: Tensor, *, dim: int) -> Tensor:
        # Only the `length` filled slots along `dim` are worth copying.
        kept = own.new_empty((len(groups), own.shape[1], samples.shape[1], *own.shape[3:]))
        filled = own.narrow(dim, 0, self.length).transpose(1, 2)
        kept.narrow(dim, 0, self.length).copy_(filled[groups[:, None], samples].transpose(1, 2))
        return kept


class Prefill:
    """Attention of the prompts, each seen once (a PackedAttention)."""

    def __init__(self, cache: GroupCache) -> None:
        self.cache = cache

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, rows: Tensor | None = None
    ) -> Tensor:
        cache, prompts = self.cache, self.cache.layout.prompts
        cache.prompt_keys.append(prompts.pad(key).permute(0, 2, 3, 1).contiguous())
        cache.prompt_values.append(prompts.pad(value).transpose(1, 2).contiguous())
        shape = (cache.num_groups, key.shape[1], cache.num_samples)
        cache.own_keys.append(key.new_empty((*shape, key.shape[2], cache.capacity)))
        cache.own_values.append(value.new_empty((*shape, cache.capacity, value.shape[2])))
        return cache.prompt_attention.attend(layer, query, key, value, scale, rows)
