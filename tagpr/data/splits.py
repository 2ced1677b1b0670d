"""Who is in which split: pure functions of ids and a seed, so that a person never changes sides between runs."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np

# Two questions belong to one author where at least half of the smaller profile stands in the other. Siblings share
# nearly all of it (6 of 7 and 9 of 10 in LaMP-2N); strangers share the odd popular film or a "good morning".
SIBLING_OVERLAP = 0.5

# A person with fewer questions cannot give one to each purpose.
NUM_PURPOSES = 3


def stable_order(keys: Sequence[str], *, seed: int, stream: str) -> list[str]:
    """The distinct keys in an order that depends on nothing but (seed, stream, key)."""
    return sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed}/{stream}/{key}".encode()).digest())


def apportion(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """`total` things in proportion to the shares, whole, by largest remainder (of two equal ones the earlier name)."""
    weight = sum(shares.values())
    if not shares or weight <= 0 or min(shares.values()) < 0:
        raise ValueError(f"shares {dict(shares)}: expected numbers >= 0 with a positive sum.")
    exact = {name: total * share / weight for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(shares, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def divide(keys: Sequence[str], shares: Mapping[str, float], *, seed: int, stream: str) -> dict[str, str]:
    """Each distinct key's part. Every part with a share > 0 gets at least one key where there are enough of them."""
    ordered = stable_order(keys, seed=seed, stream=stream)
    counts = apportion(len(ordered), shares)
    wanted = [name for name, share in shares.items() if share > 0]
    if len(ordered) >= len(wanted):
        for name in wanted:
            if counts[name] == 0:
                counts[max(counts, key=lambda other: counts[other])] -= 1
                counts[name] = 1
    parts = iter(ordered)
    return {next(parts): name for name, count in counts.items() for _ in range(count)}


def assign_purposes(
    questions: Mapping[str, Sequence[str]], shares: Mapping[str, float], *, seed: int
) -> dict[tuple[str, str], str]:
    """What each question of the training people is used for.

    People with a question for every purpose divide their questions; the others are divided as whole people.

    Args:
        questions: ids of the questions of each person.
        shares: purpose -> share of the questions.
    Returns:
        (person, question id) -> purpose.
    """
    purposes: dict[tuple[str, str], str] = {}
    few = [person for person, ids in questions.items() if len(set(ids)) < NUM_PURPOSES]
    for person, purpose in divide(few, shares, seed=seed, stream="purposes").items():
        purposes.update({(person, question): purpose for question in questions[person]})
    for person, ids in questions.items():
        if len(set(ids)) >= NUM_PURPOSES:
            parts = divide(ids, shares, seed=seed, stream=f"purposes/{person}")
            purposes.update({(person, question): purpose for question, purpose in parts.items()})
    return purposes


def leak_groups(items: Sequence[Collection[int]]) -> list[int]:
    """Questions that share an author, told by what their profiles have in common.

    What stands in one profile alone groups nobody and is counted, not kept: millions of entries fit into memory as
    numbers of 8 bytes.

    Args:
        items: per question, hashes of its profile items and of its own query with gold.
    Returns:
        Per question, the position of the first question of its group.
    """
    distinct = [np.unique(np.fromiter(group, dtype=np.int64, count=len(group))) for group in items]
    sizes = [len(group) for group in distinct]
    known, counts = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *distinct]), return_counts=True)
    repeated, counts = known[counts > 1], counts[counts > 1]
    frequency = dict(zip(repeated.tolist(), counts.tolist(), strict=True))
    shared = [set(group[np.isin(group, repeated, assume_unique=True)].tolist()) for group in distinct]
    holders: defaultdict[int, list[int]] = defaultdict(list)
    for position, group in enumerate(shared):
        for item in group:
            holders[item].append(position)
    root = list(range(len(items)))

    def find(position: int) -> int:
        while root[position] != position:
            root[position] = root[root[position]]
            position = root[position]
        return position

    for position, group in enumerate(shared):
        # Who shares `needed` items with this one shares one of its size - needed + 1 rarest: look at their holders
        # only. Those that nobody else has are the rarest of all.
        needed = max(1, math.ceil(sizes[position] * SIBLING_OVERLAP))
        num_rarest = sizes[position] - needed + 1 - (sizes[position] - len(group))
        rarest = sorted(group, key=lambda item: (frequency[item], item))[: max(0, num_rarest)]
        candidates = {other for item in rarest for other in holders[item] if other != position}
        for other in sorted(candidates):
            bigger = sizes[other] >= sizes[position]
            if bigger and find(other) != find(position) and len(group & shared[other]) >= needed:
                first, second = sorted((find(position), find(other)))
                root[second] = first
    return [find(position) for position in range(len(items))]
