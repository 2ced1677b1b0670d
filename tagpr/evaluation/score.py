"""`tagpr-score`: the official metrics of anybody's predictions in LaMP's form. Needs no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tagpr.data.lamp_files import read_outputs
from tagpr.errors import BadInputError, UserError
from tagpr.storage import write_json
from tagpr.tasks import Task, task_named


def read_scored_files(task: Task, predictions: Path, golds: Path) -> tuple[list[str], list[str], list[str]]:
    """Ids, answers and golds of two files, in the golds' order.

    Raises:
        BadInputError: the files hold different ids, or a gold that the task does not know.
    """
    _, answer_of = read_outputs(predictions)
    _, raw_golds = read_outputs(golds)
    missing = [record_id for record_id in raw_golds if record_id not in answer_of]
    extra = [record_id for record_id in answer_of if record_id not in raw_golds]
    if missing or extra or not raw_golds:
        raise BadInputError(
            f"{predictions}: {len(missing)} of the {len(raw_golds)} golds have no prediction (first: {missing[:3]}), "
            f"and {len(extra)} predictions have no gold (first: {extra[:3]}). Both files must hold the same ids, and "
            "at least one."
        )
    gold_of = {}
    for record_id, raw in raw_golds.items():
        try:
            gold_of[record_id] = task.read_gold(raw)
        except ValueError as error:
            raise BadInputError(f"{golds}, id {record_id}: {error}. Is {task.name} the right task?") from None
    answers = []
    for record_id in gold_of:
        answer = answer_of[record_id]
        if isinstance(answer, bool) or not isinstance(answer, str | int | float):
            raise BadInputError(f"{predictions}, id {record_id}: output is {answer!r:.60}, expected a text.")
        answers.append(str(answer))
    return list(gold_of), answers, list(gold_of.values())


def score_answers(task: Task, answers: Sequence[str], golds: Sequence[str]) -> dict[str, Any]:
    """The content of scores.json: metrics of the answers as they stand, and as a forgiving reader finds them."""
    lenient = [task.lenient(answer) for answer in answers]
    return {
        "task": task.name,
        "num_items": len(golds),
        "num_unparsable": sum(not task.is_valid(answer) for answer in answers),
        "metrics": task.metrics(answers, golds),
        "lenient": {
            "num_unparsable": sum(not task.is_valid(answer) for answer in lenient),
            "metrics": task.metrics(lenient, golds),
        },
    }


def table(scores: dict[str, Any]) -> str:
    """The scores as aligned text."""
    lenient = scores["lenient"]
    rows = [(scores["task"], "official", "lenient")]
    rows += [(name, f"{value:.4f}", f"{lenient['metrics'][name]:.4f}") for name, value in scores["metrics"].items()]
    rows.append(("unparsable", str(scores["num_unparsable"]), str(lenient["num_unparsable"])))
    rows.append(("items", str(scores["num_items"]), str(scores["num_items"])))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}" for row in rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `tagpr-score`. Returns 0, or 2 where the input is not what it should be."""
    parser = argparse.ArgumentParser(prog="tagpr-score", description="Score predictions in LaMP's form.")
    parser.add_argument("--task", required=True, help="LaMP_1 .. LaMP_7, LaMP_2N for news")
    parser.add_argument("--predictions", required=True, type=Path, help='{"task", "golds": [{"id", "output"}]}')
    parser.add_argument("--golds", required=True, type=Path, help="the official outputs file")
    parser.add_argument("--out", type=Path, help="write the scores there as JSON")
    arguments = parser.parse_args(argv)
    try:
        task = task_named(arguments.task)
        _, answers, golds = read_scored_files(task, arguments.predictions, arguments.golds)
        scores = score_answers(task, answers, golds)
        if arguments.out:
            try:
                write_json(arguments.out, scores)
            except OSError as error:
                raise UserError(f"{arguments.out}: cannot be written ({error.strerror}).") from None
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(scores))
    return 0
