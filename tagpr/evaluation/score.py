"""`tagpr-score`: official metrics, intervals and paired comparison of anybody's LaMP predictions. Needs no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tagpr.errors import UserError
from tagpr.evaluation.leaks import each_its_own, read_people
from tagpr.evaluation.score_files import read_answers, read_golds
from tagpr.evaluation.score_report import report, table
from tagpr.storage import write_json
from tagpr.tasks import ALL_TASKS, task_named


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tagpr-score",
        description="Score predictions in LaMP's form: official metrics with 95 % intervals by person.",
    )
    parser.add_argument("--task", required=True, help=", ".join(ALL_TASKS))
    parser.add_argument("--predictions", required=True, type=Path, help='{"task", "golds": [{"id", "output"}]}')
    parser.add_argument("--golds", required=True, type=Path, help="the official outputs file")
    parser.add_argument("--vs", type=Path, help="another system's predictions: a paired comparison")
    parser.add_argument("--questions", type=Path, help="the official questions file: who asked what, and leaks")
    parser.add_argument("--out", type=Path, help="write the scores there as JSON")
    parser.add_argument("--resamples", type=_positive, default=10_000, help="of people (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (default: %(default)s)")
    return parser


def _check_out(out: Path, inputs: Sequence[Path | None]) -> None:
    """Raises UserError now for what would otherwise fail, or overwrite, after the work."""
    if out.is_dir():
        raise UserError(f"{out}: is a folder, expected a file to write, such as {out / 'scores.json'}.")
    for path in inputs:
        if path is not None and out.exists() and path.exists() and out.samefile(path):
            raise UserError(f"{out}: is the input {path}, and would be overwritten. Give --out another name.")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `tagpr-score`. Returns 0, or 2 where the input is not what it should be."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.seed < 0:
            raise UserError(f"--seed {arguments.seed}: expected 0 or more.")
        inputs = (arguments.predictions, arguments.golds, arguments.vs, arguments.questions)
        if arguments.out:
            _check_out(arguments.out, inputs)
        task = task_named(arguments.task)
        golds = read_golds(task, arguments.golds)
        answers = read_answers(task, arguments.predictions, golds)
        vs = (read_answers(task, arguments.vs, golds), arguments.vs) if arguments.vs else None
        people = read_people(task, arguments.questions, arguments.golds) if arguments.questions else each_its_own(golds)
        scores = report(
            task,
            golds=golds,
            answers=answers,
            path=arguments.predictions,
            vs=vs,
            people=people,
            num_resamples=arguments.resamples,
            seed=arguments.seed,
        )
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
