"""FlexAttention over a packed row: the shared prefix on a GPU, where two-part attention has its scores in memory.

Each token of the row sees two runs of it: its own sequence up to itself, and, in a completion, the whole prompt of its
group. That is the mask's function, and from the runs' ends follows which blocks of the mask hold anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from tagpr.errors import UserError
from tagpr.lm.prefix import PrefixLayout

BLOCK = 128  # tokens of a mask's block, queries and keys alike: what the kernels are tuned for
MIN_HEAD_DIM = 16  # of the GPU kernels


@dataclass(frozen=True, kw_only=True)
class SeenRuns:
    """Which keys each query sees: those from `own_first` to before `own_end`, and the same of `shared`; int32."""

    own_first: Tensor  # (N,)
    own_end: Tensor  # (N,)
    shared_first: Tensor  # (N,)
    shared_end: Tensor  # (N,) not after shared_first: nothing shared

    @classmethod
    def of_layout(cls, layout: PrefixLayout, *, device: torch.device) -> SeenRuns:
        row = layout.prompts.places[0].to(device)
        lengths = torch.bincount(row, minlength=layout.prompts.shape[0])
        prompt_first = lengths.cumsum(0) - lengths
        first = shared_first = shared_end = prompt_first[row]
        if layout.completions is not None:
            row = layout.completions.places[0].to(device)
            own_lengths = torch.bincount(row, minlength=layout.completions.shape[0])
            own_first = layout.num_prompt_tokens + own_lengths.cumsum(0) - own_lengths
            group = row // (layout.completions.shape[0] // layout.prompts.shape[0])
            first = torch.cat([first, own_first[row]])
            shared_first = torch.cat([shared_first, prompt_first[group]])
            shared_end = torch.cat([shared_end, (prompt_first + lengths)[group]])
        end = torch.arange(1, len(first) + 1, device=device)
        own_first, own_end, shared_first, shared_end = (
            one.to(torch.int32) for one in (first, end, shared_first, shared_end)
        )
        return cls(own_first=own_first, own_end=own_end, shared_first=shared_first, shared_end=shared_end)

    def of_rows(self, rows: Tensor) -> SeenRuns:
        """What the queries of these tokens alone see."""
        return SeenRuns(
            own_first=self.own_first[rows],
            own_end=self.own_end[rows],
            shared_first=self.shared_first[rows],
            shared_end=self.shared_end[rows],
        )

    def mask(self, *, num_keys: int) -> BlockMask:
        """The same without a matrix of queries by keys on the way: time and memory are of tokens and of blocks."""
        # Names of their own: the mask's function must capture tensors, and nothing else, to be compiled once for all.
        own_first, own_end, shared_first, shared_end = self.own_first, self.own_end, self.shared_first, self.shared_end

        def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            own = (key >= own_first[query]) & (key < own_end[query])
            return own | ((key >= shared_first[query]) & (key < shared_end[query]))

        touched, covered = (
            _blocks(own_first, own_end, num_keys=num_keys, whole=whole)
            + _blocks(shared_first, shared_end, num_keys=num_keys, whole=whole)
            for whole in (False, True)
        )
        full = covered == BLOCK  # runs do not overlap: each query of the block sees every key
        partial = (touched > 0) & ~full
        return BlockMask.from_kv_blocks(
            *_ordered(partial),
            *_ordered(full),
            BLOCK_SIZE=BLOCK,
            mask_mod=sees,
            seq_lengths=(len(own_first), num_keys),
        )


@dataclass(frozen=True, kw_only=True)
class FlexPrefix:
    """A micro-batch's `PrefixLayout` as FlexAttention reads it (a PackedAttention): one mask for all layers."""

    runs: SeenRuns
    mask: BlockMask

    @classmethod
    def of_layout(cls, layout: PrefixLayout, *, device: torch.device) -> FlexPrefix:
        runs = SeenRuns.of_layout(layout, device=device)
        return cls(runs=runs, mask=runs.mask(num_keys=len(runs.own_first)))

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, rows: Tensor | None = None
    ) -> Tensor:
        trains = query.requires_grad or key.requires_grad or value.requires_grad
        check_kernel(query.device.type, head_dim=query.shape[-1], trains=trains)
        mask = self.mask if rows is None else self.runs.of_rows(rows).mask(num_keys=len(key))
        q, k, v = (one.transpose(0, 1)[None] for one in (query, key, value))
        return flex_attend(q, k, v, mask, scale)[0].transpose(0, 1)


def check_kernel(device: str, *, head_dim: int, trains: bool) -> None:
    """Whether torch has FlexAttention for this.

    Raises:
        UserError: what is missing, and what to take instead.
    """
    if trains and device in ("cpu", "mps"):
        raise UserError(
            f"FlexAttention has no backward pass on {device}: set rl.method=two_part, which is the fast way there, or "
            "train on a GPU with trainer=gpu."
        )
    if device != "cpu" and head_dim < MIN_HEAD_DIM:
        raise UserError(
            f"the model's heads have {head_dim} dimensions, and FlexAttention needs {MIN_HEAD_DIM} or more on "
            f"{device}: set rl.method=two_part and backbone.attention=two_part."
        )


def flex_attend(query: Tensor, key: Tensor, value: Tensor, mask: BlockMask, scale: float) -> Tensor:
    """(1, H, R, d) queries, (1, K, N, d) keys and values, H a multiple of K -> (1, H, R, d)."""
    # Compiled, it is one kernel; as it is, the plain formula with all scores in memory: for tests on CPU.
    kernel = flex_attention if query.device.type == "cpu" else _compiled()
    return kernel(query, key, value, block_mask=mask, scale=scale, enable_gqa=True)


@cache
def _compiled() -> Callable[..., Tensor]:
    # Every micro-batch has a length of its own: with static shapes each would be compiled anew. fullgraph: past its
    # limit of variants torch would else go on in silence with the plain formula, all scores in memory.
    return torch.compile(flex_attention, dynamic=True, fullgraph=True)


def _blocks(first: Tensor, end: Tensor, *, num_keys: int, whole: bool) -> Tensor:
    """How many queries of each block see some (or the whole) of each block of keys: (query blocks, key blocks)."""
    columns = -(-num_keys // BLOCK)
    rows = torch.arange(len(first), device=first.device) // BLOCK
    low, high = ((first + BLOCK - 1) // BLOCK, end // BLOCK) if whole else (first // BLOCK, (end + BLOCK - 1) // BLOCK)
    high = torch.where(end > first, torch.maximum(low, high), low)
    # +1 where a query's blocks begin and -1 behind their end, summed up along the keys.
    steps = torch.zeros((-(-len(first) // BLOCK)) * (columns + 1), dtype=torch.int32, device=first.device)
    one = torch.ones_like(first)
    steps.index_add_(0, rows * (columns + 1) + low, one).index_add_(0, rows * (columns + 1) + high, -one)
    return steps.view(-1, columns + 1).cumsum(dim=1)[:, :columns]


def _ordered(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """(rows, columns) bool as FlexAttention lists blocks: how many each row has, and which, those first."""
    order = blocks.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    return blocks.sum(dim=1, dtype=torch.int32)[None, None], order.to(torch.int32)[None, None]
