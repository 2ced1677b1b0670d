"""`tagpr-prmu`: a trained PRMU for other people's answers, its facts, and its diagnostics page."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from tagpr.errors import UserError
from tagpr.prmu.card import PROFILING

ANSWERS = """\
answers, a JSON object a line:
  {"user_id": "ann", "task": "S2", "query": "a calm hall", "answer": "quiet"}
  {"user_id": "ann", "task": "S2", "query": "a calm hall", "answers": ["quiet", "lively"]}
histories, a JSON object a line, oldest entry first ("task" may be there too, where a person has several pasts):
  {"user_id": "ann", "history": [{"input": "a pier at dusk", "output": "quiet"}]}
output, a line for each line of the answers: its own fields and
  score or scores   R(u, x, y); only differences between answers of one person to one question mean something
  log_odds          the same in calibrated log-odds; null where the model was never calibrated
  probabilities     of "answers": the chance of each to be the one that the person likes best
  num_entries       entries of the person's past that were read
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `tagpr-prmu`. Returns 0; 2 where something has to be put right; 130 where it was interrupted."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "score":
            _score(arguments)
        elif arguments.command == "card":
            _card(arguments.model)
        else:
            _page(arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tagpr-prmu", description="A trained personal reward model (PRMU).", epilog=PROFILING
    )
    commands = parser.add_subparsers(dest="command", required=True)
    score = commands.add_parser(
        "score", help="score other people's answers", epilog=f"{ANSWERS}\n{PROFILING}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    where = "a run's folder, runs/cache/prmu/<fingerprint>, or its model folder"
    score.add_argument("--model", type=Path, required=True, metavar="DIR", help=where)
    score.add_argument("--input", type=Path, required=True, metavar="FILE", help="answers, JSON lines")
    score.add_argument("--histories", type=Path, required=True, metavar="FILE", help="people's pasts, JSON lines")
    score.add_argument("--output", type=Path, required=True, metavar="FILE", help="scores, JSON lines")
    score.add_argument("--task", help="the task of lines that name none, e.g. LaMP_3")
    score.add_argument("--chunk", type=int, default=256, help="lines held in memory at a time (256)")
    card = commands.add_parser("card", help="what is known of a model", epilog=PROFILING)
    card.add_argument("model", type=Path, metavar="DIR", help=where)
    page = commands.add_parser(
        "page", help="one HTML page: how well the model knows people, and where it does not", epilog=PROFILING
    )
    page.add_argument("place", type=Path, metavar="DIR", help="a run's folder, or runs/cache/prmu/<fingerprint>")
    page.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the page, e.g. prmu.html")
    for command in (score, page):
        command.add_argument("--device", default="cpu", help="where the model is asked: cpu, cuda, ... (cpu)")
    page.add_argument("--people", type=int, default=200, help="most people looked at of those unseen (200)")
    return parser


def _score(arguments: argparse.Namespace) -> None:
    from tagpr.prmu.stage_folder import find_prmu

    folder = find_prmu(arguments.model).model
    _check_output(arguments.output)
    if arguments.chunk < 1:
        raise UserError(f"--chunk is {arguments.chunk}, expected at least 1.")
    total = _count_lines(arguments.input)
    from transformers.utils import logging

    from tagpr.console import TerminalProgress
    from tagpr.lm.device import check_device
    from tagpr.prmu.model import PrmuModel
    from tagpr.prmu.score_answers import score_file

    check_device(arguments.device, setting=f"--device {arguments.device}", instead="--device cpu")
    logging.disable_progress_bar()  # there is one of ours
    view = TerminalProgress()
    bar = view.start("scoring", total)
    try:
        number = score_file(
            PrmuModel.from_pretrained(folder, device=arguments.device),
            answers=arguments.input,
            histories=arguments.histories,
            output=arguments.output,
            task=arguments.task,
            chunk=arguments.chunk,
            advance=lambda steps: view.advance(bar, steps, ""),
        )
    finally:
        view.stop(bar)
    print(f"{arguments.output}: {number} lines", file=sys.stderr)


def _card(place: Path) -> None:
    from tagpr.prmu.facts import facts
    from tagpr.prmu.stage_folder import find_prmu

    found = find_prmu(place)
    written = found.model / "README.md"
    if written.is_file():
        print(written.read_text(encoding="utf-8"))
    for name, value in facts(found).items():
        print(f"{name}: {value}")
    print(f"risk: {PROFILING}")


def _page(arguments: argparse.Namespace) -> None:
    from tagpr.prmu.stage_folder import find_prmu

    _check_output(arguments.out)
    if arguments.people < 1:
        raise UserError(f"--people is {arguments.people}, expected at least 1.")
    found = find_prmu(arguments.place)
    found.manifest()
    from transformers.utils import logging

    # A command stands above all rooms: what is measured and drawn belongs to later ones.
    from tagpr.analysis.prmu_page import prmu_page
    from tagpr.console import TerminalProgress
    from tagpr.evaluation.prmu_diagnosis import PARTS, diagnose
    from tagpr.lm.device import check_device

    check_device(arguments.device, setting=f"--device {arguments.device}", instead="--device cpu")
    view = TerminalProgress()
    bar = view.start("measuring", len(PARTS))
    logging.disable_progress_bar()  # there is one of ours
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of libraries; nothing that a reader of the page can mend
            diagnosis = diagnose(
                found, max_people=arguments.people, device=arguments.device,
                advance=lambda steps, note: view.advance(bar, steps, note),
            )  # fmt: skip
    finally:
        view.stop(bar)
    arguments.out.write_text(prmu_page(diagnosis), encoding="utf-8")
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB", file=sys.stderr)


def _check_output(path: Path) -> None:
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f"the output is {path}, expected a file in a folder that is there.")


def _count_lines(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(1 for line in file if line.strip())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from None
