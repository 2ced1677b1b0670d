"""`tagpr-world`: the simulated world by itself, for its gate report, its page and for others to use."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tagpr.data.simulated.source import SimulatedSource
from tagpr.errors import UserError
from tagpr.types import SPLITS, Record


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `tagpr-world`. Returns 0; 2 where something has to be put right; 130 where it was interrupted."""
    parser = argparse.ArgumentParser(prog="tagpr-world", description="Build the simulated world.")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="every gate and baseline of a world, in Markdown")
    report.add_argument("--out", type=Path, help="a file for the report; without it, it is printed")
    export = commands.add_parser("export", help="a folder for the datasets library, with LaMP's form beside it")
    export.add_argument("--out", type=Path, required=True, help="a new folder")
    page = commands.add_parser("page", help="one HTML page: families, people looked at closely, gates")
    page.add_argument("--out", type=Path, required=True, help="a file for the page, e.g. world.html")
    for command in (report, export, page):
        command.add_argument("--size", default="small", help="one of data.sizes: smoke, demo, small, full")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("settings", nargs="*", help="any key of conf/data/simulated.yaml, e.g. data.noise=0.1")
    arguments = parser.parse_args(argv)
    try:
        source = compose_source([f"data.size={arguments.size}", *arguments.settings])
        if arguments.command == "report":
            text = _report(source, arguments.seed)
            if arguments.out:
                arguments.out.write_text(text, encoding="utf-8")
            else:
                print(text)
        elif arguments.command == "page":
            _write_page(source, arguments.seed, arguments.out)
        else:
            from tagpr.data.simulated.export import export_folder

            records = _drawn(source, arguments.seed)
            source.figures(records)
            export_folder(records, arguments.out, card=source.card(records))
            print(f"{arguments.out}: {', '.join(f'{k} {v}' for k, v in source.version(records).items())}")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def compose_source(settings: Sequence[str]) -> SimulatedSource:
    """The source as a run would build it from conf/data/simulated.yaml and these overrides. Raises UserError."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from tagpr.compose import composed

    data = composed(["data=simulated", *settings]).data
    if missing := sorted(OmegaConf.missing_keys(data)):
        raise UserError(f"data.{missing[0]} has no value. Give one, or leave the setting away.")
    node = OmegaConf.to_container(data)
    assert isinstance(node, dict), "data is a mapping"
    node.pop("seed")  # given to `records`
    try:
        return instantiate(OmegaConf.create(node), _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise


def _drawn(source: SimulatedSource, seed: int) -> list[Record]:
    from tagpr.console import TerminalProgress

    view = TerminalProgress()
    bar = view.start("people", sum(source.people[split] for split in SPLITS))
    began = time.perf_counter()
    records = source.draw(seed=seed, advance=lambda people: view.advance(bar, people, ""))
    view.stop(bar)
    seconds = time.perf_counter() - began
    people = sum(source.people.values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = f"{people / seconds:.0f} people/s, {memory:.0f} MiB"
    print(f"{people} people, {len(records)} questions in {seconds:.0f} s: {rate}", file=sys.stderr)
    return records


def _write_page(source: SimulatedSource, seed: int, out: Path) -> None:
    """The page, missed gates included: it says so."""
    # A command stands above all rooms: here it hands the world to the last one.
    from tagpr.analysis.world_page import world_page

    if out.is_dir() or not out.parent.is_dir():
        raise UserError(f"--out is {out}, expected a file in a folder that is there, such as world.html.")
    records = _drawn(source, seed)
    version = source.version(records)
    text = world_page(records, source.gates(records), version=version, size=source.size, seed=seed)
    out.write_text(text, encoding="utf-8")
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB, {', '.join(f'{k} {v}' for k, v in version.items())}")


def _report(source: SimulatedSource, seed: int) -> str:
    """The report, missed gates included: this is where one looks at them."""
    from tagpr.console import TerminalProgress
    from tagpr.data.simulated.report import write_report

    records = _drawn(source, seed)
    gates = source.gates(records)
    view = TerminalProgress()
    bar = view.start("tasks", len(source.tasks))
    title = f"{', '.join(f'{k} ({v[:16]})' for k, v in source.version(records).items())}, {source.size}, seed {seed}"
    text = write_report(records, gates, title=title, advance=lambda tasks: view.advance(bar, tasks, ""))
    view.stop(bar)
    return text
