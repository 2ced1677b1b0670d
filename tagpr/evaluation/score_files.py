"""Predictions and golds in LaMP's form, checked against each other and against the task."""

from __future__ import annotations

from pathlib import Path

from tagpr.data.lamp_files import OTHER_NAMES, read_outputs
from tagpr.errors import BadInputError
from tagpr.tasks import Task


def _check_task(task: Task, named: str | None, path: Path) -> None:
    if named is None:
        return
    fits = OTHER_NAMES.get(named, named) == task.name or (named == "LaMP_2" and task.name == "LaMP_2N")
    if not fits:
        raise BadInputError(
            f'{path}: its "task" is {named!r:.60}, --task is {task.name}. Set --task to the files\' task, or give '
            "the task's files."
        )


def read_golds(task: Task, path: Path) -> dict[str, str]:
    """The gold of each id. Raises BadInputError for another task's file, an empty one, and golds the task lacks."""
    named, raw_golds = read_outputs(path)
    _check_task(task, named, path)
    if not raw_golds:
        raise BadInputError(f"{path}: holds no golds, expected at least one.")
    golds = {}
    for record_id, raw in raw_golds.items():
        try:
            golds[record_id] = task.read_gold(raw)
        except ValueError as error:
            raise BadInputError(f"{path}, id {record_id}: {error}. Is {task.name} the right task?") from None
    return golds


def read_answers(task: Task, path: Path, golds: dict[str, str]) -> list[str]:
    """One answer per gold, in the golds' order. Raises BadInputError where the ids are not the golds'."""
    named, outputs = read_outputs(path)
    _check_task(task, named, path)
    missing = [record_id for record_id in golds if record_id not in outputs]
    extra = [record_id for record_id in outputs if record_id not in golds]
    if missing or extra:
        raise BadInputError(
            f"{path}: {len(missing)} of the {len(golds)} golds have no prediction (first: {missing[:3]}), and "
            f"{len(extra)} predictions have no gold (first: {extra[:3]}). Both files must hold the same ids."
        )
    answers = []
    for record_id in golds:
        answer = outputs[record_id]
        if isinstance(answer, bool) or not isinstance(answer, str | int | float):
            raise BadInputError(f"{path}, id {record_id}: output is {answer!r:.60}, expected a text.")
        answers.append(str(answer))
    return answers
