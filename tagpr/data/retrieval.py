"""Which entries of a user's own profile a prompt may show: ranked against the question, the best k kept."""

from __future__ import annotations

import math
import random
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import final

from tagpr.tasks import Task
from tagpr.types import ProfileEntry, Record

# The defaults of the libraries that LaMP's scripts use.
TERM_SATURATION = 1.5
LENGTH_NORMALISATION = 0.75

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
    counts = [Counter(token for token in document if token in terms) for document in documents]
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


class Retriever(ABC):
    """Ranks the entries of one record's profile. The question's own entry is never among them."""

    @abstractmethod
    def rank(self, record: Record, task: Task, *, seed: int) -> tuple[int, ...]:
        """Positions in `record.profile`, best first."""


@final
class BM25Retriever(Retriever):
    """The k entries that share the most telling words with the question; of equals the latest first."""

    def __init__(self, *, k: int) -> None:
        self.k = _checked(k)

    def rank(self, record: Record, task: Task, *, seed: int) -> tuple[int, ...]:
        positions = [i for i, entry in enumerate(record.profile) if not is_own_entry(entry, record)]
        documents = [_WORD.findall(task.corpus_text(record.profile[i]).lower()) for i in positions]
        scores = bm25_scores(_WORD.findall(task.retrieval_query(record.question).lower()), documents)
        best = sorted(zip(scores, positions, strict=True), reverse=True)[: self.k]
        return tuple(position for _, position in best)


@final
class RandomRetriever(Retriever):
    """k entries without replacement, the same ones whenever the seed is the same."""

    def __init__(self, *, k: int) -> None:
        self.k = _checked(k)

    def rank(self, record: Record, task: Task, *, seed: int) -> tuple[int, ...]:
        positions = [i for i, entry in enumerate(record.profile) if not is_own_entry(entry, record)]
        stream = random.Random(f"{seed}/{record.task}/{record.record_id}")
        return tuple(stream.sample(positions, min(self.k, len(positions))))


@final
class NoRetriever(Retriever):
    """No history at all."""

    def rank(self, record: Record, task: Task, *, seed: int) -> tuple[int, ...]:
        return ()


def _checked(k: int) -> int:
    if k < 1:
        raise ValueError(f"retrieval.k={k}, expected 1 or more. For prompts without history set retrieval=none.")
    return k
