"""Who is in which split: pure functions of ids and a seed, so that a person never changes sides between runs."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from tagpr.errors import BadInputError

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


def leak_groups(items: Sequence[Set[int]]) -> list[int]:
    """Questions that share an author, told by what their profiles have in common.

    Args:
        items: per question, hashes of its profile items and of its own query with gold.
    Returns:
        Per question, the position of the first question of its group.
    """
    frequency: Counter[int] = Counter(item for group in items for item in group)
    holders: defaultdict[int, list[int]] = defaultdict(list)
    for position, group in enumerate(items):
        for item in group:
            if frequency[item] > 1:
                holders[item].append(position)
    root = list(range(len(items)))

    def find(position: int) -> int:
        while root[position] != position:
            root[position] = root[root[position]]
            position = root[position]
        return position

    for position, group in enumerate(items):
        # Who shares `needed` items with this one shares one of its len - needed + 1 rarest: look at their holders only.
        needed = max(1, math.ceil(len(group) * SIBLING_OVERLAP))
        rarest = sorted(group, key=lambda item: (frequency[item], item))[: len(group) - needed + 1]
        candidates = {other for item in rarest for other in holders.get(item, ()) if other != position}
        for other in sorted(candidates):
            bigger = len(items[other]) >= len(group)
            if bigger and find(other) != find(position) and len(group & items[other]) >= needed:
                first, second = sorted((find(position), find(other)))
                root[second] = first
    return [find(position) for position in range(len(items))]
