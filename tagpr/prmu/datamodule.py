"""What a batch of preference pairs is: blocks of pairs that share texts, with each history and answer once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tagpr.errors import BadInputError
from tagpr.markup import escape
from tagpr.prmu.loss import user_weights
from tagpr.prmu.texts import Exchange, History, query_context, user_history
from tagpr.prmu.user_encoder import drop_entries
from tagpr.training.loader import ResumableLoader
from tagpr.types import PreferencePair, Record


@dataclass(frozen=True, kw_only=True, slots=True)
class PairBlock:
    """Pairs that stay together: they need the same histories and answers (`make_blocks`), or are few (`bundled`)."""

    pairs: tuple[PreferencePair, ...]
    weights: tuple[float, ...]  # 1/n_u, scaled to mean 1 over the data set


@dataclass(frozen=True, kw_only=True, slots=True)
class PairBatch:
    """A micro-batch. Rows of `users` and `candidates` are distinct; the index tensors point into R of shape (U, B)."""

    users: list[History]
    candidates: list[Exchange]
    user: Tensor  # (P,)
    chosen: Tensor  # (P,)
    rejected: Tensor  # (P,)
    weights: Tensor  # (P,) of pair_loss: the step's sum is the data set's mean, in expectation
    contrast: Tensor  # (C,) pairs that have another user to be contrasted with
    other: Tensor  # (C,) that user, a row of `users`
    contrast_weights: Tensor  # (C,) of contrast_loss, likewise; 0 where the two users' answers agree

    @property
    def needed(self) -> Tensor:
        """(U, B) bool: the rewards that are looked at."""
        needed = torch.zeros(len(self.users), len(self.candidates), dtype=torch.bool)
        for side in (self.chosen, self.rejected):
            needed[self.user, side] = True
            needed[self.other, side[self.contrast]] = True
        return needed


def histories_of(
    pairs: Sequence[PreferencePair], records: Sequence[Record]
) -> tuple[dict[str, History], dict[str, str]]:
    """Per record of the pairs: H_u without the question's own entry, and the query's context.

    Raises:
        BadInputError: a pair of a record that the records stage did not write.
    """
    known = {record.record_id: record for record in records}
    needed = dict.fromkeys(i for pair in pairs for i in (pair.record_id, pair.other_record_id) if i)
    missing = [i for i in needed if i not in known]
    if missing:
        raise BadInputError(
            f"{len(missing)} records of the pairs (first: {missing[0]}) are not among the {len(records)} records: "
            "pairs and records must come from the same run."
        )
    return (
        {i: user_history(known[i]) for i in needed},
        {i: query_context(known[i]) for i in needed},
    )


def make_blocks(pairs: Sequence[PreferencePair]) -> list[PairBlock]:
    """Connected components over records (a pair links its record with the other one), in order of first appearance."""
    parent: dict[str, str] = {}

    def root(record_id: str) -> str:
        parent.setdefault(record_id, record_id)
        while parent[record_id] != record_id:
            parent[record_id] = parent[parent[record_id]]
            record_id = parent[record_id]
        return record_id

    for pair in pairs:
        if pair.other_record_id:
            parent[root(pair.other_record_id)] = root(pair.record_id)
    # A person's tasks are weighed apart, or the task with the most pairs would take the person over.
    weights = user_weights([f"{pair.user_id}\x00{pair.task}" for pair in pairs])
    members: dict[str, list[int]] = defaultdict(list)
    for i, pair in enumerate(pairs):
        members[root(pair.record_id)].append(i)
    return [
        PairBlock(pairs=tuple(pairs[i] for i in indices), weights=tuple(weights[i] for i in indices))
        for indices in members.values()
    ]


def bundled(blocks: Sequence[PairBlock], *, size: int, seed: int) -> list[PairBlock]:
    """Blocks of like size: those with fewer than `size` pairs are put together, in a random order, until they have it.

    A step draws blocks. Where most of them are one pair (an edit, a cue) while most *pairs* stand in few blocks (a
    question that several people answered), steps would hardly ever see the latter: the gradient has no bias, but a
    needlessly large variance. On the simulated `small`, 86 % of the blocks are such crumbs, with 28 % of the pairs.
    """
    whole = [block for block in blocks if len(block.pairs) >= size]
    crumbs = [block for block in blocks if len(block.pairs) < size]
    open_pairs: list[PreferencePair] = []
    open_weights: list[float] = []
    for place in np.random.default_rng(seed).permutation(len(crumbs)):
        open_pairs += crumbs[place].pairs
        open_weights += crumbs[place].weights
        if len(open_pairs) >= size:
            whole.append(PairBlock(pairs=tuple(open_pairs), weights=tuple(open_weights)))
            open_pairs, open_weights = [], []
    if open_pairs:
        whole.append(PairBlock(pairs=tuple(open_pairs), weights=tuple(open_weights)))
    return whole


def hold_out_queries(
    pairs: Sequence[PreferencePair], *, share: float
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """(to train on, held out) by a hash of task and query: people stay seen, their questions do not."""
    held = [_share(pair.task, escape(pair.query)) < share for pair in pairs]
    return (
        [pair for pair, out in zip(pairs, held, strict=True) if not out],
        [pair for pair, out in zip(pairs, held, strict=True) if out],
    )


class PairData:
    """Makes batches of blocks.

    Args:
        pairs: training pairs.
        histories, contexts: per record, of `histories_of`.
        block_pairs: pairs that a block has at least; smaller ones are bundled.
        blocks_per_step: blocks of one optimizer step, over all ranks.
        blocks_per_micro_batch: blocks of one forward and backward pass; texts are shared within it.
        max_dropout: the largest share of history entries that is dropped at random.
        max_entries: entries of a history read in training; fewer cost less, and the vector is a mean anyway.
        seed: of the bundles and of the loader's order.
    """

    def __init__(
        self,
        *,
        pairs: Sequence[PreferencePair],
        histories: Mapping[str, History],
        contexts: Mapping[str, str],
        block_pairs: int,
        blocks_per_step: int,
        blocks_per_micro_batch: int,
        max_dropout: float,
        max_entries: int,
        seed: int,
    ) -> None:
        self.blocks = bundled(make_blocks(pairs), size=block_pairs, seed=seed)
        self.num_pairs = len(pairs)
        self.num_contrasts = sum(_is_contrast(pair) for pair in pairs)
        self.histories = histories
        self.contexts = contexts
        self.blocks_per_step = blocks_per_step
        self.blocks_per_micro_batch = blocks_per_micro_batch
        self.max_dropout = max_dropout
        self.max_entries = max_entries
        self.seed = seed

    def loader(self) -> ResumableLoader:
        return ResumableLoader(
            num_items=len(self.blocks),
            batch_size=self.blocks_per_step,
            collate=self.collate,
            seed=self.seed,
        )

    def collate(self, indices: Sequence[int], generator: np.random.Generator) -> list[PairBatch]:
        """The micro-batches of one step, each history thinned anew."""
        thinned: dict[str, History] = {}
        step = int(generator.integers(2**62))
        for index in indices:
            # A stream per block: a history is thinned alike whichever rank holds it.
            generator = np.random.default_rng([step, index])
            for pair in self.blocks[index].pairs:
                for record_id in (pair.record_id, pair.other_record_id):
                    if record_id and record_id not in thinned:
                        thinned[record_id] = drop_entries(
                            self.histories[record_id],
                            max_dropout=self.max_dropout,
                            max_entries=self.max_entries,
                            generator=generator,
                        )
        # A step's sum over its blocks estimates the mean over all pairs, whatever the sizes of the blocks drawn and
        # however they are cut into micro-batches or ranks: the divisor is known beforehand.
        per_pair = len(self.blocks) / (self.blocks_per_step * self.num_pairs)
        per_contrast = len(self.blocks) / (self.blocks_per_step * max(1, self.num_contrasts))
        return [
            _batch(
                [self.blocks[i] for i in indices[start : start + self.blocks_per_micro_batch]],
                thinned,
                self.contexts,
                per_pair=per_pair,
                per_contrast=per_contrast,
            )
            for start in range(0, len(indices), self.blocks_per_micro_batch)
        ]


def _batch(
    blocks: Sequence[PairBlock],
    histories: Mapping[str, History],
    contexts: Mapping[str, str],
    *,
    per_pair: float,
    per_contrast: float,
) -> PairBatch:
    users: dict[str, int] = {}
    candidates: dict[Exchange, int] = {}
    user, chosen, rejected, weights, contrast, other, contrast_weights = [], [], [], [], [], [], []
    for block in blocks:
        for pair, weight in zip(block.pairs, block.weights, strict=True):
            context = contexts[pair.record_id]
            user.append(users.setdefault(pair.record_id, len(users)))
            sides = [Exchange(context, escape(answer)) for answer in (pair.chosen, pair.rejected)]
            positions = [candidates.setdefault(side, len(candidates)) for side in sides]
            chosen.append(positions[0])
            rejected.append(positions[1])
            weights.append(weight * per_pair)
            if pair.other_record_id:
                contrast.append(len(user) - 1)
                contrast_weights.append(per_contrast * _is_contrast(pair))
                other.append(users.setdefault(pair.other_record_id, len(users)))
    return PairBatch(
        users=[histories[record_id] for record_id in users],
        candidates=list(candidates),
        user=torch.tensor(user),
        chosen=torch.tensor(chosen),
        rejected=torch.tensor(rejected),
        weights=torch.tensor(weights, dtype=torch.float32),
        contrast=torch.tensor(contrast, dtype=torch.long),
        other=torch.tensor(other, dtype=torch.long),
        contrast_weights=torch.tensor(contrast_weights, dtype=torch.float32),
    )


def _is_contrast(pair: PreferencePair) -> bool:
    """Whether two people answer the question differently. The same answer in other letters tells nobody apart."""
    return bool(pair.other_record_id) and escape(pair.chosen).casefold() != escape(pair.rejected).casefold()


def _share(*parts: str) -> float:
    # Another salt than the one that parts train from dev queries: the two choices must not coincide.
    return int.from_bytes(hashlib.sha256("\x00".join(("held out", *parts)).encode()).digest()[:6], "big") / 2**48
