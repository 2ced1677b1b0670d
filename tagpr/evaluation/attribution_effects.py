"""From answers behind edited chains to effects per tag and edit: answers changed, score moved, and both beyond the
floor."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tagpr.chains.tags import TAGS
from tagpr.evaluation.attribution import EDITS, FLOORS, NO_CHAIN, REWRITING, UNEDITED, AttributedAnswer
from tagpr.evaluation.partial import PartialMean, partial_means

# changed: share of answers; score: edited minus unedited; the other two: the same minus the floor's, question by
# question.
QUANTITIES = ("changed", "score", "changed_beyond", "score_beyond")


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """What one edit of one tag's spans does."""

    tag: str
    edit: str
    means: Mapping[str, PartialMean]  # those of QUANTITIES that exist: no floor, no gold, no question with both
    questions: int  # where the edit applied
    not_applied: Mapping[str, int]  # key of WHY_NOT -> questions
    parse_failures: float  # share of the answers that the task cannot read; NaN without questions
    written_again: float | None  # rewriting: share of chains in which the policy wrote the tag again


def effects(answers: Iterable[tuple[Hashable, AttributedAnswer]], *, nested: bool) -> list[Effect]:
    """Every tag's and edit's effect, tags in the order of the tag table, behind that of no step.

    Args:
        answers: (replicate, answer).
        nested: people differ between replicates.
    """
    answers = list(answers)
    by_question: dict[tuple[Hashable, str, str], dict[tuple[str, str], AttributedAnswer]] = defaultdict(dict)
    for replicate, one in answers:
        by_question[replicate, one.task, one.record_id][one.tag, one.edit] = one
    rows = []
    for (replicate, task, _), own in by_question.items():
        person = next(iter(own.values())).user_id
        rows.append((replicate, person, task, _quantities(own)))
    means = partial_means(rows, nested=nested)
    groups: dict[tuple[str, str], list[AttributedAnswer]] = defaultdict(list)
    for _, one in answers:
        groups[one.tag, one.edit].append(one)
    tags = [NO_CHAIN, *TAGS]
    order = {edit: position for position, edit in enumerate((UNEDITED, *EDITS))}
    return [
        _effect(tag, edit, groups[tag, edit], means)
        for tag, edit in sorted(groups, key=lambda key: (tags.index(key[0]), order[key[1]]))
    ]


def tag_name(tag: str) -> str:
    """As tables call it."""
    return "(no step)" if tag == NO_CHAIN else tag


def effects_as_json(found: Sequence[Effect]) -> list[dict[str, Any]]:
    """Effects as plain values; figures that do not exist are left out."""
    return [
        {
            "tag": one.tag, "edit": one.edit, "questions": one.questions, "not_applied": dict(one.not_applied),
            **{name: asdict(mean) for name, mean in one.means.items()},
            **({} if math.isnan(one.parse_failures) else {"parse_failures": one.parse_failures}),
            **({} if one.written_again is None else {"written_again": one.written_again}),
        }
        for one in found
    ]  # fmt: skip


def _quantities(own: Mapping[tuple[str, str], AttributedAnswer]) -> dict[str, float]:
    values: dict[str, float] = {}
    for (tag, edit), one in own.items():
        if one.why_not:
            continue
        _put(values, tag, edit, "", float(one.changed), one.score_change)
        floor = own.get((tag, FLOORS.get(edit, "")))
        if floor is not None and not floor.why_not:
            changed = float(one.changed) - float(floor.changed)
            _put(values, tag, edit, "_beyond", changed, one.score_change - floor.score_change)
    return values


def _put(values: dict[str, float], tag: str, edit: str, suffix: str, changed: float, score: float) -> None:
    values[f"{tag}/{edit}/changed{suffix}"] = changed
    if not math.isnan(score):
        values[f"{tag}/{edit}/score{suffix}"] = score


def _effect(tag: str, edit: str, rows: Sequence[AttributedAnswer], means: Mapping[str, PartialMean]) -> Effect:
    applied = [row for row in rows if not row.why_not]
    known = {name: means[key] for name in QUANTITIES if (key := f"{tag}/{edit}/{name}") in means}
    num = len(applied)
    return Effect(
        tag=tag, edit=edit, means=known, questions=num,
        not_applied=Counter(row.why_not for row in rows if row.why_not),
        parse_failures=sum(not row.parsed for row in applied) / num if num else math.nan,
        written_again=sum(row.written_again for row in applied) / num if num and edit in REWRITING else None,
    )  # fmt: skip
