"""N1: what another person answers to the very same query."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tagpr.markup import escape
from tagpr.prmu.pairs.base import N1, Block, make_pair, query_key
from tagpr.types import Record


def people_per_shared_query(
    records: Sequence[Record], *, people_per_query: int, generator: np.random.Generator
) -> list[list[Record]]:
    """Groups of two to `people_per_query` people who were asked the same, one record each, drawn at random."""
    by_query: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.gold is not None:
            by_query[query_key(record)].append(record)
    groups = []
    for sharing in by_query.values():
        # One record per person: two questions of one person are no disagreement between people.
        people = list({record.user_id: record for record in sharing}.values())
        people = [people[i] for i in generator.permutation(len(people))]
        groups += [people[start : start + people_per_query] for start in range(0, len(people), people_per_query)]
    return [group for group in groups if len(group) > 1]


def disagreements(group: Sequence[Record]) -> Block:
    """Every two people of a group whose golds differ, in both directions: each pair's mirror is in the same block."""
    return [
        make_pair(own, other.gold or "", N1, other_record_id=other.record_id)
        for own in group
        for other in group
        if escape(own.gold or "") != escape(other.gold or "")
    ]


def shared_query_pairs(
    records: Sequence[Record], *, people_per_query: int, generator: np.random.Generator
) -> list[Block]:
    """N1, as blocks: within a block of up to `people_per_query` people who share a query, every two whose golds differ.

    A block of m people holds up to m (m - 1) pairs made of m histories and at most m answers, which is what makes
    training on it cheap; the datamodule finds the block again through `other_record_id`.
    """
    groups = people_per_shared_query(records, people_per_query=people_per_query, generator=generator)
    return [block for group in groups if (block := disagreements(group))]
