"""Records from anybody's table of what people wrote or rated: the last answers of each person become questions, and
what the person answered before each of them is its history."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import final

from tagpr.data.leaks import text_hash
from tagpr.data.source import Records, RecordSource
from tagpr.data.splits import Fold, assign_purposes, leak_groups, stable_order
from tagpr.data.table_card import card_text
from tagpr.data.table_files import TableRow
from tagpr.data.table_people import DROPS, FORMS, Table, read_people
from tagpr.errors import BadInputError
from tagpr.tasks import Task
from tagpr.types import SPLITS, ProfileEntry, Record


@final
class TableSource(RecordSource):
    """A table with one row per answer of a person.

    Real people keep their splits from run to run: `data.seed` is a number in conf/data/table.yaml, not the run's seed.

    Args:
        path: .csv, .tsv, .jsonl, .ndjson or .parquet.
        columns: user, text and answer, and where there are such date and title (a heading, shown before the text)
            -> the file's columns. Without a date the file's rows are taken to be in time order.
        task: one of FORMS.
        queries_per_user: the last so many rows of each person are questions.
        train_queries_per_user: the same for train people, whose questions are to learn from; None: as many.
        questions_in_history: whether a person's earlier questions stand in the history of later ones; False: a history
            ends before the person's first question, and no answer is both asked for and shown.
        min_rows: people with fewer are left out; more than the questions, so that every question has a history.
        max_rows: of people with more, the latest are kept; None: all.
        max_users: so many people, drawn by the seed; None: all.
        max_characters: longer texts are cut, rows with longer answers left out.
        people_shares: shares of train, dev and test people.
        folds, fold: of how many folds of people the test people are which one; None: no folds.
        question_shares: shares of sft, pairs and rl among the questions of train people.
        drop_golds_from: purposes whose profiles lose the golds of other splits and purposes (tagpr.data.leaks).
        licence: of the data, for the card.
    """

    def __init__(
        self,
        *,
        path: str,
        columns: Mapping[str, str | None],
        task: str,
        queries_per_user: int,
        train_queries_per_user: int | None,
        questions_in_history: bool,
        min_rows: int,
        max_rows: int | None,
        max_users: int | None,
        max_characters: int,
        people_shares: Mapping[str, float],
        folds: int | None,
        fold: int,
        question_shares: Mapping[str, float],
        drop_golds_from: Sequence[str],
        licence: str,
    ) -> None:
        if task not in FORMS:
            raise BadInputError(f"data.task={task}, expected one of {', '.join(FORMS)}.")
        self.path = Path(path).expanduser()
        self.columns = {name: column for name, column in columns.items() if column is not None}
        repeated = [column for column, count in Counter(self.columns.values()).items() if count > 1]
        if repeated:
            roles = ", ".join(f"data.columns.{name}" for name, column in self.columns.items() if column == repeated[0])
            raise BadInputError(f"{roles} are all {repeated[0]!r}: an answer must not stand in its own question.")
        for name, value, least in (
            ("queries_per_user", queries_per_user, 1),
            ("train_queries_per_user", train_queries_per_user, 1),
            ("max_users", max_users, len(SPLITS)),
            ("max_characters", max_characters, 1),
        ):
            if value is not None and value < least:
                raise BadInputError(f"data.{name}={value}, expected {least} or more.")
        for_train = queries_per_user if train_queries_per_user is None else train_queries_per_user
        most, name = max((queries_per_user, "queries_per_user"), (for_train, "train_queries_per_user"))
        if min_rows <= most:
            raise BadInputError(
                f"data.min_rows={min_rows} leaves people without a history for data.{name}={most} questions. Set "
                f"data.min_rows={most + 1} or more."
            )
        if max_rows is not None and max_rows < min_rows:
            raise BadInputError(f"data.max_rows={max_rows} is below data.min_rows={min_rows}.")
        self.task = task
        self.queries_per_user = queries_per_user
        self.train_queries_per_user = for_train
        self.questions_in_history = questions_in_history
        self.min_rows = min_rows
        self.max_rows = max_rows
        self.max_users = max_users
        self.max_characters = max_characters
        self.people_shares = dict(people_shares)
        self.fold = Fold(count=folds, index=fold)
        self.question_shares = dict(question_shares)
        self.drop_golds_from = tuple(drop_golds_from)
        self.licence = licence

    def files(self) -> list[Path]:
        return [self.path]

    def records(self, *, seed: int) -> list[Record]:
        task = self._table.task
        chosen = stable_order(list(self._table.people), seed=seed, stream="users")[: self.max_users]
        splits = self.fold.divide(chosen, self.people_shares, seed=seed)
        without = [split for split in SPLITS if split not in splits.values()]
        if without:
            raise BadInputError(
                f"{self.path}: {len(chosen)} people leave nobody for {', '.join(without)}; expected people to train, "
                f"to choose and to test on. Add people, or lower data.min_rows={self.min_rows}."
            )
        asked = {user: self._table.people[user][-self._num_questions(splits[user]) :] for user in chosen}
        train = {user: [_row_id(row) for row in asked[user]] for user in chosen if splits[user] == "train"}
        purposes = assign_purposes(train, self.question_shares, seed=seed)
        return [
            self._record(task, row, split=splits[user], purpose=purposes.get((user, _row_id(row)), splits[user]))
            for user in self._table.people  # the file's order
            for row in asked.get(user, ())
        ]

    def shared_ids(self) -> dict[str, list[str]]:
        """Users with nearly the same rows. They stay two people: in a small table everybody may have seen the same."""
        users = list(self._table.people)
        rows = [{text_hash(_shown(row), row.answer) for row in self._table.people[user]} for user in users]
        ids: defaultdict[str, list[str]] = defaultdict(list)
        for user, group in zip(users, leak_groups(rows, users), strict=True):
            ids[users[group]].append(user)
        return {first: several for first, several in ids.items() if len(several) > 1}

    def figures(self, records: Records) -> dict[str, float]:
        """Rows read, what was left out of them, and golds of test people that train people's rows hold too."""
        dropped = {name: self._table.dropped.get(name, 0) for name in DROPS}
        dropped["people_beyond_max_users"] = len(self._table.people) - len({record.user_id for record in records})
        return {
            "rows_read": self._table.num_rows,
            "rows_used": sum(len(self._table.people[user]) for user in {record.user_id for record in records}),
            **dropped,
            "golds_in_own_text": sum(_says(record.query, record.gold) for record in records),
            "test_answers_seen_in_train": _seen_in_train(records),
            "golds_in_later_histories": _golds_shown(records),
        }

    def card(self, records: Records) -> str:
        settings = {
            name: getattr(self, name)
            for name in (
                "queries_per_user",
                "train_queries_per_user",
                "questions_in_history",
                "min_rows",
                "max_rows",
                "max_users",
                "max_characters",
            )
        }
        return card_text(
            file_name=self.path.name, licence=self.licence, task=self._table.task, form=self.task,
            columns=self.columns, settings=settings, figures=self.figures(records), reasons=DROPS,
            records=list(records),
        )  # fmt: skip

    def _num_questions(self, split: str) -> int:
        return self.train_queries_per_user if split == "train" else self.queries_per_user

    def _record(self, task: Task, row: TableRow, *, split: str, purpose: str) -> Record:
        rows = self._table.people[row.user]
        query = _shown(row)
        # A person's earlier answer to the same text is the question itself, not a history.
        end = rows.index(row) if self.questions_in_history else len(rows) - self._num_questions(split)
        before = [earlier for earlier in rows[:end] if _shown(earlier) != query]
        return Record(
            record_id=_row_id(row),
            user_id=row.user,
            task=task.name,
            split=split,
            purpose=purpose,
            question=task.write_question(query),
            query=query,
            gold=row.answer,
            profile=tuple(
                ProfileEntry(
                    entry_id=_row_id(earlier), input=_shown(earlier), response=earlier.answer, date=earlier.date
                )
                for earlier in before
            ),
            retrieved=(),
        )

    @cached_property
    def _table(self) -> Table:
        return read_people(
            self.path, self.columns, form=self.task, min_rows=self.min_rows, max_rows=self.max_rows,
            max_characters=self.max_characters,
        )  # fmt: skip


def _row_id(row: TableRow) -> str:
    return f"row_{row.number}"


def _shown(row: TableRow) -> str:
    return f"{row.title} | {row.text}" if row.title else row.text


def _says(text: str, answer: str | None) -> bool:
    """Whether a text holds its own answer; one or two characters (ratings) say nothing."""
    return answer is not None and len(answer) > 2 and answer.lower() in text.lower()


def _golds_shown(records: Records) -> int:
    """Train people's questions whose answer stands in the history of a later question with another purpose, before
    the leak guard takes it out."""
    purpose_of = {record.record_id: record.purpose for record in records if record.split == "train"}
    shown = {
        entry.entry_id
        for record in records
        if record.split == "train"
        for entry in record.profile
        if purpose_of.get(entry.entry_id, record.purpose) != record.purpose
    }
    return len(shown)


def _seen_in_train(records: Records) -> int:
    """Test questions whose text and answer a train person's rows hold too: co-authors, copied texts."""
    seen = {
        pair
        for record in records
        if record.split == "train"
        for pair in [(record.query, record.gold), *((entry.input, entry.response) for entry in record.profile)]
    }
    return sum((record.query, record.gold) in seen for record in records if record.split == "test")
