"""Packed rows and padded grids: attention wants grids, all else goes faster without padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Padding:
    """Where the rows of a padded grid stand in a packed sequence, and back.

    A padded slot repeats the first token: finite, and never read, as keys on the right of a causal row or masked
    elsewhere.
    """

    shape: tuple[int, int]  # rows, longest row
    slots: Tensor | None  # (rows * longest,) packed position of each slot; None where nothing is padded
    real: Tensor | None  # (packed tokens,) slot of each token; None where nothing is padded
    empty: Tensor | None  # slots that hold no token; None where nothing is padded

    @classmethod
    def of_mask(cls, mask: Tensor) -> Padding:
        rows, longest = mask.shape
        if bool(mask.all()):
            return cls(shape=(rows, longest), slots=None, real=None, empty=None)
        return cls.of_slots(mask.flatten().nonzero()[:, 0], shape=(rows, longest))

    @classmethod
    def of_slots(cls, real: Tensor, *, shape: tuple[int, int]) -> Padding:
        """From the slot of each token, row by row: no two alike, in any order."""
        free = torch.ones(shape[0] * shape[1], dtype=torch.bool, device=real.device)
        free[real] = False
        slots = torch.zeros(len(free), dtype=torch.long, device=real.device)
        slots[real] = torch.arange(len(real), device=real.device)
        return cls(shape=shape, slots=slots, real=real, empty=free.nonzero()[:, 0])

    def pad(self, packed: Tensor) -> Tensor:
        """(tokens, ...) -> (rows, longest, ...)."""
        return (packed if self.slots is None else packed.index_select(0, self.slots)).unflatten(0, self.shape)

    def pad_with_zeros(self, packed: Tensor) -> Tensor:
        """The same with zeros in the slots that hold no token, as gradients need it."""
        if self.slots is None or self.empty is None:
            return packed.unflatten(0, self.shape)
        return packed.index_select(0, self.slots).index_fill_(0, self.empty, 0).unflatten(0, self.shape)

    @property
    def places(self) -> tuple[Tensor, Tensor]:
        """(tokens,) row and column of each token in the grid; on CPU where nothing is padded."""
        real = torch.arange(self.shape[0] * self.shape[1]) if self.real is None else self.real
        return real // self.shape[1], real % self.shape[1]

    def pack(self, padded: Tensor) -> Tensor:
        """(rows, longest, ...) -> (tokens, ...)."""
        flat = padded.flatten(0, 1)
        return flat if self.real is None else flat.index_select(0, self.real)


def grid(packed: Tensor, padding: Padding, repeats: int = 1) -> Tensor:
    """(tokens, K, d) -> (rows, K * repeats, longest, d): query head h reads key head h // repeats."""
    padded = padding.pad(packed).transpose(1, 2)
    return padded if repeats == 1 else padded[:, :, None].expand(-1, -1, repeats, -1, -1).flatten(1, 2)


def sum_repeats(padded: Tensor, repeats: int) -> Tensor:
    """Gradient of `grid`'s copies: (rows, K * repeats, longest, d) -> (rows, K, longest, d)."""
    return padded if repeats == 1 else padded.unflatten(1, (-1, repeats)).sum(dim=2)
