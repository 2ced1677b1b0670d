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
from tagpr.data.leaks import entry_hashes, text_hash
from tagpr.data.source import RecordSource
from tagpr.data.splits import assign_purposes, divide, leak_groups
from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS, task_named
from tagpr.types import SPLITS, Record


def name_people(questions: Sequence[LampQuestion]) -> list[LampQuestion]:
    """Every question with a `user_id`: the data's own, or the profile-overlap group where the data names nobody.

    Ids whose profiles are nearly the same are one person, called by the first of them: else their questions' golds
    would stand in one another's profiles across splits.
    """
    items = [
        {entry_hashes(entry)[0] for entry in question.profile} | {text_hash(question.query, question.gold)}
        for question in questions
    ]
    groups = leak_groups(items, [question.user_id for question in questions])
    name_of: dict[int, str] = {}
    for question, group in zip(questions, groups, strict=True):
        if question.user_id:
            name_of.setdefault(group, question.user_id)
    return [
        replace(question, user_id=name_of.get(group) or f"author_of_{questions[group].record_id}")
        for question, group in zip(questions, groups, strict=True)
    ]


def shared_ids(given: Sequence[LampQuestion], named: Sequence[LampQuestion]) -> dict[str, list[str]]:
    """Person -> the ids that the data give them, for those who have several."""
    ids: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for before, after in zip(given, named, strict=True):
        if before.user_id:
            ids[after.user_id][before.user_id] = None
    return {person: list(several) for person, several in ids.items() if len(several) > 1}


def assign_splits(
    questions: Sequence[LampQuestion], people_shares: Mapping[str, float], *, seed: int
) -> dict[tuple[str, str], str]:
    """Which of our splits each question stands in; "" where it is left out so that nobody is in two.

    Two official splits with different people: the first one's people become train and dev (selection happens on people
    held out of *train*), the second's are test; the few that profile overlap finds in both are test alone. One split,
    or two that share people (LaMP's time-based form): all people are divided; train people then keep their earlier
    questions, dev and test people their later ones.

    Returns:
        (official split, record id) -> train, dev, test or "".
    """
    official = [split for split in OFFICIAL_SPLITS if any(q.official_split == split for q in questions)][:2]
    people = {split: {q.user_id for q in questions if q.official_split == split} for split in official}
    first = official[0]
    if len(official) == 2 and 2 * len(people[first] & people[official[1]]) < len(people[official[1]]):
        shares = {name: share for name, share in people_shares.items() if name != "test"}
        part = divide(sorted(people[first] - people[official[1]]), shares, seed=seed, stream="people")
        part.update(dict.fromkeys(people[official[1]], "test"))
        source = {"train": first, "dev": first, "test": official[1]}
    else:
        part = divide(sorted(set().union(*people.values())), people_shares, seed=seed, stream="people")
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
        question_shares: shares of sft, pairs and rl among the questions of train people.
        drop_golds_from: purposes whose profiles lose the golds of other splits and purposes (tagpr.data.leaks).
    """

    def __init__(
        self,
        *,
        root: str,
        tasks: Sequence[str],
        people_shares: Mapping[str, float],
        question_shares: Mapping[str, float],
        drop_golds_from: Sequence[str],
    ) -> None:
        self.root = Path(root).expanduser()
        self.tasks = tuple(task_named(name).name for name in tasks)
        self.people_shares = dict(people_shares)
        self.question_shares = dict(question_shares)
        self.drop_golds_from = tuple(drop_golds_from)
        self._shared_ids: dict[str, list[str]] = {}

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

    def shared_ids(self) -> dict[str, list[str]]:
        return self._shared_ids

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
        given, questions = questions, name_people(questions)
        several_ids = shared_ids(given, questions)
        if several_tasks:
            # LaMP numbers its users anew for each task: user 5 of two tasks is two people.
            questions = [replace(q, user_id=f"{task_name}/{q.user_id}") for q in questions]
            several_ids = {f"{task_name}/{person}": ids for person, ids in several_ids.items()}
        self._shared_ids |= several_ids
        splits = assign_splits(questions, self.people_shares, seed=seed)
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
