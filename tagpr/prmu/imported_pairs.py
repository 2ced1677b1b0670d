"""Preference pairs from outside: TRL's format with a user column and histories -> our records and pairs.

TRL's preference type (huggingface.co/docs/trl/dataset_formats), standard or conversational, with or without a prompt:
{"prompt": ..., "chosen": ..., "rejected": ...}, or without a prompt, which is then what both sides begin with.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tagpr.errors import BadInputError
from tagpr.markup import escape
from tagpr.prmu.pairs import N1
from tagpr.prmu.person_files import ENTRY_FORM, Histories, iterate_lines, profile_entry, question_record
from tagpr.types import PreferencePair, ProfileEntry, Record

IMPORTED = "imported"  # negative type of a pair whose rejected side nobody here is known to prefer
PEOPLE = "people"  # folder beside pairs, and beside a PRMU: records of people whom the records stage does not know


def read_preferences(
    path: Path, *, histories: Histories | None, source: Path | None, user_column: str, task: str | None
) -> tuple[list[PreferencePair], dict[str, Record]]:
    """Every row as a pair, and the questions that they are about.

    Args:
        path: .jsonl or .parquet.
        histories: people's pasts; None: each row has its own, in a column `history`.
        source: where they came from, for errors.
        user_column: whose preference a row is.
        task: of rows without a column `task`.
    Returns:
        pairs, all of split train, and record_id -> record without gold.
    Raises:
        BadInputError: a damaged row, named by file and line (or row, of Parquet).
    """
    pairs: list[PreferencePair] = []
    records: dict[str, Record] = {}
    for where, row in _iterate_rows(path):
        prompt, chosen, rejected = read_sides(row, where=where)
        line = {**row, "user_id": row.get(user_column), "query": prompt}
        if row.get(user_column) is None:
            raise BadInputError(
                f"{where}: the column {user_column!r} is missing, which says whose preference it is; the row has "
                f"{', '.join(row)}. Name the right one: pairs.user_column=..."
            )
        if line.get("task") is None:
            line.pop("task", None)
        known = histories if histories is not None else {(str(line["user_id"]), ""): _own_history(row, where)}
        record = question_record(line, known, where=where, source=source or path, task=task, record_id="")
        told = [record.task, record.user_id, escape(prompt), [[e.input, e.response] for e in record.profile]]
        record_id = f"{IMPORTED}-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:20]}"
        records[record_id] = replace(record, record_id=record_id)
        pairs.append(
            PreferencePair(
                record_id=record_id, user_id=record.user_id, task=record.task, query=prompt, chosen=chosen,
                rejected=rejected, negative_type=IMPORTED,
            )
        )  # fmt: skip
    return pairs, records


def read_sides(row: Mapping[str, Any], *, where: str) -> tuple[str, str, str]:
    """(prompt, chosen, rejected) as texts.

    A conversation's prompt is the content of its one user message, or `role : content` a line where there is more; a
    system message is the trainer's, not the person's question, and is left out. The answers are the messages behind the
    prompt. An implicit prompt of plain texts ends at the last space that both share.

    Raises:
        BadInputError: a column is missing or of another form; nothing is left of a side; both sides are equal.
    """
    sides = {name: _side(row.get(name), name, where) for name in ("chosen", "rejected")}
    prompt = None if row.get("prompt") is None else _side(row["prompt"], "prompt", where)
    chosen, rejected = sides["chosen"], sides["rejected"]
    if isinstance(chosen, str) != isinstance(rejected, str):
        raise BadInputError(f"{where}: one of 'chosen' and 'rejected' is text, the other a conversation.")
    if isinstance(chosen, str):
        asked, answers = _split_texts(prompt, chosen, str(rejected), where)
    else:
        assert not isinstance(rejected, str)
        asked, answers = _split_conversations(prompt, chosen, rejected)
    for name, text in (("prompt", asked), ("chosen", answers[0]), ("rejected", answers[1])):
        if not text.strip():
            raise BadInputError(f"{where}: nothing is left of {name!r}, expected text that is not blank.")
    if escape(answers[0]) == escape(answers[1]):
        raise BadInputError(f"{where}: 'chosen' and 'rejected' say the same: {answers[0][:60]!r}.")
    return asked.strip(), answers[0].strip(), answers[1].strip()


def match_mirrors(pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    """Where two people hold opposite views of the same two answers to one question, both pairs become N1.

    Then the rejected side is the other's own choice: the pairs count in personal contrast and swap accuracy. Each pair
    gets at most one mate, in order of appearance.
    """
    waiting: dict[tuple[str, ...], list[int]] = defaultdict(list)
    found = list(pairs)
    for i, pair in enumerate(pairs):
        sides = escape(pair.chosen), escape(pair.rejected)
        question = pair.task, escape(pair.query)
        mates = waiting[(*question, *reversed(sides))]
        mate = next((j for j in mates if pairs[j].user_id != pair.user_id), None)
        if mate is None:
            waiting[(*question, *sides)].append(i)
            continue
        mates.remove(mate)
        found[i] = replace(pair, negative_type=N1, other_record_id=pairs[mate].record_id)
        found[mate] = replace(pairs[mate], negative_type=N1, other_record_id=pair.record_id)
    return found


def drop_repeats(pairs: Sequence[PreferencePair]) -> tuple[list[PreferencePair], Counter[str]]:
    """Pairs without repeats, and without those that one person gave in both directions: nobody can learn from them."""
    key = {id(p): (p.user_id, p.task, escape(p.query), escape(p.chosen), escape(p.rejected)) for p in pairs}
    said = set(key.values())
    kept: list[PreferencePair] = []
    removed: Counter[str] = Counter()
    seen: set[tuple[str, ...]] = set()
    for pair in pairs:
        own = key[id(pair)]
        if (*own[:3], own[4], own[3]) in said:
            removed["contradicted"] += 1
        elif own in seen:
            removed["duplicate"] += 1
        else:
            kept.append(pair)
        seen.add(own)
    return kept, removed


def brought_people(folder: Path) -> list[Record]:
    """Records that a pairs or prmu stage brought itself, train and dev; none where the records stage has its people."""
    from tagpr.storage import read_records

    return read_records(folder / PEOPLE, splits=("train", "dev")) if (folder / PEOPLE).is_dir() else []


def _own_history(row: Mapping[str, Any], where: str) -> tuple[ProfileEntry, ...]:
    raw = row.get("history")
    if not isinstance(raw, list):
        raise BadInputError(
            f"{where}: the column 'history' is missing; {ENTRY_FORM}. Or give them apart: pairs.histories=FILE."
        )
    return tuple(profile_entry(entry, i, where) for i, entry in enumerate(raw))


def _side(value: Any, name: str, where: str) -> str | list[dict[str, str]]:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(_is_message(message) for message in value):
        return [{"role": str(message["role"]), "content": message["content"]} for message in value]
    found = "is missing" if value is None else f"holds {str(value)[:40]!r}"
    raise BadInputError(
        f'{where}: the column {name!r} {found}, expected text or messages [{{"role": ..., "content": "..."}}, ...].'
    )


def _is_message(message: Any) -> bool:
    return isinstance(message, Mapping) and "role" in message and isinstance(message.get("content"), str)


def _split_texts(prompt: Any, chosen: str, rejected: str, where: str) -> tuple[str, tuple[str, str]]:
    if prompt is not None:
        return _conversation(prompt), (chosen, rejected)
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    # A word that both begin alike is not half prompt.
    while shared and not (chosen[shared - 1].isspace() or chosen[shared : shared + 1].isspace()):
        shared -= 1
    if not chosen[:shared].strip():
        raise BadInputError(f"{where}: there is no 'prompt', and 'chosen' and 'rejected' do not begin alike.")
    return chosen[:shared], (chosen[shared:], rejected[shared:])


def _split_conversations(
    prompt: Any, chosen: list[dict[str, str]], rejected: list[dict[str, str]]
) -> tuple[str, tuple[str, str]]:
    shared = 0
    # The last message is an answer, whatever it says; sides that repeat an explicit prompt are cut likewise.
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    asked = _conversation(chosen[:shared]) if prompt is None else _conversation(prompt)
    return asked, (_conversation(chosen[shared:]), _conversation(rejected[shared:]))


def _conversation(said: str | list[dict[str, str]]) -> str:
    if isinstance(said, str):
        return said
    spoken = [message for message in said if message["role"] != "system"]
    if len(spoken) == 1:
        return spoken[0]["content"]
    return "\n".join(f"{message['role']} : {message['content']}" for message in spoken)


def _iterate_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        for number, line in iterate_lines(path):
            yield f"{path}:{number}", line
    elif suffix == ".parquet":
        yield from _iterate_parquet(path)
    else:
        raise BadInputError(
            f"{path}: a file of kind {suffix or 'unknown'!r}, expected .jsonl or .parquet, as Dataset.to_json and "
            "Dataset.to_parquet write them."
        )


def _iterate_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInputError(f"{path}: not a Parquet file that can be read ({str(error).splitlines()[0]}).") from None
    number = 0
    with file:
        for batch in file.iter_batches(batch_size=256):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}: row {number}", row
    if not number:
        raise BadInputError(f"{path}: there are columns and no rows.")
