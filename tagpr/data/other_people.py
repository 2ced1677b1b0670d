"""Other people's histories: whose are about the same things as a question, and which has the size of the own one.

What the swap diagnosis shows instead of the own history, and what N2 pairs are written under.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence

import numpy as np

from tagpr.data.simulated.truth import preferred_answer, true_rule
from tagpr.types import ProfileEntry, Prompt, Record

_WORD = re.compile(r"\w+")


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
