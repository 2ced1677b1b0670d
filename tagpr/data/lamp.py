"""Records from LaMP-form folders, LaMP's own or anybody's: people named, split, and their questions given a purpose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tagpr.data.lamp_files import (
    OFFICIAL_SPLITS,
    LampQuestion,
    SplitFiles,
    find_splits,
    find_task_folders,
    read_outputs,
    read_split,
    task_by_name,
)
from tagpr.data.source import RecordSource
from tagpr.data.splits import Fold, assign_purposes, divide, leak_groups
from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS, task_named
from tagpr.types import SPLITS, Record


def name_people(questions: Sequence[LampQuestion]) -> list[LampQuestion]:
    """Every question with a `user_id`: the data's own, or the profile-overlap group where the data names nobody."""
    if all(question.user_id for question in questions):
        return list(questions)
    items = [
        {hash((entry.input, entry.response)) for entry in question.profile} | {hash((question.query, question.gold))}
        for question in questions
    ]
    groups = leak_groups(items)
    return [
        question if question.user_id else replace(question, user_id=f"author_of_{questions[group].record_id}")
        for question, group in zip(questions, groups, strict=True)
    ]


def assign_splits(
    questions: Sequence[LampQuestion], people_shares: Mapping[str, float], fold: Fold, *, seed: int
) -> dict[tuple[str, str], str]:
    """Which of our splits each question stands in; "" where it is left out so that nobody is in two.

    Two official splits with different people: the first one's people become train and dev (selection happens on people
    held out of *train*), the second's are test. One split, or two that share people (LaMP's time-based form): all
    people are divided; train people then keep their earlier questions, dev and test people their later ones.

    Returns:
        (official split, record id) -> train, dev, test or "".
    Raises:
        BadInputError: folds of people whom the official splits have divided already.
    """
    official = [split for split in OFFICIAL_SPLITS if any(q.official_split == split for q in questions)][:2]
    people = {split: {q.user_id for q in questions if q.official_split == split} for split in official}
    first = official[0]
    if len(official) == 2 and not people[first] & people[official[1]]:
        if fold.count is not None:
            raise BadInputError(
                f"data.folds={fold.count}, but the people of {first} and {official[1]} are different ones: those of "
                f"{official[1]} are tested. Leave data.folds=null, or give a folder with one of the two."
            )
        shares = {name: share for name, share in people_shares.items() if name != "test"}
        part = divide(sorted(people[first]), shares, seed=seed, stream="people")
        part.update(dict.fromkeys(people[official[1]], "test"))
        source = {"train": first, "dev": first, "test": official[1]}
    else:
        part = fold.divide(sorted(set().union(*people.values())), people_shares, seed=seed)
        source = {"train": first, "dev": official[-1], "test": official[-1]}
    return {
        (q.official_split, q.record_id): (part[q.user_id] if source[part[q.user_id]] == q.official_split else "")
        for q in questions
        if q.official_split in official
    }


class LampSource(RecordSource):
    """LaMP-form folders as records.

    Real people keep their splits from run to run: `data.seed` is a number in conf/data/lamp.yaml, not the run's seed.

    Args:
        root: a folder with one folder per task, or with one task's files.
        tasks: the tasks to read; empty: every one that is there.
        people_shares: shares of train, dev and test people.
        folds, fold: of how many folds of people the test people are which one; None: no folds.
        question_shares: shares of sft, pairs and rl among the questions of train people.
    """

    def __init__(
        self,
        *,
        root: str,
        tasks: Sequence[str],
        people_shares: Mapping[str, float],
        folds: int | None,
        fold: int,
        question_shares: Mapping[str, float],
    ) -> None:
        self.root = Path(root).expanduser()
        self.tasks = tuple(task_named(name).name for name in tasks)
        self.people_shares = dict(people_shares)
        self.fold = Fold(count=folds, index=fold)
        self.question_shares = dict(question_shares)

    def files(self) -> list[Path]:
        """Questions and golds of every split that `records` reads."""
        splits = [split for folder in self._folders() for split in self._splits(folder)]
        return [path for split in splits for path in (split.questions, split.outputs)]

    def records(self, *, seed: int) -> list[Record]:
        by_task: dict[str, list[LampQuestion]] = {}
        folders: dict[str, Path] = {}
        for folder in self._folders():
            for files in self._splits(folder):
                task, questions = read_split(files, folder)
                if folders.setdefault(task.name, folder) != folder:
                    raise BadInputError(
                        f"{folder}: holds {task.name}, and so does {folders[task.name]}. Take one away, or correct the "
                        '"task" in its outputs file.'
                    )
                by_task.setdefault(task.name, []).extend(questions)
        missing = [name for name in self.tasks if name not in by_task]
        if missing:
            found = ", ".join(by_task) or "other tasks only"
            raise BadInputError(f"{self.root}: no {', '.join(missing)} there, found {found}. Set data.tasks to these.")
        chosen = [name for name in ALL_TASKS if name in (self.tasks or by_task)]
        return [
            record
            for name in chosen
            for record in self._task_records(
                name, by_task[name], folders[name], seed=seed, several_tasks=len(chosen) > 1
            )
        ]

    def _splits(self, folder: Path) -> list[SplitFiles]:
        """The first two splits: LaMP's test set is not read where train and dev are there, or where it has no golds."""
        found = find_splits(folder)
        with_golds = [files for files in found if files.split != "test" or files.outputs.is_file()]
        return (with_golds or found)[:2]

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
        outputs = self._splits(folder)[0].outputs
        name = task_by_name(read_outputs(outputs)[0] if outputs.is_file() else None, folder).name
        return "LaMP_2" if name == "LaMP_2N" else name

    def _task_records(
        self, task_name: str, questions: list[LampQuestion], folder: Path, *, seed: int, several_tasks: bool
    ) -> list[Record]:
        questions = name_people(questions)
        if several_tasks:
            # LaMP numbers its users anew for each task: user 5 of two tasks is two people.
            questions = [replace(q, user_id=f"{task_name}/{q.user_id}") for q in questions]
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
        return [
            Record(
                record_id=q.record_id,
                user_id=q.user_id,
                task=task_name,
                split=split,
                purpose=purposes[q.user_id, q.record_id] if split == "train" else split,
                question=q.question,
                query=q.query,
                gold=q.gold,
                profile=q.profile,
                retrieved=(),
            )
            for q in questions
            if (split := splits[q.official_split, q.record_id])
        ]
