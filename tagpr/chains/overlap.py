"""What texts share: words, words with content, n-grams, verbatim runs. Pure functions without a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

# A number in angle brackets is a citation and no word; `...` and a lone mark such as `!` are words of their own.
_CITATION = re.compile(r"<[0-9]{1,4}>")
_WORD = re.compile(r"<[0-9]{1,4}>|\w+(?:['’-]\w+)*|\.{3}|[^\w\s]")
_STRUCTURE = frozenset(":;,.=<>()[]{}\"'|/\\-–—‹›*#`+&_")  # marks that shape a chain and say nothing about anybody

# Words that a chain can hold without saying anything about this person or this question: English function words ...
_FUNCTION_WORDS = """
a about above after again all also although always am an and any are as at be because been before being below between
both but by can could did do does doing down during each either else ever every few for from further had has have having
he her here hers him his how i if in into is it its itself just least less like me more most much my near neither never
no nor not now of off often on once only or other our out over own per quite rather same she should since so some still
such than that the their them then there therefore these they this those though through thus to too under until up upon
us very was we were what when where whether which while who whom whose why will with within without would yes yet you
your
"""
# ... and the words of the tag names, of the scripted cues and of any reasoning about a user's history.
_TEMPLATE_WORDS = """
restate task examine example examples identify pattern patterns infer preference preferences analyze analyse query
contrast typical weigh conflict apply verify fit user users check vary varies answer answers question questions history
entry entries item items past previous earlier prefer prefers preferred usually generally tend tends tendency seem seems
show shows shown suggest suggests indicate indicates consistent consistently clear clearly similar based rule evidence
given look looks see note first second third one two three next finally overall conclusion conclude consider think
thinking reason reasoning need needs want wants format form match matches matching final draft candidate step case most
majority common
"""
_EMPTY_WORDS = frozenset((_FUNCTION_WORDS + _TEMPLATE_WORDS).split())


@lru_cache(maxsize=1 << 15)
def tokens(text: str) -> tuple[str, ...]:
    """Lower-cased words, marks and citations."""
    return tuple(_WORD.findall(text.lower()))


@lru_cache(maxsize=1 << 15)
def words(text: str) -> tuple[str, ...]:
    """Lower-cased words and marks, citations left out."""
    return tuple(token for token in tokens(text) if not _CITATION.fullmatch(token))


@lru_cache(maxsize=1 << 15)
def content_words(text: str) -> frozenset[str]:
    """Words that say something: neither function words, nor words of the chain's template, nor marks that shape it."""
    return frozenset(word for word in words(text) if word not in _EMPTY_WORDS and word not in _STRUCTURE)


def ngrams(sequence: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of n items, in order; none where there are fewer."""
    return [tuple(sequence[start : start + n]) for start in range(len(sequence) - n + 1)]


def jaccard(first: Iterable[object], second: Iterable[object]) -> float:
    """|A & B| / |A | B|; 1 where both are empty."""
    one, two = set(first), set(second)
    return len(one & two) / len(one | two) if one or two else 1.0


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Word 3-grams of a text, or the whole of a shorter one: what near-duplicates have in common."""
    known = words(text)
    return frozenset(ngrams(known, 3) or [known])


def copied_share(text: str, sources: Iterable[str], *, run_length: int) -> float:
    """Share of a text's words that stand in runs of at least `run_length` words taken verbatim from one of the sources.

    Shorter runs do not count: evidence must be quotable. 0 for a text without words.
    """
    told = words(text)
    known = {run for source in sources for run in ngrams(words(source), run_length)}
    if not known or not told:
        return 0.0
    copied = [False] * len(told)
    for start, run in enumerate(ngrams(told, run_length)):
        if run in known:
            copied[start : start + run_length] = [True] * run_length
    return sum(copied) / len(told)
