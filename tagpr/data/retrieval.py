"""Which entries of a user's own profile a prompt may show: ranked against the question, the best k kept.

Okapi is our own: every question has its own small corpus, for which bm25s (0.3.16) gives the same order to the last
place but takes 5 times as long, since it indexes all words where scoring one query needs its own words alone; the tests
compare with it. No method of bm25s is that of LaMP's scripts.
"""

from __future__ import annotations

import math
import random
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, final

from tagpr.data.lamp_files import date_key
from tagpr.errors import BadInputError
from tagpr.tasks import Task
from tagpr.types import ProfileEntry, Record

# The defaults of the libraries that LaMP's scripts use.
TERM_SATURATION = 1.5
LENGTH_NORMALISATION = 0.75
NEGATIVE_IDF_SHARE = 0.25

_WORD = re.compile(r"\w+")


def is_own_entry(entry: ProfileEntry, record: Record) -> bool:
    """Whether a profile entry is the question itself, gold included: the same id, or the same text."""
    if entry.entry_id and entry.entry_id == record.record_id:
        return True
    if entry.input:
        return entry.input.strip() == record.query.strip()
    return record.gold is not None and entry.response.strip() == record.gold.strip()


def bm25_scores(query: Sequence[str], documents: Sequence[Sequence[str]]) -> list[float]:
    """Okapi BM25 of each document, with Lucene's idf = log(1 + (N - n + 1/2) / (n + 1/2)), which is never negative.

    Source: Robertson and Zaragoza 2009, section 3; idf as in Lucene, as profiles are small and common words would
    otherwise count against a document.
    """
    terms = set(query)
    counts = [Counter(filter(terms.__contains__, document)) for document in documents]
    document_frequency = Counter(term for count in counts for term in count)
    num_documents = len(documents)
    idf = {term: math.log1p((num_documents - n + 0.5) / (n + 0.5)) for term, n in document_frequency.items()}
    mean_length = sum(map(len, documents)) / max(num_documents, 1) or 1.0
    repeats = Counter(query)
    scores = []
    for document, count in zip(documents, counts, strict=True):
        norm = TERM_SATURATION * (1 - LENGTH_NORMALISATION + LENGTH_NORMALISATION * len(document) / mean_length)
        scores.append(
            sum(repeats[t] * idf[t] * n * (TERM_SATURATION + 1) / (n + norm) for t, n in sorted(count.items()))
        )
    return scores


def official_bm25_scores(query: Sequence[str], documents: Sequence[Sequence[str]]) -> list[float]:
    """Okapi BM25 of each document as the `rank_bm25` package computes it, to the last bit.

    idf = log(N - n + 1/2) - log(n + 1/2); where that is negative, a quarter of the mean idf of all words, which may
    itself be negative. Source: BM25Okapi of rank_bm25 0.2.2 with its defaults, which LaMP's scripts call.
    """
    counts = [Counter(document) for document in documents]
    document_frequency: Counter[str] = Counter()
    for count in counts:
        document_frequency.update(count.keys())
    if not document_frequency:
        return [0.0] * len(documents)
    num_documents = len(documents)
    idf = {t: math.log(num_documents - n + 0.5) - math.log(n + 0.5) for t, n in document_frequency.items()}
    floor = NEGATIVE_IDF_SHARE * (sum(idf.values()) / len(idf))
    idf = {term: floor if value < 0 else value for term, value in idf.items()}
    mean_length = sum(map(len, documents)) / num_documents
    scores = []
    for document, count in zip(documents, counts, strict=True):
        norm = TERM_SATURATION * (1 - LENGTH_NORMALISATION + LENGTH_NORMALISATION * len(document) / mean_length)
        score = 0.0
        for term in query:
            score += idf.get(term, 0.0) * (count[term] * (TERM_SATURATION + 1) / (count[term] + norm))
        scores.append(score)
    return scores


def candidates(record: Record) -> list[int]:
    """Positions in the profile that may be retrieved: all but the question's own."""
    return [i for i, entry in enumerate(record.profile) if not is_own_entry(entry, record)]


def best_first(scores: Sequence[float], positions: Sequence[int]) -> tuple[int, ...]:
    """The positions by falling score; of equals the latest first."""
    return tuple(position for _, position in sorted(zip(scores, positions, strict=True), reverse=True))


class Retriever(ABC):
    """Ranks the entries of one record's profile. The question's own entry is never among them."""

    @abstractmethod
    def rank(self, record: Record, task: Task, *, seed: int) -> tuple[int, ...]:
        """Positions in `record.profile`, best first."""


class OrderingRetriever(Retriever):
    """The first k of one order, which depends on neither k nor seed: what `tagpr.data.rankings` keeps.

    Args:
        k: entries kept.
    """

    # Whether an order may depend on what else was ranked before, be it by rounding alone.
    orders_whole_sets: ClassVar[bool] = False

    def __init__(self, *, k: int) -> None:
        self.k = checked_k(k)

    @abstractmethod
    def order(self, record: Record, task: Task) -> tuple[int, ...]:
        """All of `candidates`, best first."""

    def identity(self) -> dict[str, Any] | None:
        """What the order depends on beside record, code and libraries; None where that cannot be known."""
        return {}

    @final
    def rank(self, record: Record, task: Task, *, seed: int) -> tuple[int, ...]:
        return self.order(record, task)[: self.k]


@final
class BM25Retriever(OrderingRetriever):
    """The k entries that share the most telling words with the question; of equals the latest first."""

    def order(self, record: Record, task: Task) -> tuple[int, ...]:
        positions = candidates(record)
        documents = [_WORD.findall(task.corpus_text(record.profile[i]).lower()) for i in positions]
        scores = bm25_scores(_WORD.findall(task.retrieval_query(record.question).lower()), documents)
        return best_first(scores, positions)


@final
class OfficialBM25Retriever(OrderingRetriever):
    """The ranking of LaMP's scripts: words are what stands between spaces, case kept; of equals the latest first."""

    def order(self, record: Record, task: Task) -> tuple[int, ...]:
        positions = candidates(record)
        documents = [task.corpus_text(record.profile[i]).split() for i in positions]
        scores = official_bm25_scores(task.retrieval_query(record.question).split(), documents)
        return best_first(scores, positions)


@final
class RecencyRetriever(OrderingRetriever):
    """The k latest entries, the newest first; of one date, the one that stands last in the profile."""

    def order(self, record: Record, task: Task) -> tuple[int, ...]:
        """Raises BadInputError where an entry has no date."""
        dated = []
        for position in candidates(record):
            date = date_key(record.profile[position])
            if date is None:
                raise BadInputError(
                    f"retrieval=recency: {record.task} {record.record_id}, profile entry {position} has the date "
                    f"{record.profile[position].date!r}, expected YYYY-MM-DD for every entry. LaMP's user-based files "
                    "have no dates, its time-based ones do (tagpr-data lamp --split time). Or set retrieval=bm25."
                )
            dated.append((date, position))
        return tuple(position for _, position in sorted(dated, reverse=True))


@final
class RandomRetriever(Retriever):
    """k entries without replacement, the same ones whenever the seed is the same."""

    def __init__(self, *, k: int) -> None:
        self.k = checked_k(k)

    def rank(self, record: Record, task: Task, *, seed: int) -> tuple[int, ...]:
        positions = candidates(record)
        stream = random.Random(f"{seed}/{record.task}/{record.record_id}")
        return tuple(stream.sample(positions, min(self.k, len(positions))))


@final
class NoRetriever(Retriever):
    """No history at all."""

    def rank(self, record: Record, task: Task, *, seed: int) -> tuple[int, ...]:
        return ()


def checked_k(k: int) -> int:
    if k < 1:
        raise ValueError(f"retrieval.k={k}, expected 1 or more. For prompts without history set retrieval=none.")
    return k
