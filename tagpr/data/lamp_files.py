"""LaMP-form files: where a task's files are, and what is in them, everything that can be wrong with them included.

A question is `{"id", "input", "profile": [...]}` with an optional `user_id`; golds are
`{"task", "golds": [{"id", "output"}]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagpr.data.json_files import iterate_json_list, read_json_input
from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS, Task, task_named
from tagpr.types import ProfileEntry

OFFICIAL_SPLITS = ("train", "dev", "test")
# Some copies of the data name the movie task after its place in the paper.
OTHER_NAMES = {"LaMP_2M": "LaMP_2"}
# In LaMP's own files the movie task and the news task bear one name.
OFFICIAL_NAMES = {"LaMP_2N": "LaMP_2"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitFiles:
    """The two files of one official split."""

    split: str
    questions: Path
    outputs: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class LampQuestion:
    """One question with its gold, before anybody is put into a split."""

    record_id: str
    user_id: str  # "" where the data names nobody
    official_split: str
    question: str
    query: str
    gold: str | None
    profile: tuple[ProfileEntry, ...]


# --- finding files ---------------------------------------------------------------------------------------------------


def find_splits(folder: Path) -> list[SplitFiles]:
    """Official splits in a folder: `{split}/{split}_questions.json` or `{split}_questions.json`, in official order.

    A split that is half there, or a folder or a dead link in a file's place, is found too, to be complained of by who
    reads it: left out in quiet it would change which people are tested.
    """
    found = []
    for split in OFFICIAL_SPLITS:
        for place in (folder / split, folder):
            questions, outputs = place / f"{split}_questions.json", place / f"{split}_outputs.json"
            if _is_there(questions) or _is_there(outputs):
                found.append(SplitFiles(split=split, questions=questions, outputs=outputs))
                break
    return found


def _is_there(path: Path) -> bool:
    return path.is_file() or path.is_dir() or path.is_symlink()


def find_task_folders(root: Path) -> list[Path]:
    """Folders that hold one task each: the root itself, or its subfolders; `LaMP_2/new` beside `LaMP_2`.

    Raises:
        BadInputError: no folder, or no questions in it.
    """
    if not root.is_dir():
        what = "is a file" if root.is_file() else "does not exist"
        raise BadInputError(f"{root}: {what}, expected a folder with LaMP's files. Set data.root=/path/to/LaMP.")
    if find_splits(root):
        return [place for place in (root, root / "new") if find_splits(place)]
    children = sorted(path for path in root.iterdir() if path.is_dir())
    folders = [place for child in children for place in (child, child / "new") if find_splits(place)]
    if not folders:
        raise BadInputError(
            f"{root}: no questions found. Expected {root / 'LaMP_3' / 'dev' / 'dev_questions.json'}, or "
            "dev_questions.json and dev_outputs.json (train_..., test_...) in the folder itself. Set data.root to the "
            "folder that holds them."
        )
    return folders


# --- reading files ---------------------------------------------------------------------------------------------------


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def _read_id(item: Mapping[str, Any], place: str) -> str:
    value = item.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise BadInputError(
            f"{place}: id is {_shown(item, 'id')}, expected a text or a whole number. Give every item its own id."
        )
    return _check_text(str(value), place)


def _shown(item: Mapping[str, Any], field: str) -> str:
    """A field as its file has it, shortened."""
    return f"{json.dumps(item[field]):.60}" if field in item else "missing"


def _check_text(text: str, place: str) -> str:
    """The text itself, if it can be written anywhere. JSON lets half a character through."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInputError(
            f"{place}: {text[error.start : error.end]!r} at character {error.start} is half a character (a lone "
            "surrogate). Remove it, or write the file again without cutting characters."
        ) from None
    return text


def read_outputs(path: Path) -> tuple[str | None, dict[str, Any]]:
    """The task's name (None where the file has none) and the output of each id, of golds or of predictions."""
    value = read_json_input(path)
    if not isinstance(value, dict) or not isinstance(value.get("golds"), list):
        fields = ", ".join(map(repr, list(value)[:5])) if isinstance(value, dict) else ""
        found = f"an object with {fields or 'nothing in it'}" if isinstance(value, dict) else f"{json.dumps(value):.40}"
        raise BadInputError(
            f'{path}: found {found}, expected {{"task": "LaMP_3", "golds": [{{"id": "...", "output": "..."}}]}}.'
        )
    outputs: dict[str, Any] = {}
    for position, item in enumerate(value["golds"]):
        if not isinstance(item, dict):
            raise BadInputError(
                f'{path}, gold {position}: found {item!r:.60}, expected {{"id": "...", "output": "..."}}.'
            )
        record_id = _read_id(item, f"{path}, gold {position}")
        if "output" not in item:
            raise BadInputError(f"{path}, id {record_id}: no output, only {', '.join(item)}. Every id needs one.")
        if record_id in outputs:
            raise BadInputError(
                f"{path}, id {record_id}: stands there twice. Ids must be unique; remove one of the two."
            )
        outputs[record_id] = item["output"]
    task = value.get("task")
    return (None if task is None else str(task)), outputs


def iterate_questions(path: Path) -> Iterator[dict[str, Any]]:
    """The questions of a file, one in memory at a time, each checked for id, input and profile."""
    seen: set[str] = set()
    for position, item in enumerate(iterate_json_list(path)):
        place = f"{path}, question {position}"
        if not isinstance(item, dict):
            raise BadInputError(f'{place}: found {item!r:.60}, expected {{"id", "input", "profile"}}.')
        record_id = item["id"] = _read_id(item, place)
        place = f"{path}, id {record_id}"
        if record_id in seen:
            raise BadInputError(f"{place}: stands there twice. Ids must be unique; remove one of the two questions.")
        seen.add(record_id)
        if not isinstance(item.get("input"), str) or not item["input"].strip():
            raise BadInputError(f"{place}: input is {_shown(item, 'input')}, expected the question's text.")
        if not isinstance(item.get("profile"), list):
            raise BadInputError(f"{place}: profile is {_shown(item, 'profile')}, expected a list (it may be empty).")
        yield item
    if not seen:
        raise BadInputError(f"{path}: the list of questions is empty.")


def task_by_name(name: str | None, files: SplitFiles, folder: Path) -> Task:
    """The task that an outputs file names, or its folder where it names none."""
    try:
        return task_named(OTHER_NAMES.get(name, name) if name is not None else folder.name)
    except BadInputError as error:
        if name is not None:
            raise BadInputError(f'{files.outputs}: its "task": {error}') from None
        raise BadInputError(
            f'{folder}: {error} The folder\'s name was taken, because no outputs file has a "task".'
        ) from None


def infer_task(name: str | None, files: SplitFiles, folder: Path) -> Task:
    """As `task_by_name`, and LaMP-2's two data sets, which bear one name, told apart by their profiles' fields."""
    task = task_by_name(name, files, folder)
    if task.name != "LaMP_2":
        return task
    profiles = (question["profile"] for question in iterate_questions(files.questions))
    fields = next((set(profile[0]) for profile in profiles if profile and isinstance(profile[0], dict)), set())
    return ALL_TASKS["LaMP_2N"] if "category" in fields and "tag" not in fields else task


def date_key(entry: ProfileEntry) -> tuple[int, ...] | None:
    """An entry's date as LaMP's scripts compare it: `2015-03-02` is (2015, 3, 2). None where it cannot be read."""
    try:
        return tuple(int(part) for part in entry.date.split("-"))
    except ValueError:
        return None


def oldest_first(profile: Sequence[ProfileEntry]) -> tuple[ProfileEntry, ...]:
    """The entries by date where all have one (`YYYY-MM-DD`, shorter, or a Unix time); in the file's order where not."""
    if not all(entry.date for entry in profile):
        return tuple(profile)
    keys = [date_key(entry) for entry in profile]
    if None in keys:
        return tuple(profile)
    order = sorted(range(len(profile)), key=lambda i: (keys[i], i))
    return tuple(profile[i] for i in order)


def _read_entry(task: Task, raw: Any, place: str) -> ProfileEntry:
    if not isinstance(raw, dict):
        raise BadInputError(f"{place}: found {raw!r:.60}, expected an object with the task's fields.")
    try:
        entry = task.entry(raw)
    except ValueError as error:
        raise BadInputError(f"{place}: {error} (read as {task.name}; is this the right task for the file?).") from None
    for text in (entry.input, entry.response, entry.title, entry.entry_id, entry.date):
        _check_text(text, place)
    return entry


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenSplit:
    """One official split whose golds are read and whose questions, which may be many gigabytes, are yet to be."""

    files: SplitFiles
    task: Task
    golds: Mapping[str, Any] | None  # as in the file; None: withheld

    def questions(self) -> Iterator[LampQuestion]:
        """Every question with its gold, in the file's order, one in memory at a time.

        Raises:
            BadInputError: whatever is wrong, with file and id, where it is met.
        """
        golds, outputs = self.golds, self.files.outputs
        ids: set[str] = set()
        without_gold = []
        for raw in iterate_questions(self.files.questions):
            ids.add(raw["id"])
            if golds is not None and raw["id"] not in golds:
                without_gold.append(raw["id"])
            else:
                yield self._question(raw)
        if without_gold:
            raise BadInputError(
                f"{self.files.questions}: {len(without_gold)} of {len(ids)} questions have no gold in "
                f"{outputs.name}: {_some(without_gold)}. The two files must hold the same ids."
            )
        without_question = [record_id for record_id in golds or () if record_id not in ids]
        if without_question:
            raise BadInputError(
                f"{outputs}: {len(without_question)} of {len(golds or ())} golds have no question in "
                f"{self.files.questions.name}: {_some(without_question)}. The two files must hold the same ids."
            )

    def _question(self, raw: Mapping[str, Any]) -> LampQuestion:
        record_id = raw["id"]
        place = f"{self.files.questions}, id {record_id}"
        question = _check_text(raw["input"], place)
        profile = [_read_entry(self.task, item, f"{place}, profile entry {i}") for i, item in enumerate(raw["profile"])]
        return LampQuestion(
            record_id=_check_text(record_id, place),
            user_id=_read_user(raw, place),
            official_split=self.files.split,
            question=question,
            query=self.task.read_question(question).query,
            gold=self._gold(record_id),
            profile=oldest_first(profile),
        )

    def _gold(self, record_id: str) -> str | None:
        if self.golds is None:
            return None
        place = f"{self.files.outputs}, id {record_id}"
        try:
            gold = self.task.read_gold(self.golds[record_id])
        except ValueError as error:
            raise BadInputError(f"{place}: {error} (read as {self.task.name}).") from None
        return _check_text(gold, place)


def _read_user(raw: Mapping[str, Any], place: str) -> str:
    value = raw.get("user_id")
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadInputError(f"{place}: user_id is {_shown(raw, 'user_id')}, expected a text or a whole number.")
    return _check_text(str(value).strip(), place)


def open_split(
    files: SplitFiles, folder: Path, *, golds_optional: bool = False, beside: str | None = None
) -> OpenSplit:
    """One official split, its golds read.

    Args:
        folder: its name is the task's where no golds name it.
        golds_optional: LaMP withholds those of its test set.
        beside: the task's name in another split's golds, where this one's are withheld.
    Raises:
        BadInputError: no golds, damaged golds, no such task.
    """
    if _is_there(files.outputs):
        name, golds = read_outputs(files.outputs)
    elif golds_optional:
        name, golds = beside, None
    else:
        raise BadInputError(
            f"{files.questions}: its golds are missing, expected {files.outputs}. Put the file there, or take the "
            "questions away."
        )
    return OpenSplit(files=files, task=infer_task(name, files, folder), golds=golds)


def read_split(files: SplitFiles, folder: Path) -> tuple[Task, list[LampQuestion]]:
    """The questions of one official split with their golds, all at once. Raises BadInputError."""
    split = open_split(files, folder)
    return split.task, list(split.questions())
