"""JSON lines that others bring: people's histories, and answers to be judged; every fault is named by file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagpr.data.json_files import check_start
from tagpr.errors import BadInputError
from tagpr.tasks import task_named
from tagpr.types import ProfileEntry, Record

ENTRY_FORM = 'expected a list of {"input": "...", "output": "..."}, oldest first'

Histories = Mapping[tuple[str, str], tuple[ProfileEntry, ...]]  # (user_id, task); task "" where a line names none


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerLine:
    """Answers of one line, with the question as a record. Filled by `iterate_answers`."""

    given: Mapping[str, Any]  # the line's object, as it stood there
    record: Record
    answers: tuple[str, ...]
    is_list: bool  # whether the line held `answers` rather than `answer`


def iterate_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of a UTF-8 JSON lines file; blank lines are passed over.

    Raises:
        BadInputError: the file cannot be read, holds something else, or nothing.
    """
    found = False
    try:
        with path.open("rb") as file:
            check_start(path, file.read(4096), expected="JSON lines")
            file.seek(0)
            for number, raw in enumerate(file, start=1):
                if raw.strip():
                    found = True
                    yield number, _object(path, number, raw)
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    if not found:
        raise BadInputError(f"{path}: the file is empty, expected one JSON object a line.")


def read_histories(path: Path) -> Histories:
    """People's pasts, from lines {"user_id": ..., "history": [{"input": ..., "output": ...}, ...]}.

    A line may name a `task`: then it is that person's past in this task alone.

    Raises:
        BadInputError: a damaged line; a person twice.
    """
    histories: dict[tuple[str, str], tuple[ProfileEntry, ...]] = {}
    for number, line in iterate_lines(path):
        where = f"{path}:{number}"
        task = task_named(str(line["task"])).name if line.get("task") is not None else ""
        key = (required_text(line, "user_id", where), task)
        if key in histories:
            raise BadInputError(
                f"{where}: user {key[0]!r} is there a second time{f' for {task}' if task else ''}, expected one line "
                "each. Join their entries."
            )
        raw = line.get("history")
        if not isinstance(raw, list):
            found = f"holds {str(raw)[:40]!r}" if "history" in line else "is missing"
            raise BadInputError(f"{where}: the field 'history' {found}; {ENTRY_FORM} ([] for somebody new).")
        histories[key] = tuple(profile_entry(entry, i, where) for i, entry in enumerate(raw))
    return histories


def history_of(histories: Histories, user_id: str, task: str, *, where: str, source: Path) -> tuple[ProfileEntry, ...]:
    """The person's past in a task, or their only one. Raises BadInputError where the person is not there."""
    for key in ((user_id, task), (user_id, "")):
        if key in histories:
            return histories[key]
    others = sorted(named for user, named in histories if user == user_id)
    only = f" for {task}, only for {', '.join(others)}" if others else ""
    raise BadInputError(
        f"{where}: user {user_id!r} has no history in {source}{only}. Add a line for them there, with an empty history "
        "for somebody new."
    )


def iterate_answers(path: Path, histories: Histories, *, source: Path, task: str | None) -> Iterator[AnswerLine]:
    """Answers to judge, from lines {"user_id", "query", "answer" or "answers", "task"}.

    Args:
        source: where the histories came from, for errors.
        task: of lines that name none.
    Raises:
        BadInputError: a damaged line, an empty answer, a person without a line in the histories.
    """
    for number, line in iterate_lines(path):
        where = f"{path}:{number}"
        record = question_record(line, histories, where=where, source=source, task=task, record_id=f"line {number}")
        if ("answer" in line) == ("answers" in line):
            raise BadInputError(f"{where}: expected either 'answer' (text) or 'answers' (a list of texts).")
        answers = line["answers"] if "answers" in line else [line["answer"]]
        if not isinstance(answers, list) or not answers:
            raise BadInputError(f"{where}: 'answers' is {str(answers)[:40]!r}, expected a list of texts.")
        for answer in answers:
            if not isinstance(answer, str) or not answer.strip():
                raise BadInputError(f"{where}: an answer is {answer!r}, expected text that is not blank.")
        yield AnswerLine(given=line, record=record, answers=tuple(answers), is_list="answers" in line)


def question_record(
    line: Mapping[str, Any], histories: Histories, *, where: str, source: Path, task: str | None, record_id: str
) -> Record:
    """The question of a line as a record with its person's past. Raises BadInputError, naming `where`."""
    named = line.get("task", task)
    if named is None:
        raise BadInputError(f"{where}: the field 'task' is missing. Add it, or name one task for all lines.")
    try:
        known = task_named(str(named))
    except BadInputError as error:
        raise BadInputError(f"{where}: {error}") from None
    user_id, query = required_text(line, "user_id", where), required_text(line, "query", where)
    return Record(
        record_id=record_id,
        user_id=user_id,
        task=known.name,
        split="train",
        purpose="pairs",
        question=known.write_question(query),
        query=query,
        gold=None,
        profile=history_of(histories, user_id, known.name, where=where, source=source),
        retrieved=(),
    )


def profile_entry(raw: Any, number: int, where: str) -> ProfileEntry:
    """One entry of a history, {"input": ..., "output": ...}; "title" and "date" may be there too."""
    if not isinstance(raw, Mapping) or not str(raw.get("output") or "").strip():
        raise BadInputError(f"{where}: history[{number}] is {str(raw)[:60]!r}; {ENTRY_FORM}, each with an output.")
    return ProfileEntry(
        entry_id=f"p{number}",
        input=str(raw.get("input") or ""),
        response=str(raw["output"]),
        title=str(raw.get("title") or ""),
        date=str(raw.get("date") or ""),
    )


def required_text(line: Mapping[str, Any], name: str, where: str) -> str:
    """A field that must hold text or a whole number (as ids do)."""
    value = line.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        found = f"holds {str(value)[:40]!r}" if name in line else "is missing"
        raise BadInputError(f"{where}: the field {name!r} {found}, expected text. Fields: {', '.join(line)}.")
    return str(value)


def _object(path: Path, number: int, raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip())
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path}:{number}: byte {error.start} is not UTF-8. Convert the file to UTF-8.") from None
    except json.JSONDecodeError as error:
        raise BadInputError(
            f"{path}:{number}: not JSON at column {error.colno} ({error.msg}), expected one JSON object a line."
        ) from None
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{path}:{number}: JSON beyond what can be read ({type(error).__name__}).") from None
    if not isinstance(value, dict):
        raise BadInputError(f"{path}:{number}: a {type(value).__name__}, expected a JSON object, {{...}}.")
    return value
