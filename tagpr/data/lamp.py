"""Records from LaMP-form folders, LaMP's own or anybody's: people named, split, and their questions given a purpose."""

from __future__ import annotations

import warnings
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tagpr.data.lamp_files import (
    OFFICIAL_SPLITS,
    LampQuestion,
    OpenSplit,
    SplitFiles,
    find_splits,
    find_task_folders,
    open_split,
    read_outputs,
    task_by_name,
)
from tagpr.data.leaks import Asked, entry_hashes, question_keys, text_hash
from tagpr.data.source import Records, RecordSource
from tagpr.data.splits import Fold, assign_purposes, divide, leak_groups
from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS, Task, task_named
from tagpr.types import SPLITS, Record

REPORTS = ("dev", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """What dividing people and finding leaks need of a question: all of it that stays in memory."""

    record_id: str
    user_id: str  # "" where the data names nobody
    official_split: str
    items: array[int]  # hashes of the profile's items and of the query with its gold
    keys: tuple[int, int] | None  # what would give the gold away: tagpr.data.leaks.question_keys


def outline(task: Task, question: LampQuestion) -> Outline:
    """A question without its texts."""
    own = text_hash(question.query, question.gold)
    return Outline(
        record_id=question.record_id, user_id=question.user_id, official_split=question.official_split,
        items=array("q", [own, *(entry_hashes(entry)[0] for entry in question.profile)]),
        keys=question_keys(task, question.query, question.gold),
    )  # fmt: skip


def name_people(outlines: Sequence[Outline]) -> list[Outline]:
    """Every question with a `user_id`: the data's own, or the profile-overlap group where the data names nobody.

    Ids whose profiles are nearly the same are one person, called by the first of them: else their questions' golds
    would stand in one another's profiles across splits.
    """
    groups = leak_groups([question.items for question in outlines], [question.user_id for question in outlines])
    name_of: dict[int, str] = {}
    for question, group in zip(outlines, groups, strict=True):
        if question.user_id:
            name_of.setdefault(group, question.user_id)
    return [
        replace(question, user_id=name_of.get(group) or f"author_of_{outlines[group].record_id}")
        for question, group in zip(outlines, groups, strict=True)
    ]


def shared_ids(given: Sequence[Outline], named: Sequence[Outline]) -> dict[str, list[str]]:
    """Person -> the ids that the data give them, for those who have several."""
    ids: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for before, after in zip(given, named, strict=True):
        if before.user_id:
            ids[after.user_id][before.user_id] = None
    return {person: list(several) for person, several in ids.items() if len(several) > 1}


def assign_splits(
    questions: Sequence[Outline], people_shares: Mapping[str, float], fold: Fold, *, seed: int
) -> dict[tuple[str, str], str]:
    """Which of our splits each question stands in; "" where it is left out so that nobody is in two.

    Two official splits with different people: the first one's people become train and dev (selection happens on people
    held out of *train*), the second's are test; the few that profile overlap finds in both are test alone. One split,
    or two that share people (LaMP's time-based form): all people are divided; train people then keep their earlier
    questions, dev and test people their later ones. Official test questions serve no selection: dev people keep their
    earlier ones instead.

    Returns:
        (official split, record id) -> train, dev, test or "".
    Raises:
        BadInputError: folds of people whom the official splits have divided already.
    """
    official = [split for split in OFFICIAL_SPLITS if any(q.official_split == split for q in questions)]
    assert 1 <= len(official) <= 2
    people = {split: {q.user_id for q in questions if q.official_split == split} for split in official}
    first, last = official[0], official[-1]
    if first != last and 2 * len(people[first] & people[last]) < len(people[last]):
        if fold.count is not None:
            raise BadInputError(
                f"data.folds={fold.count}, but the people of {first} and {last} are different ones: those of "
                f"{last} are tested. Leave data.folds=null, or give a folder with one of the two."
            )
        shares = {name: share for name, share in people_shares.items() if name != "test"}
        part = divide(sorted(people[first] - people[last]), shares, seed=seed, stream="people")
        part.update(dict.fromkeys(people[last], "test"))
        source = {"train": first, "dev": first, "test": last}
    else:
        part = fold.divide(sorted(set().union(*people.values())), people_shares, seed=seed)
        source = {"train": first, "dev": first if last == "test" else last, "test": last}
    return {
        (q.official_split, q.record_id): (part[q.user_id] if source[part[q.user_id]] == q.official_split else "")
        for q in questions
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where a question goes."""

    user_id: str
    split: str
    purpose: str
    keys: tuple[int, int] | None  # of its Outline


@dataclass(frozen=True, kw_only=True, slots=True)
class _DividedTask:
    """One task's files, and where each of their questions goes."""

    splits: Sequence[OpenSplit]
    places: Mapping[tuple[str, str], _Place | None]  # (official split, record id) -> place; None: left out

    def __len__(self) -> int:
        return sum(place is not None for place in self.places.values())

    def asked(self) -> Iterator[Asked]:
        """Every question's place, without reading it again."""
        for (_, record_id), place in self.places.items():
            if place:
                yield Asked(
                    record_id=record_id, user_id=place.user_id, task=self.splits[0].task.name, split=place.split,
                    purpose=place.purpose, keys=place.keys,
                )  # fmt: skip

    def __iter__(self) -> Iterator[Record]:
        for split in self.splits:
            for q in split.questions():
                if (q.official_split, q.record_id) not in self.places:
                    raise BadInputError(f"{split.files.questions}: changed while it was read. Run the command again.")
                if place := self.places[q.official_split, q.record_id]:
                    yield Record(
                        record_id=q.record_id, user_id=place.user_id, task=split.task.name, split=place.split,
                        purpose=place.purpose, question=q.question, query=q.query, gold=q.gold, profile=q.profile,
                        retrieved=(),
                    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class LampRecords:
    """The records of LaMP's files, which are read anew each time: task by task, split by split, in the files' order."""

    tasks: Sequence[_DividedTask]

    def __len__(self) -> int:
        return sum(map(len, self.tasks))

    def __iter__(self) -> Iterator[Record]:
        for task in self.tasks:
            yield from task


class LampSource(RecordSource):
    """LaMP-form folders as records.

    Real people keep their splits from run to run: `data.seed` is a number in conf/data/lamp.yaml, not the run's seed.

    Args:
        root: a folder with one folder per task, or with one task's files.
        tasks: the tasks to read; empty: every one that is there.
        report: the official split that our test people come from, dev or test. Train people come from the first of
            train and dev that is another one. The official test set, whose golds may be withheld, is read for no
            other purpose.
        people_shares: shares of train, dev and test people.
        folds, fold: of how many folds of people the test people are which one; None: no folds.
        question_shares: shares of sft, pairs and rl among the questions of train people.
        drop_golds_from: purposes whose profiles lose the golds of other splits and purposes (tagpr.data.leaks).
    """

    def __init__(
        self,
        *,
        root: str,
        tasks: Sequence[str],
        report: str,
        people_shares: Mapping[str, float],
        folds: int | None,
        fold: int,
        question_shares: Mapping[str, float],
        drop_golds_from: Sequence[str],
    ) -> None:
        if report not in REPORTS:
            raise BadInputError(f"data.report={report}, expected one of {', '.join(REPORTS)}.")
        self.root = Path(root).expanduser()
        self.report = report
        self.tasks = tuple(task_named(name).name for name in tasks)
        self.people_shares = dict(people_shares)
        self.fold = Fold(count=folds, index=fold)
        self.question_shares = dict(question_shares)
        self.drop_golds_from = tuple(drop_golds_from)
        self._shared_ids: dict[str, list[str]] = {}

    def files(self) -> list[Path]:
        """Questions and golds of every split that `records` reads."""
        splits = [split for folder in self._folders() for split in self._splits(folder)]
        return [path for split in splits for path in (split.questions, split.outputs) if path.is_file()]

    def records(self, *, seed: int) -> LampRecords:
        """Reads every question once to find what is wrong with it and to divide the people; the records are read when
        they are asked for. Raises BadInputError."""
        self._shared_ids = {}
        found: dict[str, tuple[Path, list[OpenSplit]]] = {}
        for folder in self._folders():
            splits = self._open(folder)
            for split in splits:
                name = split.task.name
                if found.setdefault(name, (folder, splits))[0] != folder:
                    raise BadInputError(
                        f"{folder}: holds {name}, and so does {found[name][0]}. Take one away, or correct the "
                        '"task" in its outputs file.'
                    )
        missing = [name for name in self.tasks if name not in found]
        if missing:
            there = ", ".join(found) or "other tasks only"
            raise BadInputError(f"{self.root}: no {', '.join(missing)} there, found {there}. Set data.tasks to these.")
        chosen = [name for name in ALL_TASKS if name in (self.tasks or found)]
        return LampRecords(
            tasks=[
                self._divided(*found[name], seed=seed, prefix=f"{name}/" if len(chosen) > 1 else "") for name in chosen
            ]
        )

    def asked(self, records: Records) -> Iterator[Asked]:
        assert isinstance(records, LampRecords), "made by this source"
        for task in records.tasks:
            yield from task.asked()

    def shared_ids(self) -> dict[str, list[str]]:
        return self._shared_ids

    def _splits(self, folder: Path) -> list[SplitFiles]:
        """The split to learn from, where there is one beside the reported one, and the reported one."""
        found = {files.split: files for files in find_splits(folder)}
        if self.report == "test" and "test" not in found:
            raise BadInputError(
                f"{folder}: data.report=test, but there is no test_questions.json, only {', '.join(found)}. Put it "
                "there, or set data.report=dev."
            )
        if list(found) == ["test"] and self.report != "test":
            raise BadInputError(
                f"{folder}: holds LaMP's test set alone. Put train or dev beside it, or set data.report=test to divide "
                "its people."
            )
        learned = [files for split, files in found.items() if split not in ("test", self.report)][:1]
        return learned + ([found[self.report]] if self.report in found else [])

    def _open(self, folder: Path) -> list[OpenSplit]:
        """The splits of a folder. Golds of a test set may be missing where another split is there to learn from."""
        opened: list[OpenSplit] = []
        files = self._splits(folder)
        for split in files:
            optional = split.split == "test" and len(files) > 1
            beside = opened[0].task.name if opened else None
            opened.append(open_split(split, folder, golds_optional=optional, beside=beside))
        if len({split.task.name for split in opened}) > 1:
            first, second = opened
            raise BadInputError(
                f"{second.files.outputs}: with its questions it is {second.task.name}'s, but "
                f'{first.files.outputs} is {first.task.name}\'s. A folder holds one task: correct the "task", or load '
                "both splits again."
            )
        return opened

    def _folders(self) -> list[Path]:
        """Folders of the tasks asked for. The golds' file, which is small, names the task; 400 MB need not be read."""
        folders = find_task_folders(self.root)
        if not self.tasks:
            return folders
        wanted = {"LaMP_2" if name == "LaMP_2N" else name for name in self.tasks}
        named = {folder: self._named(folder) for folder in folders}
        kept = [folder for folder in folders if named[folder] in wanted]
        if not kept:
            raise BadInputError(
                f"{self.root}: no {', '.join(self.tasks)} there, found {', '.join(named.values())}. Set data.tasks to "
                "these."
            )
        return kept

    def _named(self, folder: Path) -> str:
        files = find_splits(folder)[0]
        name = task_by_name(read_outputs(files.outputs)[0] if files.outputs.exists() else None, files, folder).name
        return "LaMP_2" if name == "LaMP_2N" else name

    def _divided(self, folder: Path, opened: Sequence[OpenSplit], *, seed: int, prefix: str) -> _DividedTask:
        """LaMP numbers its users anew for each task: user 5 of two tasks is two people, told apart by the prefix."""
        given = [outline(split.task, question) for split in opened for question in split.questions()]
        questions = name_people(given)
        self._shared_ids |= {prefix + person: ids for person, ids in shared_ids(given, questions).items()}
        questions = [replace(q, user_id=prefix + q.user_id) for q in questions]
        splits = assign_splits(questions, self.people_shares, self.fold, seed=seed)
        without = [split for split in SPLITS if split not in splits.values()]
        if without:
            num_people = len({q.user_id for q in questions})
            raise BadInputError(
                f"{folder}: {len(questions)} questions of {num_people} people leave nobody for {', '.join(without)}; "
                "expected people to train, to choose and to test on. Add people, give each question its user_id, or "
                "put another official split beside this one."
            )
        train: defaultdict[str, list[str]] = defaultdict(list)
        by_id: dict[str, str] = {}
        for q in questions:
            split = splits[q.official_split, q.record_id]
            if split and by_id.setdefault(q.record_id, q.official_split) != q.official_split:
                raise BadInputError(
                    f"{folder}: id {q.record_id} stands in {by_id[q.record_id]} and in {q.official_split}. Ids must be "
                    "unique within a task; rename one of the two."
                )
            if split == "train":
                train[q.user_id].append(q.record_id)
        purposes = assign_purposes(train, self.question_shares, seed=seed)
        places: dict[tuple[str, str], _Place | None] = dict.fromkeys(splits)
        for q in questions:
            if split := splits[q.official_split, q.record_id]:
                purpose = purposes[q.user_id, q.record_id] if split == "train" else split
                places[q.official_split, q.record_id] = _Place(
                    user_id=q.user_id, split=split, purpose=purpose, keys=q.keys
                )
        unanswered = sum(q.official_split == "test" and not splits[q.official_split, q.record_id] for q in questions)
        if unanswered:
            warnings.warn(
                f"{folder}: {unanswered} questions of LaMP's test set are left out, because their people stand in "
                f"{opened[0].files.split} too and are trained on. Predictions for the others are no whole submission.",
                stacklevel=2,
            )
        return _DividedTask(splits=opened, places=places)
