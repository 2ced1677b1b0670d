"""Repeats among pairs of all types."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from tagpr.markup import escape
from tagpr.prmu.pairs.base import N1, N2, N3, N4, N6, Made
from tagpr.types import PreferencePair

# Answers of a model, or made of one: the same words in another order or case say the same once more.
NEAR = (N2, N3, N4, N6)


def without_duplicates(made: Mapping[str, Made]) -> dict[str, Made]:
    """What was made without repeats; earlier types keep theirs. A block goes whole, so that mirrors stay together.

    same_sides: chosen and rejected are the same text. duplicate: the same two sides for the same user and query.
    near_duplicate: a generated rejected answer with the same words, case and punctuation aside, as an earlier one of
    that record and type. Golds differing in punctuation alone stay: that may be the very thing that is personal.
    """
    seen: set[tuple[str, ...]] = set()
    kept = {}
    for kind, one in made.items():
        blocks = []
        dropped: Counter[str] = Counter(one.dropped)
        for block in one.blocks:
            reasons = [_repeats(pair, seen) for pair in block]
            reason = next(filter(None, reasons), "")
            if reason:
                dropped[reason] += len(block)
            else:
                blocks.append(block)
                for pair in block:
                    seen |= _marks(pair)
        kept[kind] = Made(blocks=blocks, dropped=dropped, kinds=one.kinds)
    return kept


def _repeats(pair: PreferencePair, seen: set[tuple[str, ...]]) -> str:
    """Why the pair goes; "" where it stays."""
    if escape(pair.chosen) == escape(pair.rejected):
        return "same_sides"
    # Two people may hold the same other answer: each is a mirror of its own, and losing one would tip the balance.
    if (_couple(pair) if pair.negative_type == N1 else _sides(pair)) in seen:
        return "duplicate"
    return "near_duplicate" if pair.negative_type in NEAR and _near(pair) in seen else ""


def _marks(pair: PreferencePair) -> set[tuple[str, ...]]:
    return {_couple(pair), _sides(pair), _near(pair)}


def _sides(pair: PreferencePair) -> tuple[str, ...]:
    return ("sides", pair.user_id, pair.task, escape(pair.query), escape(pair.chosen), escape(pair.rejected))


def _couple(pair: PreferencePair) -> tuple[str, ...]:
    return ("couple", pair.record_id, pair.other_record_id, *_sides(pair))


def _near(pair: PreferencePair) -> tuple[str, ...]:
    words = " ".join(sorted(re.findall(r"\w+", escape(pair.rejected).casefold())))
    return ("near", pair.record_id, pair.negative_type, escape(pair.chosen), words)
