"""What the files of this folder share: names of types, the policy's answers, what a maker gives, the split by query."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tagpr.markup import escape
from tagpr.types import PreferencePair, Record

MIX_KEYS: tuple[str, ...] = ("N1", "N1_label", "N2", "N3", "N4", "N5", "N6")
N1, N1_LABEL, N2, N3, N4, N5, N6 = MIX_KEYS

# Pairs that stand or fall together: both directions of a couple, all pairs of people who share a query, or one pair.
Block = list[PreferencePair]


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySample:
    """One answer of the SFT policy. Filled by the pairs stage; what samples.parquet holds."""

    record_id: str
    user_id: str
    task: str
    split: str
    with_history: bool  # the prompt showed the person's own history
    sample_index: int
    answer: str
    parsed: bool  # the completion had an answer that the task can read; only such answers make pairs
    score: float  # the task's reward against the gold, in [0, 1]
    lender_id: str = ""  # record of the other person whose history the prompt showed instead


@dataclass(frozen=True, kw_only=True)
class Made:
    """What there is of one type before duplicates and quotas. Filled by the makers."""

    blocks: list[Block]
    dropped: Counter[str]  # pairs that were not made, by reason; a question that gave none counts once
    kinds: Counter[str] = field(default_factory=Counter)  # blocks per kind, where a type has several

    @property
    def num_pairs(self) -> int:
        return sum(map(len, self.blocks))


def nothing() -> Made:
    """What a type that nobody asked for gives."""
    return Made(blocks=[], dropped=Counter())


def make_pair(
    record: Record, rejected: str, negative_type: str, *, chosen: str | None = None, other_record_id: str = ""
) -> PreferencePair:
    """A pair of one record; `chosen` None is its gold."""
    chosen = record.gold if chosen is None else chosen
    assert chosen is not None
    return PreferencePair(
        record_id=record.record_id,
        user_id=record.user_id,
        task=record.task,
        query=record.query,
        chosen=chosen,
        rejected=rejected,
        negative_type=negative_type,
        other_record_id=other_record_id,
        split="dev" if record.split == "dev" else "train",
    )


def split_queries(
    train: Sequence[Record], dev: Sequence[Record], *, dev_share: float
) -> tuple[list[Record], list[Record]]:
    """No query on both sides: of those that train and dev people share, dev gets the share dev_share, train the rest.

    The choice is a hash of the query, so it does not depend on order or seed.
    """
    both = {query_key(record) for record in train} & {query_key(record) for record in dev}
    to_dev = {key for key in both if hash_share(*key) < dev_share}
    return (
        [record for record in train if query_key(record) not in to_dev],
        [record for record in dev if query_key(record) not in both or query_key(record) in to_dev],
    )


def query_key(record: Record) -> tuple[str, str]:
    return record.task, escape(record.query)


def hash_share(*parts: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256("\x00".join(parts).encode()).digest()[:6], "big") / 2**48
