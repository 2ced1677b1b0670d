"""From a table's rows to people: which rows can be used, in which order in time, and what was left out and why."""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tagpr.data.table_files import TableRow, read_rows
from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS, Task

# What a table can ask -> the tasks whose form it takes; of several the one that knows the most answers.
FORMS: Mapping[str, tuple[str, ...]] = {
    "rating": ("LaMP_3",),
    "label": ("LaMP_2", "LaMP_2N"),
    "headline": ("LaMP_4",),
    "title": ("LaMP_5",),
    "text": ("LaMP_7",),
}
# Beyond this share of answers that cannot be read, the column or the scale is likely to be the wrong one.
MANY_UNREADABLE = 0.1

# Seconds since 1973 have 9 digits or more, milliseconds 12, microseconds 15, nanoseconds 18.
_UNIX_TIME = re.compile(r"(?P<whole>\d{9,20})(?:\.\d+)?")
_SHORT_DATE = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_date(text: str) -> float:
    """Seconds since 1970, to sort by: `2015`, `2015-9`, `2015-09-30`, `20150930`, ISO 8601 with a time (UTC where no
    zone is named), or a Unix time of 9 digits and more in seconds, milliseconds, micro- or nanoseconds.

    Raises:
        ValueError: anything else; `10/02/2015` is two dates.
    """
    if unix := _UNIX_TIME.fullmatch(text):
        return float(text) / 1000 ** ((len(unix["whole"]) - 9) // 3)
    if re.fullmatch(r"\d{4}", text):
        return (datetime(int(text), 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()
    if short := _SHORT_DATE.fullmatch(text):
        year, month, day = (int(part or 1) for part in short.groups())
        return (datetime(year, month, day, tzinfo=UTC) - _EPOCH).total_seconds()
    moment = datetime.fromisoformat(text)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH).total_seconds()


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a file holds for us once it is read: people with rows that can be used, oldest first."""

    task: Task
    people: Mapping[str, tuple[TableRow, ...]]  # answers in the form of a gold
    num_rows: int  # in the file
    dropped: Mapping[str, int]  # what was left out, and how much of it; keys of DROPS


# What is left out of a table -> why, as the card says it.
DROPS: Mapping[str, str] = {
    "rows_without_user": "rows that name nobody",
    "rows_without_text": "rows without a text",
    "rows_without_answer": "rows without an answer",
    "rows_with_unreadable_answer": "rows whose answer the task cannot read",
    "rows_with_long_answer": "rows whose answer is longer than max_characters",
    "rows_repeated": "rows that say what an earlier row says",
    "people_with_few_rows": "people with fewer rows than min_rows",
    "rows_of_people_with_few_rows": "their rows",
    "rows_beyond_max_rows": "oldest rows of people with more than max_rows",
    "people_beyond_max_users": "people beyond max_users",
    "texts_cut": "texts cut at max_characters (kept)",
}


def read_people(
    path: Path,
    columns: Mapping[str, str],
    *,
    form: str,
    min_rows: int,
    max_rows: int | None,
    max_characters: int,
) -> Table:
    """The table at `path`, cleaned; the arguments are those of TableSource, `form` its task.

    Raises:
        BadInputError: nothing is left, a date cannot be read, or the file is not what it should be.
    """
    rows = read_rows(path, columns)
    dropped: Counter[str] = Counter()
    filled = _filled(rows, dropped, max_characters=max_characters)
    if not filled:
        reasons = ", ".join(f"{count} {DROPS[name]}" for name, count in dropped.items())
        raise BadInputError(f"{path}: none of {len(rows)} rows is left ({reasons}). Check data.columns.")
    task, readable = _readable(filled, dropped, form=form, place=f"{path}, column {columns['answer']!r}")
    people: defaultdict[str, list[TableRow]] = defaultdict(list)
    for row in _oldest_first(_distinct(readable, dropped), path, columns.get("date")):
        people[row.user].append(row)
    kept = {}
    for user, of_user in people.items():
        if len(of_user) < min_rows:
            dropped["people_with_few_rows"] += 1
            dropped["rows_of_people_with_few_rows"] += len(of_user)
        else:
            kept[user] = tuple(of_user if max_rows is None else of_user[-max_rows:])
            dropped["rows_beyond_max_rows"] += len(of_user) - len(kept[user])
    if not kept:
        raise BadInputError(
            f"{path}: none of {len(people)} people has data.min_rows={min_rows} rows that can be used; the most that "
            f"one has is {max(map(len, people.values()))}. Check data.columns.user={columns['user']}, or lower "
            "data.min_rows and data.queries_per_user."
        )
    return Table(task=task, people=kept, num_rows=len(rows), dropped=dropped)


def _filled(rows: Sequence[TableRow], dropped: Counter[str], *, max_characters: int) -> list[TableRow]:
    filled = []
    for row in rows:
        missing = next((name for name in ("user", "text", "answer") if not getattr(row, name)), None)
        if missing:
            dropped[f"rows_without_{missing}"] += 1
        elif len(row.answer) > max_characters:
            dropped["rows_with_long_answer"] += 1
        elif len(row.text) > max_characters:
            dropped["texts_cut"] += 1
            filled.append(replace(row, text=row.text[:max_characters].rstrip()))
        else:
            filled.append(row)
    return filled


def _readable(rows: Sequence[TableRow], dropped: Counter[str], *, form: str, place: str) -> tuple[Task, list[TableRow]]:
    """The task, and the rows whose answers it can read, each answer in the form of a gold."""
    tried = [(ALL_TASKS[name], *_read_answers(rows, ALL_TASKS[name])) for name in FORMS[form]]
    task, read, wrong = max(tried, key=lambda one: len(one[1]))
    shown = ", ".join(f"{answer[:30]!r} ({count})" for answer, count in wrong.most_common(4))
    expected = {
        "rating": "a rating is a whole number from 1 to 5; bring other scales to this one",
        "label": "labels must be those of one of LaMP's tasks, where later stages look them up: "
        + "; or ".join(", ".join(ALL_TASKS[name].labels) for name in FORMS["label"]),
    }.get(task.kind, "an answer is a text")
    if not read:
        raise BadInputError(
            f"{place}: none of {len(rows)} answers can be read as task {form}, found {shown}. Check "
            f"data.columns.answer and data.task: {expected}."
        )
    if wrong.total() > MANY_UNREADABLE * len(rows):
        warnings.warn(
            f"{place}: {wrong.total()} of {len(rows)} answers cannot be read as task {form} and are left out: {shown}. "
            f"What is left may not be what these people think: {expected}.",
            stacklevel=2,
        )
    dropped["rows_with_unreadable_answer"] = wrong.total()
    return task, read


def _read_answers(rows: Sequence[TableRow], task: Task) -> tuple[list[TableRow], Counter[str]]:
    read, wrong = [], Counter[str]()
    for row in rows:
        try:
            # The labels that there are have no capitals.
            answer = task.read_gold(row.answer.lower() if task.kind == "label" else row.answer)
        except ValueError:
            wrong[row.answer] += 1
        else:
            read.append(replace(row, answer=answer))
    return read, wrong


def _distinct(rows: Sequence[TableRow], dropped: Counter[str]) -> list[TableRow]:
    seen: dict[tuple[str, ...], TableRow] = {}
    for row in rows:
        seen.setdefault((row.user, row.text, row.answer, row.date, row.title), row)
    dropped["rows_repeated"] = len(rows) - len(seen)
    return list(seen.values())


def _oldest_first(rows: Sequence[TableRow], path: Path, column: str | None) -> list[TableRow]:
    """The rows by date; rows of one date, and all where there is no such column, keep the file's order."""
    if column is None:
        return list(rows)
    moments: dict[int, float] = {}
    wrong = []
    for row in rows:
        try:
            moments[row.number] = read_date(row.date)
        except ValueError:
            wrong.append(row)
    if wrong:
        more = f" (and {len(wrong) - 1} more rows are like it)" if len(wrong) > 1 else ""
        raise BadInputError(
            f"{path}, row {wrong[0].number}: {column} is {wrong[0].date[:40]!r}{more}, expected a date such as "
            "2015-09-30, 2015-09-30T18:05:00 or a Unix time. Write dates so, or set data.columns.date=null where the "
            "rows are in time order."
        )
    return sorted(rows, key=lambda row: moments[row.number])
