"""Whose history stands in a prompt: the person's own, another's, none, or their own with the answers exchanged.

A model that reads the person answers worse with another person's history; one that only learned from examples what an
answer looks like does not. Source: O.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from tagpr.data.other_people import People, closest
from tagpr.data.retrieval import Retriever
from tagpr.errors import UserError
from tagpr.tasks import task_named
from tagpr.types import Prompt, Record

OWN, NEAREST, RANDOM, NONE, SHUFFLED = CONDITIONS = ("own", "nearest", "random", "none", "shuffled")


@dataclass(frozen=True, kw_only=True, slots=True)
class Swapped:
    """One question with one history."""

    condition: str  # one of CONDITIONS
    prompt: Prompt  # its record is the asked person's, but for profile and retrieved
    other: Record | None  # whose history it is, where it is another's
    exact: bool  # of another's: as many entries as the own history, and a length within the band


def swapped_histories(
    own: Prompt,
    people: People,
    *,
    build: Callable[[Record], Prompt],
    retriever: Retriever,
    candidates: int,
    length_band: float,
    seed: int,
) -> list[Swapped]:
    """One question under every condition, in the order of CONDITIONS; only the history differs.

    `nearest` and `random` retrieve from the other's profile with the same retriever, and show at most as many of the
    best as the own prompt shows. Of the first `candidates` people in the order of topic similarity (or of chance) the
    first is taken whose history has exactly as many entries and whose length in characters, inputs and responses
    together, differs by `length_band` of the own one's at most; where there is none, the one with the closest number,
    then the closest length (`exact` is False). `shuffled` keeps the own inputs and moves every response to another
    entry, on a random cycle through the entries shown; with one entry, or without inputs, that is the own prompt.

    Args:
        own: the question as evaluated; at least one entry shown.
        build: writes a record's prompt.
    Raises:
        UserError: nobody else was asked this task.
    """
    record = own.record
    task = task_named(record.task)

    def with_history_of(other: Record) -> Prompt:
        lent = replace(record, profile=other.profile, retrieved=())
        return build(replace(lent, retrieved=retriever.rank(lent, task, seed=seed)[: len(own.history)]))

    found = [Swapped(condition=OWN, prompt=own, other=None, exact=True)]
    for condition, ranked in (
        (NEAREST, people.nearest(record, seed=seed)),
        (RANDOM, people.at_random(record, seed=seed)),
    ):
        if not ranked:
            raise UserError(
                f"diagnostics.swap: {record.user_id} is the only person with questions of {record.task}, so there is "
                "no other history to show. Take more people, or set diagnostics=none."
            )
        prompt, other, exact = closest(
            own, ((with_history_of(one), one) for one in islice(ranked, candidates)), length_band=length_band
        )
        found.append(Swapped(condition=condition, prompt=prompt, other=other, exact=exact))
    found.append(Swapped(condition=NONE, prompt=build(replace(record, retrieved=())), other=None, exact=True))
    shuffled = build(with_shuffled_responses(own, seed=seed))
    return [*found, Swapped(condition=SHUFFLED, prompt=shuffled, other=None, exact=True)]


def with_shuffled_responses(own: Prompt, *, seed: int) -> Record:
    """The prompt's record with the responses of the entries it shows moved along a random cycle through them."""
    record = own.record
    if len(own.history) < 2 or not any(entry.input for entry in own.history):
        return record
    left = list(record.retrieved)
    shown = []
    for entry in own.history:
        # Shown texts are escaped and cut: the id tells which entry it is, and of equal ids either.
        position = next(i for i in left if record.profile[i].entry_id == entry.entry_id)
        left.remove(position)
        shown.append(position)
    random.Random(f"{seed}/{record.task}/{record.record_id}/shuffled").shuffle(shown)
    profile = list(record.profile)
    for position, giver in zip(shown, [*shown[1:], shown[0]], strict=True):
        profile[position] = replace(profile[position], response=record.profile[giver].response)
    return replace(record, profile=tuple(profile))
