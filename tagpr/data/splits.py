"""Who is in which split: pure functions of ids and a seed, so that a person never changes sides between runs."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tagpr.errors import BadInputError

# Two questions belong to one author where at least half of the smaller profile stands in the other. Siblings share
# nearly all of it (6 of 7 and 9 of 10 in LaMP-2N); strangers share the odd popular film or a "good morning".
SIBLING_OVERLAP = 0.5
# Two ids that the data themselves give are one person only where the smaller profile is nearly all in the other:
# co-authors share half of their papers, and are two people.
SAME_PERSON_OVERLAP = 0.8
MIN_SHARED = 3  # and of fewer common items nothing follows
# What more ids than these hold is common, and says nothing about who holds it.
MAX_HOLDERS = 20

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


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Which people a run of a cross-validation tests.

    Args:
        count: folds in all; over them every person is tested once. None: no folds, the shares alone decide.
        index: of the fold that is tested, from 0.
    Raises:
        BadInputError: no such fold.
    """

    count: int | None
    index: int

    def __post_init__(self) -> None:
        if self.count is None and self.index != 0:
            raise BadInputError(
                f"data.fold={self.index}, but data.folds is null. Set data.folds=5, or leave data.fold."
            )
        if self.count is not None and not (self.count >= 2 and 0 <= self.index < self.count):
            raise BadInputError(
                f"data.folds={self.count} and data.fold={self.index}: expected two folds or more, and a fold from 0 to "
                "data.folds - 1."
            )

    def divide(self, people: Sequence[str], shares: Mapping[str, float], *, seed: int) -> dict[str, str]:
        """Each distinct person's split.

        With folds the people of fold `index` are test, and the others become train and dev by those two shares. Folds
        are dealt out in the people's stable order, so they differ by one person at most and depend on nothing but the
        seed and who is there.
        """
        if self.count is None:
            return divide(people, shares, seed=seed, stream="people")
        ordered = stable_order(people, seed=seed, stream="folds")
        if len(ordered) < self.count:
            raise BadInputError(f"data.folds={self.count}, but there are {len(ordered)} people. Lower data.folds.")
        tested = ordered[self.index :: self.count]
        others = [person for position, person in enumerate(ordered) if position % self.count != self.index]
        kept = {name: share for name, share in shares.items() if name != "test"}
        return divide(others, kept, seed=seed, stream="people") | dict.fromkeys(tested, "test")


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


def leak_groups(items: Sequence[Collection[int]], names: Sequence[str] = ()) -> list[int]:
    """Questions that share an author, told by what their profiles have in common and by the data's own ids.

    What stands in one profile alone groups nobody and is counted, not kept: millions of entries fit into memory as
    numbers of 8 bytes.

    Args:
        items: per question, hashes of its profile items and of its own query with gold.
        names: per question the data's id of its author, "" where it names nobody; none given: nobody is named.
    Returns:
        Per question, the position of the first question of its group.
    """
    names = names or [""] * len(items)
    least = SAME_PERSON_OVERLAP if all(names) else SIBLING_OVERLAP
    distinct = [np.unique(np.fromiter(group, dtype=np.int64, count=len(group))) for group in items]
    sizes = [len(group) for group in distinct]
    common = _held_by_many(distinct, names)
    telling = [group[np.isin(group, common, assume_unique=True, invert=True)] for group in distinct]
    known, counts = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *telling]), return_counts=True)
    repeated, counts = known[counts > 1], counts[counts > 1]
    frequency = dict(zip(repeated.tolist(), counts.tolist(), strict=True))
    shared = [set(group[np.isin(group, repeated, assume_unique=True)].tolist()) for group in telling]
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

    def join(position: int, other: int) -> None:
        first, second = sorted((find(position), find(other)))
        root[second] = first

    first_of: dict[str, int] = {}
    for position, name in enumerate(names):
        if name:
            join(position, first_of.setdefault(name, position))
    for position, group in enumerate(shared):
        # Who shares `needed` items with this one shares one of its rarest, as many as may be missing and one more: look
        # at their holders only. Those that nobody else has are the rarest of all, and have no other holder.
        needed = max(1, math.ceil(sizes[position] * least))
        needed_alone = sizes[position] * SIBLING_OVERLAP
        rarest = sorted(group, key=lambda item: (frequency[item], item))[: max(0, len(group) - needed + 1)]
        candidates = {other for item in rarest for other in holders[item] if other != position}
        for other in sorted(candidates):
            if sizes[other] < sizes[position] or find(other) == find(position):
                continue
            both_named = names[position] and names[other]
            wanted = max(MIN_SHARED, sizes[position] * SAME_PERSON_OVERLAP) if both_named else needed_alone
            if len(group & shared[other]) >= wanted:
                join(position, other)
    return [find(position) for position in range(len(items))]


def _held_by_many(items: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    """The items that more than MAX_HOLDERS of the data's own ids hold."""
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    held = [
        np.stack([group, np.full_like(group, number[name])]) for group, name in zip(items, names, strict=True) if name
    ]
    if not held:
        return np.empty(0, dtype=np.int64)
    pairs = np.unique(np.concatenate(held, axis=1), axis=1)
    item, num_holders = np.unique(pairs[0], return_counts=True)
    return item[num_holders > MAX_HOLDERS]
