"""`tagpr-explore`: chains on one HTML page, a run's answers or an RL stage's rollouts with their rewards."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tagpr.errors import UserError

_EPILOG = """examples:
  tagpr-explore runs/demo/full/seed_0-1a2b3c4d                    30 questions at random, every trained row
  tagpr-explore runs/demo --rows sft,rl_guided --only lost        where RL made it worse (of several runs the newest)
  tagpr-explore runs/cache/rl_guided/FINGERPRINT --only misled    where the reward paid for the wrong answer
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `tagpr-explore`. Returns 0; 2 where something has to be put right; 130 if interrupted."""
    arguments = _parser().parse_args(argv)
    try:
        _write(arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except FileNotFoundError as error:
        print(f"{error}. Run the same `tagpr` command again: what is gone is computed anew.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tagpr-explore", description="Chains with coloured tags beside the history that they cite, on one page.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    where = "a run's folder or one above it, or an RL stage's: runs/cache/rl_<stage>/<fingerprint>"
    parser.add_argument("place", type=Path, metavar="DIR", help=where)
    parser.add_argument("-o", "--out", type=Path, default=Path("explore.html"), help="the page (explore.html)")
    parser.add_argument("--rows", help="rows of the run's table, first to last (every row whose policy was trained)")
    parser.add_argument("--decoding", help="which answers of a run (greedy)")
    parser.add_argument("--questions", type=int, default=30, metavar="N", help="how many, or groups of rollouts (30)")
    parser.add_argument("--task", help="of one task alone, e.g. S2")
    parser.add_argument(
        "--only", metavar="FILTER", help="those of one kind alone: wrong, disagree, ...; the page lists all"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice (0)")
    return parser


def _write(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise UserError(f"the output is {out}, expected a file in a folder that is there.")
    if arguments.questions < 1:
        raise UserError(f"--questions is {arguments.questions}, expected at least 1.")
    chosen = {"number": arguments.questions, "seed": arguments.seed, "task": arguments.task, "only": arguments.only}
    # Torch: not before the arguments are in order.
    from tagpr.analysis.explorer.page import explorer_page
    from tagpr.analysis.runs import find_runs

    place: Path = arguments.place
    if (place / "manifest.json").is_file():
        from tagpr.analysis.explorer.paid import read_paid, read_stage

        if arguments.rows or arguments.decoding:
            raise UserError("--rows and --decoding are for a run's folder: an RL stage has one policy, which samples.")
        exhibit = read_paid(read_stage(place.resolve()), **chosen)
    else:
        from tagpr.analysis.explorer.answers import read_answers

        run = max(find_runs(place), key=lambda one: (one.folder / "run.json").stat().st_mtime)
        rows = [name.strip() for name in arguments.rows.split(",")] if arguments.rows else None
        print(f"run: {run.folder}", file=sys.stderr)
        exhibit = read_answers(run, rows=rows, decoding=arguments.decoding or "greedy", **chosen)
    page = explorer_page(exhibit)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}). Give another file with --out.") from None
    print(f"{out}: {len(exhibit.cards)} {exhibit.unit}, {out.stat().st_size / 1000:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
