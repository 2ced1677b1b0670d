"""Whose questions are whose, and which answers stand in a profile that a system may read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tagpr.data.lamp import name_people, outline, shared_ids
from tagpr.data.lamp_files import LampQuestion, SplitFiles, read_split
from tagpr.data.leaks import entry_hashes, telltale_hash
from tagpr.errors import BadInputError
from tagpr.tasks import Task

_NUM_LISTED = 20  # ids that a report lists; the counts are of all


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """Who asked each question, and how that is known."""

    person_of: dict[str, str]
    known_by: str
    leaks: dict[str, Any] | None  # None where the questions are not given


def each_its_own(record_ids: Iterable[str]) -> People:
    """Every question as its own person, for want of better knowledge."""
    return People(
        person_of={record_id: record_id for record_id in record_ids},
        known_by="no --questions: every question counts as its own person",
        leaks=None,
    )


def read_people(task: Task, questions: Path, golds: Path) -> People:
    """The people of a questions file, and its leak report.

    Raises:
        BadInputError: a damaged file, other ids than the golds', another task's questions.
    """
    # Golds without a task's name take it from the folder's name.
    found, asked = read_split(SplitFiles(split="dev", questions=questions, outputs=golds), Path(task.name))
    if found.name != task.name:
        raise BadInputError(
            f"{questions}: its profiles are {found.name}'s, expected {task.name}'s. Set --task {found.name}, or give "
            "the questions of the golds."
        )
    outlines = [outline(task, question) for question in asked]
    people = name_people(outlines)
    named = [replace(question, user_id=person.user_id) for question, person in zip(asked, people, strict=True)]
    by_data = sum(bool(question.user_id) for question in asked)
    known_by = {0: "profile overlap", len(asked): "the questions' user_id"}.get(
        by_data, "user_id, else profile overlap"
    )
    if several := shared_ids(outlines, people):
        known_by += f" ({len(several)} with one profile under several ids count once)"
    return People(
        person_of={question.record_id: question.user_id for question in named},
        known_by=known_by,
        leaks=leak_report(task, named),
    )


def leak_report(task: Task, questions: Sequence[LampQuestion]) -> dict[str, Any]:
    """Golds that stand verbatim (spaces aside) in a profile.

    A label is a leak where the query itself stands in the profile with it, a text wherever it is a response, a cited
    paper where it is one of the author's own (`Task.telltale`). `sibling` is another question of the same person: who
    pools profiles by person reads its gold.
    """
    telltales: list[int] = []
    own: list[bool] = []
    holders: defaultdict[str, Counter[int]] = defaultdict(Counter)
    num_questions: Counter[str] = Counter(question.user_id for question in questions)
    for question in questions:
        telltales.append(telltale_hash(task, question.query, question.gold or ""))
        keys = {key for entry in question.profile for key in entry_hashes(entry)}
        own.append(telltales[-1] in keys)
        if num_questions[question.user_id] > 1:
            holders[question.user_id].update(keys)
    in_sibling = [
        holders[question.user_id][key] > itself if question.user_id in holders else False
        for question, key, itself in zip(questions, telltales, own, strict=True)
    ]
    return {
        "questions": len(questions),
        "people": len(num_questions),
        "people_with_several_questions": sum(count > 1 for count in num_questions.values()),
        "gold_in_own_profile": _listed(questions, own),
        "gold_in_sibling_profile": _listed(questions, in_sibling),
    }


def _listed(questions: Sequence[LampQuestion], leaked: Sequence[bool]) -> dict[str, Any]:
    ids = [question.record_id for question, yes in zip(questions, leaked, strict=True) if yes]
    # An id may hold half a character, which no file takes.
    return {"n": len(ids), "ids": [i.encode("utf-8", "backslashreplace").decode() for i in ids[:_NUM_LISTED]]}
