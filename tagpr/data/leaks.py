"""Golds that stand in profiles: who could read an answer before it is asked, and which entries training goes without.

A sibling gold is an entry that answers another question of the same person, as in LaMP-2N, where a profile leaves out
its own question's article alone. A stranger's gold is an entry of one person with another person's very question and
answer. Both are counted; from training questions those are taken away that answer another question of the same person
in another split or for another purpose, and strangers' texts (headlines, titles, tweets) that answer one of another
split: SFT, pairs and RL then look at no gold of a person but their own. Strangers' labels and ratings stay.
Dev and test questions keep their profiles as they were downloaded, which is the official protocol.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tagpr.data.retrieval import is_own_entry
from tagpr.tasks import Task, task_named
from tagpr.types import PURPOSES, ProfileEntry, Record

_NUM_LISTED = 20  # people that a report lists; the counts are of all


def text_hash(*texts: str | None) -> int:
    """64 bits that stand for texts, spaces aside. Python's own hash: fast, and only good within one process."""
    return hash(tuple(None if text is None else _without_spaces(text) for text in texts))


def entry_hashes(entry: ProfileEntry) -> tuple[int, int]:
    """(its input with its response, its response alone)."""
    response = _without_spaces(entry.response)
    return hash((_without_spaces(entry.input), response)), hash((None, response))


def _without_spaces(text: str) -> str:
    # Half a million entries pass here; splitting and joining them takes ten times as long.
    for space in " \n\t\r\xa0":
        text = text.replace(space, "")
    return text


def telltale_hash(task: Task, query: str, gold: str) -> int:
    """The one of `entry_hashes` that an entry which gives the answer away has, in the person's own profiles."""
    return text_hash(*task.telltale(query, gold))


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question without its texts: whose it is, what it is used for, and hashes of what would give its gold away."""

    record_id: str
    user_id: str
    task: str
    split: str
    purpose: str
    keys: tuple[int, int] | None  # `question_keys`; None without gold


def question_keys(task: Task, query: str, gold: str | None) -> tuple[int, int] | None:
    """(`telltale_hash`, the hash of query and gold together); None without gold."""
    return None if gold is None else (telltale_hash(task, query, gold), text_hash(query, gold))


def asked_of(record: Record) -> Asked:
    return Asked(
        record_id=record.record_id, user_id=record.user_id, task=record.task, split=record.split,
        purpose=record.purpose, keys=question_keys(task_named(record.task), record.query, record.gold),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hit:
    """An entry of one question's profile that answers another question."""

    position: int  # in the profile
    asked: Asked
    sibling: bool  # one person's


class LeakGuard:
    """Finds golds in profiles. It holds a few numbers per question and no text, so records may stream through it.

    Args:
        questions: every question with its purpose.
        drop_from: purposes whose questions lose the entries that they must not read; none: all stays as it is.
    """

    def __init__(self, questions: Iterable[Asked], *, drop_from: Sequence[str]) -> None:
        unknown = [purpose for purpose in drop_from if purpose not in PURPOSES]
        if unknown:
            raise ValueError(f"data.drop_golds_from names {unknown}, expected some of {', '.join(PURPOSES)}, or [].")
        self.drop_from = tuple(drop_from)
        self._siblings: defaultdict[int, list[Asked]] = defaultdict(list)
        self._exact: defaultdict[int, list[Asked]] = defaultdict(list)
        self._questions_of: Counter[str] = Counter()
        self._entries: Counter[tuple[str, str, str]] = Counter()
        self._exposed: defaultdict[tuple[str, str, str], set[tuple[str, str]]] = defaultdict(set)
        self._dropped: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self._own: Counter[str] = Counter()
        for asked in questions:
            self._questions_of[asked.user_id] += 1
            if asked.keys is None:
                continue
            telltale, exact = asked.keys
            self._siblings[hash((asked.task, telltale))].append(asked)
            self._exact[hash((asked.task, exact))].append(asked)

    def guarded(self, record: Record) -> Record:
        """The record without the entries that it must not read; what is found is counted."""
        hits = [hit for i, entry in enumerate(record.profile) for hit in self._hits(record, i, entry)]
        for hit in hits:
            key = ("sibling" if hit.sibling else "stranger", record.purpose, hit.asked.purpose)
            self._entries[key] += 1
            self._exposed[key].add((record.task, hit.asked.record_id))
        forbidden = {hit.position for hit in hits if _is_forbidden(record, hit)}
        dropped = record.purpose in self.drop_from
        (self._dropped if dropped else self._left)[record.purpose] += len(forbidden)
        if not (dropped and forbidden):
            return record
        kept = tuple(entry for i, entry in enumerate(record.profile) if i not in forbidden)
        return replace(record, profile=kept)

    def _hits(self, record: Record, position: int, entry: ProfileEntry) -> list[_Hit]:
        hits = []
        full, alone = (hash((record.task, value)) for value in entry_hashes(entry))
        own = is_own_entry(entry, record)
        self._own["entries"] += own
        for key in (full, alone):
            for asked in self._siblings.get(key, ()):
                if asked.record_id == record.record_id:
                    self._own["golds"] += not own
                elif asked.user_id == record.user_id and not own:
                    hits.append(_Hit(position=position, asked=asked, sibling=True))
        hits += [
            _Hit(position=position, asked=asked, sibling=False)
            for asked in self._exact.get(full, ())
            if asked.user_id != record.user_id and not own
        ]
        return hits

    def report(self, shared_ids: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What leaks.json says, once every record has been through `guarded`.

        Args:
            shared_ids: ids with one profile, as a RecordSource gives them.
        """
        sizes = Counter(self._questions_of.values())
        return {
            "questions": sum(self._questions_of.values()),
            "people": len(self._questions_of),
            "questions_per_person": {str(size): sizes[size] for size in sorted(sizes)},
            "people_with_several_ids": {
                "n": len(shared_ids),
                "count_once": all(sum(i in self._questions_of for i in ids) < 2 for ids in shared_ids.values()),
                "ids": {key: list(shared_ids[key]) for key in sorted(shared_ids)[:_NUM_LISTED]},
            },
            "sibling_golds": self._figures("sibling"),
            "stranger_golds": self._figures("stranger"),
            "own_entries": self._own["entries"],
            "own_golds_elsewhere": self._own["golds"],
            "dropped_entries": {purpose: self._dropped[purpose] for purpose in self.drop_from},
            "left_entries": {purpose: self._left[purpose] for purpose in PURPOSES if purpose not in self.drop_from},
        }

    def counts(self) -> dict[str, int]:
        """The same in three figures, for the manifest."""
        return {
            "sibling_gold_entries": self._figures("sibling")["entries"],
            "stranger_gold_entries": self._figures("stranger")["entries"],
            "dropped_gold_entries": sum(self._dropped.values()),
        }

    def _figures(self, kind: str) -> dict[str, Any]:
        keys = sorted((key for key in self._entries if key[0] == kind), key=lambda key: [*map(PURPOSES.index, key[1:])])
        return {
            "entries": sum(self._entries[key] for key in keys),
            "golds": len(set().union(*(self._exposed[key] for key in keys))),
            "by_purpose": [
                {
                    "in_profiles_of": key[1], "answer_to": key[2], "entries": self._entries[key],
                    "golds": len(self._exposed[key]),
                }
                for key in keys
            ],
        }  # fmt: skip


def _is_forbidden(record: Record, hit: _Hit) -> bool:
    if hit.sibling:
        return hit.asked.split != record.split or hit.asked.purpose != record.purpose
    # Two people who write one text copied it; two who rate one film alike did not. Without the entries that agree with
    # a test gold, a training history would tell what the answer is not.
    return hit.asked.split != record.split and task_named(record.task).kind == "text"
