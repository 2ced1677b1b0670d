"""Whose history stands in a prompt: the person's own, another's, none, or their own with the answers exchanged.

A model that reads the person answers worse with another person's history; one that only learned from examples what an
answer looks like does not. Source: O.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from tagpr.data.retrieval import Retriever
from tagpr.data.simulated.truth import preferred_answer, true_rule
from tagpr.errors import UserError
from tagpr.tasks import task_named
from tagpr.types import ProfileEntry, Prompt, Record

OWN, NEAREST, RANDOM, NONE, SHUFFLED = CONDITIONS = ("own", "nearest", "random", "none", "shuffled")

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Swapped:
    """One question with one history."""

    condition: str  # one of CONDITIONS
    prompt: Prompt  # its record is the asked person's, but for profile and retrieved
    other: Record | None  # whose history it is, where it is another's
    exact: bool  # of another's: as many entries as the own history, and a length within the band


class People:
    """The people of one task who may lend their histories, and whose are about the same things.

    Topic similarity of person o to a question q of person u:
        (cos(t(q), t(o)) + cos(t(u), t(o))) / 2
    with t the TF-IDF vector (scikit-learn's defaults; words are runs of letters and digits, in lower case) of the
    question's text or of a person's inputs joined; the idf is that of the people's inputs. Responses do not count,
    except where entries have no input.

    Args:
        records: all of one task.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._records: dict[str, list[Record]] = {}
        for record in records:
            self._records.setdefault(record.user_id, []).append(record)
        self._users = list(self._records)
        documents = [_inputs(own[0].profile) for own in self._records.values()]
        self._vectors = None
        if any(_WORD.search(text) for text in documents):
            self._vectorizer = TfidfVectorizer(token_pattern=_WORD.pattern)
            self._vectors = self._vectorizer.fit_transform(documents)

    def at_random(self, record: Record, *, seed: int) -> list[Record]:
        """One record of each other person, in an order that depends on the question and the seed alone."""
        users = [user for user in sorted(self._users) if user != record.user_id]
        random.Random(f"{seed}/{record.task}/{record.record_id}").shuffle(users)
        return [self._lent(user, record) for user in users]

    def nearest(self, record: Record, *, seed: int) -> list[Record]:
        """One record of each other person, the most similar in topic first; ties as `at_random` with another seed."""
        others = self.at_random(record, seed=seed + 1)
        if self._vectors is None:
            return others
        asked = self._vectorizer.transform([record.query, _inputs(record.profile)])
        cosines = np.asarray((asked @ self._vectors.T).todense())
        # Rounding noise must not decide between people who are equally near.
        similarity = dict(zip(self._users, np.round(cosines.mean(axis=0), 9), strict=True))
        return sorted(others, key=lambda other: -similarity[other.user_id])

    def answer_of(self, other: Record, record: Record) -> tuple[str, str]:
        """What `other`'s person says to `record`'s question, and how that is known: `gold` where they were asked the
        same, else `rule` (what a simulated person's rule or manner says to it); both "" where neither is known."""
        if other.query == record.query and other.gold is not None:
            return other.gold, "gold"
        if other.truth is not None and record.truth is not None:
            return preferred_answer(record.task, true_rule(other.truth), record.query), "rule"
        return "", ""

    def _lent(self, user: str, record: Record) -> Record:
        """The person's record that asks the same, else their first."""
        own = self._records[user]
        return next((one for one in own if one.query == record.query and one.gold is not None), own[0])


def _inputs(profile: Sequence[ProfileEntry]) -> str:
    return " ".join(entry.input or entry.response for entry in profile)


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


def closest(
    own: Prompt, offered: Iterable[tuple[Prompt, Record]], *, length_band: float
) -> tuple[Prompt, Record, bool]:
    """The first prompt whose history has the size of the own one's, else the closest in entries, then in length; and
    whether it has that size. Later ones are not asked for once one fits."""
    wanted = max(1, _characters(own.history))
    best: tuple[tuple[int, float], Prompt, Record] | None = None
    for prompt, other in offered:
        apart = (abs(len(prompt.history) - len(own.history)), abs(_characters(prompt.history) - wanted) / wanted)
        if apart[0] == 0 and apart[1] <= length_band:
            return prompt, other, True
        if best is None or apart < best[0]:
            best = (apart, prompt, other)
    assert best is not None
    return best[1], best[2], False


def _characters(history: Sequence[ProfileEntry]) -> int:
    return sum(len(entry.input) + len(entry.response) for entry in history)


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
