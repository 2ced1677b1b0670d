"""`tagpr-data`: LaMP's files, from where their authors keep them to where `data=lamp` finds them."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from tagpr.data.http_file import NotThereError, UnreachableError, fetch
from tagpr.data.json_files import iterate_json_list
from tagpr.data.lamp_files import OFFICIAL_SPLITS, read_outputs
from tagpr.errors import BadInputError, UserError
from tagpr.tasks import task_named

BASE_URL = "https://ciir.cs.umass.edu/downloads/LaMP"
FORMS = ("user", "time")

# Of the user-based form, as measured by people who loaded it: (task, split) -> questions, bytes of the questions.
MEASURED_COUNTS = {
    ("LaMP_1", "dev"): 2500,
    ("LaMP_2", "dev"): 692,
    ("LaMP_2N", "dev"): 1052,
    ("LaMP_3", "train"): 20000,
    ("LaMP_3", "dev"): 2500,
    ("LaMP_4", "train"): 12527,
    ("LaMP_4", "dev"): 1925,
    ("LaMP_5", "dev"): 2500,
    ("LaMP_7", "train"): 10437,
    ("LaMP_7", "dev"): 1500,
    ("LaMP_7", "test"): 1496,
}
MEASURED_BYTES = {
    ("LaMP_1", "dev"): 273_443_200,
    ("LaMP_2", "dev"): 9_493_217,
    ("LaMP_3", "dev"): 401_034_862,
    ("LaMP_5", "dev"): 272_410_629,
}


class UnexpectedSizeError(UserError):
    """A whole file, but not the one that was measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LampFile:
    """One file of LaMP.

    Args:
        kind: questions or outputs.
        count: items; None: not known.
        num_bytes: None: not known.
    """

    task: str
    split: str
    kind: str
    count: int | None
    num_bytes: int | None

    def path_in(self, folder: str) -> str:
        return f"{folder}/{self.split}/{self.split}_{self.kind}.json"


def folders_of(task: str, form: str) -> tuple[str, ...]:
    """Where a task's splits may be, below LaMP's address as below the root. The old LaMP-2 (news) kept its place, the
    movie task of the current paper is `new` beside it; where its time-based form is has not been seen."""
    if form == "user":
        return ({"LaMP_2": "LaMP_2/new", "LaMP_2N": "LaMP_2"}.get(task, task),)
    if task == "LaMP_2N":
        raise UserError("LaMP_2N has no time-based form. Use --split user.")
    return ("time/LaMP_2/new", "time/LaMP_2") if task == "LaMP_2" else (f"time/{task}",)


def files_of(task: str, form: str, splits: Sequence[str], *, any_count: bool) -> list[LampFile]:
    """A task's files, each split's small golds before its large questions."""
    measured = form == "user" and not any_count
    return [
        LampFile(
            task=task,
            split=split,
            kind=kind,
            count=MEASURED_COUNTS.get((task, split)) if measured else None,
            num_bytes=MEASURED_BYTES.get((task, split)) if measured and kind == "questions" else None,
        )
        for split in splits
        for kind in ("outputs", "questions")
    ]


# --- looking at a file -----------------------------------------------------------------------------------------------


def read_ids(file: LampFile, path: Path) -> set[str]:
    """The ids in a file.

    Raises:
        BadInputError: not such a file.
        UnexpectedSizeError: another number of items or bytes than was measured.
    """
    if file.kind == "questions":
        items = list(_question_ids(path))
    else:
        task = task_named(file.task)
        _, golds = read_outputs(path)
        items = list(golds)
        if items and not any(_is_gold(task.read_gold, gold) for gold in golds.values()):
            raise BadInputError(
                f"{path}: no gold of {file.task} in it, the first is {next(iter(golds.values()))!r:.60}."
            )
    num_bytes = path.stat().st_size
    for what, found, expected in (("items", len(items), file.count), ("bytes", num_bytes, file.num_bytes)):
        if expected is not None and found != expected:
            raise UnexpectedSizeError(
                f"{path}: {found:,} {what}, but {expected:,} were measured in LaMP's file. If LaMP has changed it, "
                "accept it with --any-count; if not, delete the file and load it again."
            )
    return set(items)


def _question_ids(path: Path) -> Iterator[str]:
    for position, item in enumerate(iterate_json_list(path)):
        if not isinstance(item, dict) or "id" not in item or "profile" not in item:
            raise BadInputError(f"{path}, item {position}: found {item!r:.60}, expected a question with its profile.")
        yield str(item["id"])


def _is_gold(read_gold: Callable[[Any], str], raw: Any) -> bool:
    try:
        read_gold(raw)
    except ValueError:
        return False
    return True


# --- a task ----------------------------------------------------------------------------------------------------------


def download_task(
    files: Sequence[LampFile], folders: Sequence[str], *, root: Path, base_url: str, say: Callable[[str], None]
) -> None:
    """Load what is missing below `root`, from the first of the folders that has the task, and look at all of it.

    Test golds may be missing: a leaderboard withholds them.
    """
    for last, folder in ((folder == folders[-1], folder) for folder in folders):
        try:
            _download_from(folder, files, root=root, base_url=base_url, say=say)
        except (NotThereError, BadInputError):
            if last:
                raise
            say(f"{folder}: not there")
        else:
            return


def _download_from(
    folder: str, files: Sequence[LampFile], *, root: Path, base_url: str, say: Callable[[str], None]
) -> None:
    ids: dict[tuple[str, str], set[str]] = {}
    for file in files:
        name = file.path_in(folder)
        path = root / name
        try:
            if not path.is_file():
                _fetch(f"{base_url}/{name}", file, path)
        except NotThereError:
            if (file.split, file.kind) != ("test", "outputs"):
                raise
            say(f"{name}: withheld; predictions for test can be written, not scored")
            continue
        ids[file.split, file.kind] = read_ids(file, path)
        say(f"{name}: {len(ids[file.split, file.kind]):,} items, {path.stat().st_size:,} bytes")
    for split in dict.fromkeys(file.split for file in files):
        golds, questions = ids.get((split, "outputs")), ids[split, "questions"]
        if golds is not None and golds != questions:
            raise UserError(
                f"{root / folder / split}: {len(golds ^ questions)} ids stand in one of the two files alone, expected "
                "the same ids in both. Delete them and load them again."
            )


def _fetch(url: str, file: LampFile, path: Path) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task(path.name, total=None)
        fetch(
            url,
            path,
            first_byte=b"[" if file.kind == "questions" else b"{",
            check=lambda part: _check(file, part),
            on_progress=lambda done, total: bar.update(shown, completed=done, total=total),
        )


def _check(file: LampFile, part: Path) -> None:
    read_ids(file, part)


# --- command line ----------------------------------------------------------------------------------------------------


def _task_name(given: str) -> str:
    name = task_named(f"LaMP_{given.upper()}" if given[:1].isdigit() else given).name
    if not name.startswith("LaMP_"):
        raise BadInputError(f"{name} is simulated: set data=simulated, there is nothing to load.")
    return name


def _by_hand(files: Sequence[LampFile], folders: Sequence[str], root: Path, base_url: str) -> str:
    """What to put where, for a machine without a connection."""
    names = [file.path_in(folders[0]) for file in files]
    missing = [name for name in names if not (root / name).is_file()]
    lines = [f"  {base_url}/{name}\n    -> {root / name}" for name in missing]
    return "Load these on a machine with a connection, put them there, and run the command again:\n" + "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `tagpr-data`. Returns 0; 2 where something has to be put right; 130 where it was interrupted."""
    parser = argparse.ArgumentParser(prog="tagpr-data", description="Get the data.")
    commands = parser.add_subparsers(dest="command", required=True)
    lamp = commands.add_parser("lamp", help="LaMP's files of one task", description="Load and check LaMP's files.")
    lamp.add_argument("--task", required=True, help="1, 2 (movies), 2N (news), 3, 4, 5 or 7")
    lamp.add_argument("--split", required=True, choices=FORMS, help="LaMP's form: user-based or time-based")
    lamp.add_argument("--root", required=True, type=Path, help="folder for all of LaMP")
    lamp.add_argument("--parts", nargs="+", default=list(OFFICIAL_SPLITS), choices=OFFICIAL_SPLITS)
    lamp.add_argument("--base-url", default=BASE_URL, help=f"another copy of {BASE_URL}")
    lamp.add_argument("--any-count", action="store_true", help="accept files of other sizes than the measured ones")
    arguments = parser.parse_args(argv)
    root, base_url = arguments.root.expanduser(), arguments.base_url.rstrip("/")
    try:
        if not re.match(r"https?://", base_url):
            raise UserError(f"--base-url {base_url}: expected an address that begins with https:// or http://.")
        task = _task_name(arguments.task)
        folders = folders_of(task, arguments.split)
        files = files_of(task, arguments.split, arguments.parts, any_count=arguments.any_count)
        try:
            download_task(files, folders, root=root, base_url=base_url, say=print)
        except UnreachableError as error:
            raise UserError(f"{error}\n{_by_hand(files, folders, root, base_url)}") from None
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped. Run the command again to go on from there.", file=sys.stderr)
        return 130
    print(
        f"Use it with: data=lamp data.root={root / 'time' if arguments.split == 'time' else root} data.tasks=[{task}]"
    )
    return 0
