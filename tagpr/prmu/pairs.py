"""Preference pairs: what a person's own answer is preferred to. Pure functions over records and generated answers.

N1   another user's gold for the same query, always in both directions, so that a user-blind model is at .5 by
construction.
N1_label  another label of the task, drawn by how often people give it; the only N1 where queries are not shared.
     It teaches what an answer must fit before it can be personal; RL writes many that fit nothing.
N3   an answer generated without the history, of about the gold's length.
N4   an answer of the policy that the official metric likes less than another of its answers, or than the gold.
Never another user's gold for another query: it would be off the topic, and topic is not taste.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tagpr.errors import UserError
from tagpr.markup import escape
from tagpr.tasks import ALL_TASKS
from tagpr.types import PreferencePair, Record

N1, N1_LABEL, N3, N4 = "N1", "N1_label", "N3", "N4"
MIX_KEYS = (N1, N1_LABEL, N3, N4)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySample:
    """One answer of the SFT policy. Filled by the pairs stage; what samples.parquet holds."""

    record_id: str
    user_id: str
    task: str
    split: str
    with_history: bool
    sample_index: int
    answer: str
    parsed: bool  # the completion had an answer that the task can read; only such answers make pairs
    score: float  # the task's reward against the gold, in [0, 1]


def split_queries(
    train: Sequence[Record], dev: Sequence[Record], *, dev_share: float
) -> tuple[list[Record], list[Record]]:
    """No query on both sides: of those that train and dev people share, dev gets the share dev_share, train the rest.

    The choice is a hash of the query, so it does not depend on order or seed.
    """
    both = {_query_key(record) for record in train} & {_query_key(record) for record in dev}
    to_dev = {key for key in both if _hash_share(*key) < dev_share}
    return (
        [record for record in train if _query_key(record) not in to_dev],
        [record for record in dev if _query_key(record) not in both or _query_key(record) in to_dev],
    )


def shared_query_pairs(
    records: Sequence[Record], *, people_per_query: int, generator: np.random.Generator
) -> list[list[PreferencePair]]:
    """N1, as blocks: within a block of up to `people_per_query` people who share a query, every two whose golds differ.

    A block of m people holds up to m (m - 1) pairs made of m histories and at most m answers, which is what makes
    training on it cheap; the datamodule finds the block again through `other_record_id`. Each pair's mirror is in the
    same block.
    """
    by_query: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.gold is not None:
            by_query[_query_key(record)].append(record)
    blocks = []
    for sharing in by_query.values():
        # One record per person: two questions of one person are no disagreement between people.
        people = list({record.user_id: record for record in sharing}.values())
        people = [people[i] for i in generator.permutation(len(people))]
        for start in range(0, len(people), people_per_query):
            block = [
                _pair(own, other.gold or "", N1, other_record_id=other.record_id)
                for own in people[start : start + people_per_query]
                for other in people[start : start + people_per_query]
                if escape(own.gold or "") != escape(other.gold or "")
            ]
            if block:
                blocks.append(block)
    return blocks


def label_pairs(
    records: Sequence[Record],
    frequencies: Mapping[str, Counter[str]],
    *,
    per_record: int,
    generator: np.random.Generator,
) -> list[PreferencePair]:
    """N1_label for label and rating tasks: what a random other person would have answered to a random other query.

    Each draw is from all golds of the task, and one that hits the record's own gold makes no pair: so "a preferred to
    b" is as frequent as "b preferred to a", and preferring the popular label wins half of the time. Always drawing
    another label would make the popular one win (.65 of the pairs at frequencies .60, .25, .15).

    Args:
        frequencies: task -> how often train people give each label (as `label_frequencies` counts them).
        per_record: draws; equal ones count once.
    """
    pairs = []
    for record in records:
        counts = frequencies.get(record.task)
        if record.gold is None or not counts:
            continue
        labels = sorted(counts)
        weights = np.array([counts[label] for label in labels], dtype=float)
        drawn = generator.choice(len(labels), size=per_record, p=weights / weights.sum())
        others = dict.fromkeys(labels[i] for i in drawn if labels[i] != record.gold)
        pairs += [_pair(record, label, N1_LABEL) for label in others]
    return pairs


def label_frequencies(records: Sequence[Record]) -> dict[str, Counter[str]]:
    """Golds per task, counted in each label's canonical spelling; text tasks have none."""
    frequencies: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        if record.gold is not None and ALL_TASKS[record.task].labels:
            frequencies[record.task][record.gold] += 1
    return dict(frequencies)


def no_history_pairs(
    records: Sequence[Record], samples: Sequence[PolicySample], *, length: Callable[[str], int]
) -> list[PreferencePair]:
    """N3: per record the history-free answer nearest to the gold in length, so that length does not give it away."""
    answers = _answers_by_record(samples, with_history=False)
    pairs = []
    for record in records:
        gold = record.gold
        if gold is None:
            continue
        wrong = [s.answer for s in answers.get(record.record_id, []) if escape(s.answer) != escape(gold)]
        if wrong:
            gold_length = length(gold)
            nearest = min(wrong, key=lambda answer, to=gold_length: abs(length(answer) - to))
            pairs.append(_pair(record, nearest, N3))
    return pairs


def on_policy_pairs(
    records: Sequence[Record], samples: Sequence[PolicySample], *, min_gap: float, per_record: int
) -> list[PreferencePair]:
    """N4: the policy's best answer over those that score at least `min_gap` less; the gold where no sample beats them.

    Preferring a sample over a sample keeps "was written by a model" from telling the sides apart.
    """
    answers = _answers_by_record(samples, with_history=True)
    pairs = []
    for record in records:
        ranked = sorted(answers.get(record.record_id, []), key=lambda s: (-s.score, s.sample_index))
        if record.gold is None or not ranked:
            continue
        chosen, score = ranked[0].answer, ranked[0].score
        if ranked[-1].score > score - min_gap:
            chosen, score = record.gold, 1.0
        worse = list(dict.fromkeys(s.answer for s in reversed(ranked) if s.score <= score - min_gap))
        pairs += [replace(_pair(record, answer, N4), chosen=chosen) for answer in worse[:per_record]]
    return pairs


def remove_duplicates(pairs: Sequence[PreferencePair]) -> tuple[list[PreferencePair], Counter[str]]:
    """Pairs without repeats, and how many went for which reason.

    same_sides: chosen and rejected are the same text. duplicate: the same two sides for the same user and query.
    near_duplicate: a generated rejected answer with the same words, case and punctuation aside, as an earlier one of
        that
    record and type. Golds differing in punctuation alone stay: that may be the very thing that is personal.
    """
    kept: list[PreferencePair] = []
    removed: Counter[str] = Counter()
    seen: set[tuple[str, ...]] = set()
    for pair in pairs:
        chosen, rejected = escape(pair.chosen), escape(pair.rejected)
        sides = (pair.user_id, pair.task, escape(pair.query), chosen, rejected)
        # Two people may hold the same other answer: each is a mirror of its own, and losing one would tip the balance.
        exact = ("N1", *sides, pair.other_record_id) if pair.negative_type == N1 else ("exact", *sides)
        words = " ".join(sorted(re.findall(r"\w+", rejected.casefold())))
        near = ("near", pair.record_id, pair.negative_type, chosen, words)
        if chosen == rejected:
            removed["same_sides"] += 1
        elif exact in seen:
            removed["duplicate"] += 1
        elif pair.negative_type in (N3, N4) and near in seen:
            removed["near_duplicate"] += 1
        else:
            kept.append(pair)
        seen |= {exact, near, ("exact", *sides)}
    return kept, removed


def quotas(mix: Mapping[str, float], available: Mapping[str, int], *, max_pairs: int) -> dict[str, int]:
    """Pairs wanted per type, so that the mix holds: what costs no generation sets the total, generation follows it.

    The total is the largest that N1 can fill its share of, or N1_label where there is no N1, and at most max_pairs.

    Args:
        mix: share per key of MIX_KEYS; they add up to 1.
        available: pairs of N1 and N1_label that there are.
    Raises:
        UserError: unknown types, negative shares, or a sum that is not 1.
    """
    if set(mix) != set(MIX_KEYS) or min(mix.values()) < 0 or abs(sum(mix.values()) - 1) > 1e-6:
        raise UserError(
            f"pairs.mix={dict(mix)}, expected a share >= 0 for each of {', '.join(MIX_KEYS)}, adding up to 1."
        )
    bounds = [int(available[kind] / mix[kind]) for kind in (N1, N1_LABEL) if mix[kind] > 0 and available[kind] > 0]
    total = min([max_pairs, *bounds[:1]])
    return {name: round(share * total) for name, share in mix.items()}


def take_blocks(
    blocks: Sequence[list[PreferencePair]], quota: int, *, generator: np.random.Generator
) -> list[PreferencePair]:
    """Whole blocks in random order until the quota is reached: a pair never loses its mirror."""
    taken: list[PreferencePair] = []
    for i in generator.permutation(len(blocks)):
        if len(taken) >= quota:
            break
        taken += blocks[i]
    return taken


def take(pairs: Sequence[PreferencePair], quota: int, *, generator: np.random.Generator) -> list[PreferencePair]:
    """At most `quota` pairs at random, in their order."""
    if len(pairs) <= quota:
        return list(pairs)
    return [pairs[i] for i in sorted(generator.choice(len(pairs), size=quota, replace=False))]


def _pair(record: Record, rejected: str, negative_type: str, *, other_record_id: str = "") -> PreferencePair:
    assert record.gold is not None
    return PreferencePair(
        record_id=record.record_id,
        user_id=record.user_id,
        task=record.task,
        query=record.query,
        chosen=record.gold,
        rejected=rejected,
        negative_type=negative_type,
        other_record_id=other_record_id,
        split="dev" if record.split == "dev" else "train",
    )


def _answers_by_record(samples: Sequence[PolicySample], *, with_history: bool) -> dict[str, list[PolicySample]]:
    answers: dict[str, list[PolicySample]] = defaultdict(list)
    for sample in samples:
        if sample.parsed and sample.with_history == with_history:
            answers[sample.record_id].append(sample)
    return answers


def _query_key(record: Record) -> tuple[str, str]:
    return record.task, escape(record.query)


def _hash_share(*parts: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256("\x00".join(parts).encode()).digest()[:6], "big") / 2**48
