"""Tables of runs: Markdown, CSV, LaTeX, the terminal. Console script `tagpr-table`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tagpr.analysis.attribution import attribution_cells
from tagpr.analysis.attribution import headings as attribution_headings
from tagpr.analysis.damage import blame_damage
from tagpr.analysis.figures import map_finite
from tagpr.analysis.files import write_sections
from tagpr.analysis.notes import fails_gate
from tagpr.analysis.panel import BEST, BLIND
from tagpr.analysis.personalization import SHORT_HEADINGS, short_cells
from tagpr.analysis.process import HEADINGS as PROCESS_HEADINGS
from tagpr.analysis.process import process_cells
from tagpr.analysis.runs import Run, find_runs
from tagpr.analysis.sections import (
    CONTRAST_HEADINGS,
    NUM_COSTS,
    Section,
    contrast_cells,
    main_columns,
    sections_of,
    title_of,
)
from tagpr.errors import UserError
from tagpr.evaluation.specificity import MEAN

# More task columns than this do not fit a terminal of 110 columns.
TERMINAL_TASKS = 4
PIPE_WIDTH = 110


class TableView:
    """Tables for a terminal: one where it fits (110 columns do), two, one below the other, elsewhere."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self.sections = sections

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for section in self.sections:
            tasks = section.comparison.tasks
            columns = main_columns(section, tasks if len(tasks) <= TERMINAL_TASKS else ())
            red = _rows_to_redden(section)
            title = title_of(section.comparison)
            whole = _rich_table(title, columns, red=red)
            if Measurement.get(console, options.update(width=1000), whole).maximum <= options.max_width:
                yield whole
            else:
                below = [column for column in columns if column[1] in ("T=1", "fail", "share")] + columns[-NUM_COSTS:]
                yield _rich_table(title, [column for column in columns if column not in below], red=red)
                yield Text()
                yield _rich_table("sampled score, parse failures, costs", [columns[0], *below], red=red)
            if section.contrasts:
                cells = zip(*contrast_cells(section), strict=True)
                columns = [(head, "", *column) for head, column in zip(CONTRAST_HEADINGS, cells, strict=True)]
                yield Text()
                yield _rich_table("contrasts of scores", columns, red=frozenset())
            if section.swapped:
                cells = zip(*(short_cells(row) for row in section.swapped), strict=True)
                columns = [(head, "", *column) for head, column in zip(SHORT_HEADINGS, cells, strict=True)]
                yield Text()
                yield _rich_table("score with other histories (Specificity = own - nearest)", columns, red=frozenset())
            if any(row.figures for row in section.process):
                cells = zip(*process_cells(section.process, intervals=False), strict=True)
                heads = ("row", *PROCESS_HEADINGS.values())
                yield Text()
                yield _rich_table("is the reasoning true?", _two_lines(heads, cells), red=frozenset())
            for block in section.attribution:
                if not block.why_none:
                    cells = zip(*attribution_cells(block, "changed", intervals=False), strict=True)
                    yield Text()
                    title = f"{block.name}: share of answers that an edit of each step changes"
                    yield _rich_table(title, _two_lines(attribution_headings("changed"), cells), red=frozenset())


def _two_lines(headings: Sequence[str], columns: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Columns whose headings break at their last space."""
    return [(*("", *head.rsplit(" ", 1))[-2:], *column) for head, column in zip(headings, columns, strict=True)]


def _rich_table(title: str, columns: Sequence[tuple[str, ...]], *, red: frozenset[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="bold")
    for position, column in enumerate(columns):
        header = f"{column[0]}\n{column[1]}".rstrip()
        table.add_column(header, justify="left" if position == 0 else "right", no_wrap=True)
    for cells in zip(*(column[2:] for column in columns), strict=True):
        ends = cells[0] in (BLIND, BEST)
        table.add_row(*cells, style="red" if cells[0] in red else "dim" if ends else None)
    return table


def _rows_to_redden(section: Section) -> frozenset[str]:
    return frozenset(row.name for row in section.comparison.rows if fails_gate(row))


def table_notes(sections: Sequence[Section]) -> list[str]:
    """What a reader of the table must not miss."""
    return [line for section in sections for line in section.warnings]


def final_metrics(sections: Sequence[Section]) -> dict[str, float]:
    """`evaluate/<row>/<figure>` for every finite figure of a run's table."""
    metrics: dict[str, float] = {}
    for section in sections:
        for row in section.figures:
            map_finite(row, lambda name, value, row=row.name: metrics.update({f"evaluate/{row}/{name}": value}))
        for row in section.swapped:
            for name in ("gain", "specificity"):
                metrics[f"evaluate/{row.name}/{name}"] = row.personal[MEAN].figures[name].value
    return metrics


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `tagpr-table`. Returns 0, or 2 where the input is not what it should be."""
    parser = argparse.ArgumentParser(prog="tagpr-table", description="One table of every run in a folder.")
    parser.add_argument("place", type=Path, metavar="PLACE", help="a run's folder, or one above several: runs/lab")
    parser.add_argument("--out", type=Path, help="where the files go (PLACE where it is not given)")
    parser.add_argument(
        "--baseline", help="compare every row with this one, without claims (else: evaluation.contrasts)"
    )
    parser.add_argument("--plots", action="store_true", help="draw gap_closed.png, and training.png in each run")
    arguments = parser.parse_args(argv)
    out = arguments.out or arguments.place
    try:
        runs = find_runs(arguments.place)
        try:
            sections, drawn = _make(runs, arguments.baseline, out, plots=arguments.plots)
        except UserError:
            raise
        except Exception as error:
            blame_damage(runs)
            if not isinstance(error, OSError):
                raise
            raise UserError(f"{out}: cannot be written ({error.strerror}). Give another folder with --out.") from None
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    # A pipe has no width of its own.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(TableView(sections))
    for section in sections:
        for line in section.warnings:
            console.print(Text(line, style="yellow"))
    for path in (out / "table.md", *drawn):
        console.print(f"Written: {path}", soft_wrap=True)
    return 0


def _make(
    runs: Sequence[Run], baseline: str | None, out: Path, *, plots: bool
) -> tuple[Sequence[Section], Sequence[Path]]:
    """Write the files of a table; the sections it has, and the plots drawn."""
    sections = sections_of(runs, baseline)
    write_sections(sections, out)
    if not plots:
        return sections, []
    from tagpr.analysis.plots import plot_attribution, plot_scores, plot_training

    drawn = [plot_training(run, run.folder) for run in runs]
    for number, section in enumerate(sections):
        name = "scores.png" if len(sections) == 1 else f"scores_{number}.png"
        drawn.append(plot_scores(section.comparison, section.figures, out / name))
        blocks = [block for block in section.attribution if not block.why_none]
        if blocks:
            drawn.append(plot_attribution(blocks, out / name.replace("scores", "attribution")))
    return sections, drawn
