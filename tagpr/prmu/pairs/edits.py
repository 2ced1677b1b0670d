"""N5: the gold with one small change, for tasks that are answered with a text.

What keeps an edit from being another answer that this very person could have given:
- a change of manner (last punctuation, casing, first word) leaves the value that the person's own past texts show most
  often, for one that none of them shows; a gold that is not in the person's own manner gets no such edit;
- a change of words (two neighbours exchanged, a keyword of the query replaced by one of another query) must cost score
  in the official metric, so it is a worse answer for whoever wrote the gold;
- no edit equals a past text of the person, nor a gold of theirs.
The new value of a manner is drawn by how often people of the task have it, the own value included, and a draw that hits
the own value makes no edit of that kind: so "a over b" is as frequent as "b over a", and the typical manner, which a
user-blind model knows, does not pay. All choices are hashes of task, question and kind of edit.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tagpr.data.retrieval import is_own_entry
from tagpr.markup import escape
from tagpr.prmu.pairs.base import N5, Made, hash_share, make_pair
from tagpr.tasks import ALL_TASKS
from tagpr.types import Record

MIN_PEOPLE = 3  # who must share a value of a manner before it is one, and not a word of one text
KEYWORD_LETTERS = 4  # shorter words carry no topic

_ENDING = re.compile(r"[^\w\s]*$")
_OPENER = re.compile(r"\w+")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """One thing that texts show of how a person writes."""

    read: Callable[[str], str | None]  # its value in a text; None where the text shows none
    write: Callable[[str, str], str]  # the text with another value


@dataclass(frozen=True, kw_only=True)
class Edits:
    """What edits of a task draw from. Made by `collect_edits` from train people's golds."""

    values: Mapping[str, Mapping[str, int]]  # manner -> value -> golds that show it, values of few people left out
    keywords: Sequence[str]  # words that golds share with their queries


def collect_edits(records: Sequence[Record]) -> dict[str, Edits]:
    """Per text task, the population's manners and keywords."""
    golds: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.gold is not None and ALL_TASKS[record.task].kind == "text":
            golds[record.task].append(record)
    found = {}
    for task, of_task in golds.items():
        values: dict[str, Mapping[str, int]] = {}
        for name, manner in MANNERS.items():
            people: dict[str, set[str]] = defaultdict(set)
            counts: Counter[str] = Counter()
            for record in of_task:
                value = manner.read(escape(record.gold or ""))
                if value is not None:
                    people[value].add(record.user_id)
                    counts[value] += 1
            values[name] = {value: n for value, n in sorted(counts.items()) if len(people[value]) >= MIN_PEOPLE}
        keywords = {word for record in of_task for word in _keywords(record)}
        found[task] = Edits(values=values, keywords=sorted(keywords))
    return found


def edited_pairs(records: Sequence[Record], edits: Mapping[str, Edits]) -> Made:
    """N5: at most one pair per record, the kinds of edit tried in an order that is a hash of the question."""
    blocks, dropped, kinds = [], Counter[str](), Counter[str]()
    answered: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in records:
        answered[record.task, record.user_id].add(escape(record.gold or ""))
    for record in records:
        if record.gold is None or record.task not in edits:
            continue
        own = {escape(entry.response) for entry in record.profile if not is_own_entry(entry, record)}
        taken = own | answered[record.task, record.user_id]
        for kind in sorted((*MANNERS, *REWRITES), key=lambda kind, r=record: hash_share("edit", r.record_id, kind)):
            edited = _edited(kind, record, edits[record.task], sorted(own))
            if edited is not None and escape(edited) not in taken:
                blocks.append([make_pair(record, edited, N5)])
                kinds[kind] += 1
                break
        else:
            dropped["no_edit"] += 1
    return Made(blocks=blocks, dropped=dropped, kinds=kinds)


def _edited(kind: str, record: Record, edits: Edits, own: Sequence[str]) -> str | None:
    gold = escape(record.gold or "")
    chance = hash_share("value", record.task, record.record_id, kind)
    if kind in MANNERS:
        return _in_other_manner(MANNERS[kind], gold, edits.values[kind], own, chance)
    edited = REWRITES[kind](record, edits, own, chance)
    return edited if edited is not None and ALL_TASKS[record.task].score(edited, gold) < 1.0 else None


def _in_other_manner(
    manner: Manner, gold: str, values: Mapping[str, int], own: Sequence[str], chance: float
) -> str | None:
    value = manner.read(gold)
    shown = Counter(shown for text in own if (shown := manner.read(text)) is not None)
    if value not in values or shown[value or ""] == 0 or shown[value or ""] < max(shown.values()):
        return None
    new = _drawn(values, chance)
    return None if new == value or new in shown else manner.write(gold, new)


def _drawn(values: Mapping[str, int], chance: float) -> str:
    """The value at this quantile of the counts."""
    left = chance * sum(values.values())
    for value, n in values.items():
        left -= n
        if left < 0:
            return value
    return list(values)[-1]


# --- manners ---------------------------------------------------------------------------------------------------------


def _read_ending(text: str) -> str | None:
    found = _ENDING.search(text)
    return found.group() if found else ""


def _write_ending(text: str, ending: str) -> str:
    return _ENDING.sub("", text).rstrip() + ending


def _read_casing(text: str) -> str | None:
    words = [word for word in _WORD.findall(text) if word[0].isalpha()]
    if len(words) < 2:
        return None
    for name in ("lower", "upper", "title", "sentence"):
        if _write_casing(text, name) == text:
            return name
    return None


def _write_casing(text: str, casing: str) -> str:
    if casing == "upper":
        return text.upper()
    if casing == "title":
        return _WORD.sub(lambda word: word.group()[:1].upper() + word.group()[1:].lower(), text)
    lower = text.lower()
    return lower if casing == "lower" else _OPENER.sub(lambda word: word.group().capitalize(), lower, count=1)


def _read_opener(text: str) -> str | None:
    found = _OPENER.match(text)
    return found.group().casefold() if found and len(_WORD.findall(text)) > 1 else None


def _write_opener(text: str, opener: str) -> str:
    first = _OPENER.match(text)
    assert first is not None
    styled = opener.capitalize() if first.group()[:1].isupper() else opener
    return styled + text[first.end() :]


MANNERS: dict[str, Manner] = {
    "punctuation": Manner(read=_read_ending, write=_write_ending),
    "casing": Manner(read=_read_casing, write=_write_casing),
    "opener": Manner(read=_read_opener, write=_write_opener),
}


# --- words -----------------------------------------------------------------------------------------------------------


def _reordered(record: Record, edits: Edits, own: Sequence[str], chance: float) -> str | None:
    """Two neighbouring words exchanged."""
    gold = escape(record.gold or "")
    words = list(_WORD.finditer(gold))
    places = [i for i in range(len(words) - 1) if words[i].group().casefold() != words[i + 1].group().casefold()]
    if not places:
        return None
    first, second = words[(i := places[int(chance * len(places))])], words[i + 1]
    between = gold[first.end() : second.start()]
    return gold[: first.start()] + second.group() + between + first.group() + gold[second.end() :]


def _other_keyword(record: Record, edits: Edits, own: Sequence[str], chance: float) -> str | None:
    """A word that the gold shares with the query, replaced by one that is another query's."""
    gold = escape(record.gold or "")
    shared = _keywords(record)
    known = {word.casefold() for text in (gold, record.query, *own) for word in _WORD.findall(text)}
    others = [word for word in edits.keywords if word not in known]
    if not shared or not others:
        return None
    replaced = shared[int(chance * len(shared))]
    # A second number from the same hash: which of the others, apart from which of the own.
    new = others[int(chance * 997 % 1 * len(others))]
    return re.sub(
        rf"\b{re.escape(replaced)}\b",
        lambda found: new.capitalize() if found.group()[:1].isupper() else new,
        gold,
        flags=re.IGNORECASE,
    )


def _keywords(record: Record) -> list[str]:
    asked = {word.casefold() for word in _WORD.findall(record.query)}
    words = [word.casefold() for word in _WORD.findall(escape(record.gold or ""))]
    return list(dict.fromkeys(word for word in words if word in asked and len(word) >= KEYWORD_LETTERS))


REWRITES: dict[str, Callable[[Record, Edits, Sequence[str], float], str | None]] = {
    "order": _reordered,
    "keyword": _other_keyword,
}
