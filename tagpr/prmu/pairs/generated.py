"""N2, N3, N4: what the SFT policy answers under another's history, without any, and with the own one but worse.

Both sides of a pair should look alike but for what the pair is about. So a sample is preferred to a sample where one is
good enough, or "was written by a model" would tell the sides apart; and in text tasks the longer side has at most
`max_ratio` times the shorter one's tokens, for which the sides are matched again before a pair is given up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from tagpr.markup import escape
from tagpr.prmu.pairs.base import N2, N3, N4, Block, Made, PolicySample, make_pair, query_key
from tagpr.tasks import ALL_TASKS
from tagpr.types import Record

Length = Callable[[str], int]


def other_history_pairs(
    records: Sequence[Record],
    samples: Sequence[PolicySample],
    lenders: Mapping[str, Record],
    *,
    min_gap: float,
    length: Length,
    max_ratio: float,
) -> Made:
    """N2: an answer to the own history, or the gold, over what the policy answers under the lender's.

    Chosen is the nearest in length that the official metric likes at least `min_gap` more. Where the lender was asked
    the same, the pair is made only with its mirror: for the lender the preference must turn round by as much. A
    user-blind model is then at .5 by construction, and an answer that is bad for both makes no pair.

    Args:
        lenders: record id -> the other person's record, as in the samples' `lender_id`.
    """
    own = _answers_by_record(sample for sample in samples if sample.with_history)
    lent = _answers_by_record(sample for sample in samples if sample.lender_id)
    blocks: list[Block] = []
    dropped: Counter[str] = Counter()
    for record in records:
        lender = lenders.get(record.record_id)
        if record.gold is None or lender is None:
            continue
        answers = list(dict.fromkeys(sample.answer for sample in lent.get(record.record_id, [])))
        if not answers:
            dropped["unreadable"] += 1
            continue
        offered = list(dict.fromkeys([sample.answer for sample in own.get(record.record_id, [])] + [record.gold]))
        made: list[Block] = []
        reasons: list[str] = []
        for rejected in answers:
            block, reason = _against_lent(
                record, lender, rejected, offered, min_gap=min_gap, length=length, max_ratio=max_ratio
            )
            if block:
                made.append(block)
            else:
                reasons.append(reason)
        blocks += made[:1]
        if not made:
            dropped[reasons[0]] += 1
    return Made(blocks=blocks, dropped=dropped)


def _against_lent(
    record: Record, lender: Record, rejected: str, offered: Sequence[str], *, min_gap: float, length: Length,
    max_ratio: float,
) -> tuple[Block, str]:  # fmt: skip
    """The pair, with its mirror where the lender was asked the same; or no pair and why."""
    score = ALL_TASKS[record.task].score
    gold = record.gold or ""
    better = [answer for answer in offered if score(answer, gold) >= score(rejected, gold) + min_gap]
    if not better:
        return [], "agreement"
    fitting = _fitting(record.task, better, rejected, length=length, max_ratio=max_ratio)
    if not fitting:
        return [], "length"
    if not shares_query(record, lender):
        return [make_pair(record, rejected, N2, chosen=fitting[0])], ""
    theirs = lender.gold or ""
    for chosen in fitting:
        if score(rejected, theirs) >= score(chosen, theirs) + min_gap:
            return [
                make_pair(record, rejected, N2, chosen=chosen, other_record_id=lender.record_id),
                make_pair(lender, chosen, N2, chosen=rejected, other_record_id=record.record_id),
            ], ""
    return [], "no_mirror"


def shares_query(record: Record, other: Record) -> bool:
    """Whether it is known what the other person answers to the same query."""
    return other.gold is not None and query_key(record) == query_key(other)


def no_history_pairs(
    records: Sequence[Record], samples: Sequence[PolicySample], *, length: Length, max_ratio: float
) -> Made:
    """N3: per record the history-free answer nearest to the gold in length, so that length does not give it away."""
    answers = _answers_by_record(sample for sample in samples if not sample.with_history and not sample.lender_id)
    blocks: list[Block] = []
    dropped: Counter[str] = Counter()
    for record in records:
        if record.gold is None:
            continue
        found = answers.get(record.record_id, [])
        wrong = [sample.answer for sample in found if escape(sample.answer) != escape(record.gold)]
        fitting = _fitting(record.task, wrong, record.gold, length=length, max_ratio=max_ratio)
        if fitting:
            blocks.append([make_pair(record, fitting[0], N3)])
        else:
            dropped["length" if wrong else "agreement" if found else "unreadable"] += 1
    return Made(blocks=blocks, dropped=dropped)


def on_policy_pairs(
    records: Sequence[Record],
    samples: Sequence[PolicySample],
    *,
    min_gap: float,
    per_record: int,
    length: Length,
    max_ratio: float,
) -> Made:
    """N4: the policy's best answer, or the gold where no sample leads, over those that score `min_gap` less."""
    answers = _answers_by_record(sample for sample in samples if sample.with_history)
    blocks: list[Block] = []
    dropped: Counter[str] = Counter()
    for record in records:
        if record.gold is None:
            continue
        ranked = sorted(answers.get(record.record_id, []), key=lambda s: (-s.score, s.sample_index))
        if not ranked:
            dropped["unreadable"] += 1
            continue
        chosen, score = ranked[0].answer, ranked[0].score
        if ranked[-1].score > score - min_gap:
            chosen, score = record.gold, 1.0
        worse = list(dict.fromkeys(s.answer for s in reversed(ranked) if s.score <= score - min_gap))
        near = set(_fitting(record.task, worse, chosen, length=length, max_ratio=max_ratio))
        fitting = [answer for answer in worse if answer in near]
        blocks += [[make_pair(record, answer, N4, chosen=chosen)] for answer in fitting[:per_record]]
        if not fitting:
            dropped["length" if worse else "agreement"] += 1
    return Made(blocks=blocks, dropped=dropped)


def _fitting(task: str, answers: Iterable[str], to: str, *, length: Length, max_ratio: float) -> list[str]:
    """Answers of about the length of `to`, the nearest first; labels are as long as they are."""
    wanted = length(to)
    sized = [(abs(length(answer) - wanted), answer) for answer in answers if _fits(length(answer), wanted, max_ratio)]
    if ALL_TASKS[task].kind != "text":
        sized = [(abs(length(answer) - wanted), answer) for answer in answers]
    return [answer for _, answer in sorted(sized, key=lambda one: one[0])]


def _fits(one: int, other: int, max_ratio: float) -> bool:
    return max(one, other) <= max_ratio * max(1, min(one, other))


def _answers_by_record(samples: Iterable[PolicySample]) -> dict[str, list[PolicySample]]:
    answers: dict[str, list[PolicySample]] = defaultdict(list)
    for sample in samples:
        if sample.parsed:
            answers[sample.record_id].append(sample)
    return answers
