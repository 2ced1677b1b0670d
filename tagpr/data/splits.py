"""Who is in which split: pure functions of ids and a seed, so that a person never changes sides between runs."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set

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


def leak_groups(items: Sequence[Set[int]], names: Sequence[str] = ()) -> list[int]:
    """Questions that share an author, told by what their profiles have in common and by the data's own ids.

    Args:
        items: per question, hashes of its profile items and of its own query with gold.
        names: per question the data's id of its author, "" where it names nobody; none given: nobody is named.
    Returns:
        Per question, the position of the first question of its group.
    """
    names = names or [""] * len(items)
    least = SAME_PERSON_OVERLAP if all(names) else SIBLING_OVERLAP
    by_name: defaultdict[str, set[int]] = defaultdict(set)
    for name, group in zip(names, items, strict=True):
        if name:
            by_name[name] |= group
    num_names = Counter(item for held in by_name.values() for item in held)
    sizes = [len(group) for group in items]
    items = [{item for item in group if num_names[item] <= MAX_HOLDERS} for group in items] if by_name else items
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

    def join(position: int, other: int) -> None:
        first, second = sorted((find(position), find(other)))
        root[second] = first

    first_of: dict[str, int] = {}
    for position, name in enumerate(names):
        if name:
            join(position, first_of.setdefault(name, position))
    for position, group in enumerate(items):
        # Who shares `needed` items with this one shares one of its len - needed + 1 rarest: look at their holders only.
        needed = max(1, math.ceil(sizes[position] * least))
        needed_alone = sizes[position] * SIBLING_OVERLAP
        rarest = sorted(group, key=lambda item: (frequency[item], item))[: max(0, len(group) - needed + 1)]
        candidates = {other for item in rarest for other in holders.get(item, ()) if other != position}
        for other in sorted(candidates):
            if sizes[other] < sizes[position] or find(other) == find(position):
                continue
            both_named = names[position] and names[other]
            wanted = max(MIN_SHARED, sizes[position] * SAME_PERSON_OVERLAP) if both_named else needed_alone
            if len(group & items[other]) >= wanted:
                join(position, other)
    return [find(position) for position in range(len(items))]
