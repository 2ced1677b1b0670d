"""Tables of runs: Markdown, CSV, LaTeX, the terminal. Console script `tagpr-table`."""

from __future__ import annotations

import argparse
import csv
import difflib
import io
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tagpr.analysis.comparison import ComparedRow, Comparison, compare
from tagpr.analysis.figures import (
    BEST,
    BLIND,
    GREEDY,
    SAMPLE,
    Contrast,
    Estimate,
    RowFigures,
    best_backbone_row,
    contrasts,
    map_finite,
    row_figures,
)
from tagpr.analysis.notes import arm_lines, contrast_definition, definitions, fails_gate, warnings_of
from tagpr.analysis.per_person import PersonTable, per_person
from tagpr.analysis.runs import Run, find_runs
from tagpr.errors import BadInputError, UserError
from tagpr.evaluation.references import NAMES
from tagpr.evaluation.statistics import MIN_PEOPLE
from tagpr.tasks import task_named

# More task columns than this do not fit a terminal of 110 columns.
TERMINAL_TASKS = 4
NUM_COSTS = 4  # the last columns
CONTRAST_HEADINGS = ("row", "difference [95 %]", "seeds", "p", "Holm", "outcome")
NOTHING = "-"
PIPE_WIDTH = 110


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table with all that is printed around it, each part computed when it is first asked for.

    Args:
        comparison: the rows.
        baseline: the row that contrasts are against; None: no contrasts.
    """

    comparison: Comparison
    baseline: ComparedRow | None

    @cached_property
    def figures(self) -> list[RowFigures]:
        return row_figures(self.comparison)

    @cached_property
    def shown(self) -> list[RowFigures]:
        """On simulated people the two ends stand for all references; the CSV holds the others too."""
        ends = (BLIND, BEST) if self.comparison.simulated else tuple(NAMES)
        return [row for row in self.figures if row.policy != "reference" or row.name in ends]

    @cached_property
    def contrasts(self) -> list[Contrast]:
        if self.baseline is None:
            return []
        trained = [row for row in self.comparison.rows if not row.is_backbone and row is not self.baseline]
        return contrasts(self.comparison, self.baseline, [row for row in trained if GREEDY in row.decodings])

    @cached_property
    def warnings(self) -> list[str]:
        return warnings_of(self.comparison, self.figures)


def sections_of(runs: Sequence[Run], baseline: str | None) -> list[Section]:
    """A section per experiment and data set.

    Args:
        runs: of any experiments.
        baseline: a row's name; None: `sft` where there is one.
    Raises:
        BadInputError: no row has the baseline's name.
    """
    compared = compare(runs)
    sections = [Section(comparison=one, baseline=_baseline(one, baseline)) for one in compared]
    if baseline is not None and not any(section.baseline for section in sections):
        names = [row.name for one in compared for row in one.rows]
        near = difflib.get_close_matches(baseline, names, n=1, cutoff=0.0)
        raise BadInputError(
            f"no row is called {baseline!r}; there are {', '.join(names)}. Did you mean --baseline {near[0]}?"
        )
    return sections


def _baseline(comparison: Comparison, name: str | None) -> ComparedRow | None:
    rows = [row for row in comparison.rows if GREEDY in row.decodings]
    if name is not None:
        return next((row for row in rows if row.name == name), None)
    return next((row for row in rows if row.row_name == "sft"), None)


# --- cells -----------------------------------------------------------------------------------------------------


def _number(value: float | None) -> str:
    return NOTHING if value is None or math.isnan(value) else f"{value:.3f}"


def _with_interval(one: Estimate | None, form: str) -> str:
    if one is None or math.isnan(one.value):
        return NOTHING
    if one.low is None or one.high is None:
        return format(one.value, form)
    return f"{one.value:{form}} [{one.low:{form}}, {one.high:{form}}]"


def _main_columns(section: Section, tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """Columns as (heading's first line, second line, one cell per row)."""
    figures = section.shown
    columns: list[tuple[str, ...]] = [("row", "", *(row.name for row in figures))]
    for name in tasks:
        task = task_named(name)
        cells = (_number(row.metrics.get((name, GREEDY), {}).get(task.primary_metric)) for row in figures)
        columns.append((name, task.primary_metric, *cells))
    for decoding, heading in ((GREEDY, "greedy"), (SAMPLE, "T=1")):
        cells = (_number(row.scores[decoding].value if decoding in row.scores else None) for row in figures)
        columns.append(("score", heading, *cells))
    if section.comparison.simulated:
        cells = (_with_interval(row.gap_closed.get(GREEDY), ".2f") for row in figures)
        columns.append(("gap closed", "[95 %]", *cells))
    else:
        columns.append(("gain", "[95 %]", *(_with_interval(row.gain, "+.3f") for row in figures)))
        relative = (NOTHING if row.relative_gain is None else f"{row.relative_gain:+.1%}" for row in figures)
        columns.append(("relative", "gain", *relative))
    failures = (f"{row.parse_failures[GREEDY]:.1%}" if GREEDY in row.parse_failures else NOTHING for row in figures)
    columns.append(("parse", "fail", *failures))
    for first, second, name in (
        ("gold", "labels", "gold_labels"),
        ("RL", "steps", "rl_steps"),
        ("PRMU", "calls", "prmu_calls"),
        ("CPU", "s", "cpu_seconds"),
    ):
        cells = (NOTHING if row.spent is None else f"{getattr(row.spent, name):.0f}" for row in figures)
        columns.append((first, second, *cells))
    return columns


def _contrast_cells(section: Section) -> list[tuple[str, ...]]:
    return [
        (
            one.name, _with_interval(one.difference, "+.3f"), str(len(one.seeds)), _number(one.p),
            _number(one.adjusted_p), one.outcome or NOTHING,
        )
        for one in section.contrasts
    ]  # fmt: skip


# --- terminal --------------------------------------------------------------------------------------------------


class TableView:
    """Tables for a terminal: one where it fits (110 columns do), two, one below the other, elsewhere."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self.sections = sections

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for section in self.sections:
            tasks = section.comparison.tasks
            columns = _main_columns(section, tasks if len(tasks) <= TERMINAL_TASKS else ())
            red = _rows_to_redden(section)
            title = _title(section.comparison)
            whole = _rich_table(title, columns, red=red)
            if Measurement.get(console, options.update(width=1000), whole).maximum <= options.max_width:
                yield whole
            else:
                below = [column for column in columns if column[1] in ("T=1", "fail")] + columns[-NUM_COSTS:]
                yield _rich_table(title, [column for column in columns if column not in below], red=red)
                yield Text()
                yield _rich_table("sampled score, parse failures, costs", [columns[0], *below], red=red)
            if section.contrasts:
                cells = zip(*_contrast_cells(section), strict=True)
                columns = [(head, "", *column) for head, column in zip(CONTRAST_HEADINGS, cells, strict=True)]
                yield Text()
                yield _rich_table(f"score against {section.contrasts[0].baseline}", columns, red=frozenset())


def table_view(runs: Sequence[Run]) -> TableView:
    """What a terminal shows of some runs; a Rich renderable."""
    return TableView(sections_of(runs, None))


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


def _title(comparison: Comparison) -> str:
    arms = list(dict.fromkeys(run.run_name for run in comparison.runs))
    names = ", ".join(arms) if len(arms) <= 3 else f"{len(arms)} arms"
    seeds = ", ".join(map(str, comparison.seeds))
    return f"{comparison.title}: {names}; seed{'s' if len(comparison.seeds) > 1 else ''} {seeds}"


def table_notes(runs: Sequence[Run]) -> list[str]:
    """What a reader of the table must not miss."""
    return [line for section in sections_of(runs, None) for line in section.warnings]


def final_metrics(run: Run) -> dict[str, float]:
    """`evaluate/<row>/<figure>` for every finite figure of a run's table."""
    metrics: dict[str, float] = {}
    for section in sections_of([run], None):
        for row in section.figures:
            map_finite(row, lambda name, value, row=row.name: metrics.update({f"evaluate/{row}/{name}": value}))
    return metrics


# --- files -----------------------------------------------------------------------------------------------------


def write_tables(runs: Sequence[Run], folder: Path) -> None:
    """table.md, table.csv and table.tex; with fewer than 20 people per_person.md and per_person.csv too."""
    _write(sections_of(runs, None), folder)


def _write(sections: Sequence[Section], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _write_text(folder / "table.md", "\n".join(_markdown(section) for section in sections))
    _write_text(folder / "table.csv", _csv(sections))
    _write_text(folder / "table.tex", "\n".join(_latex(section) for section in sections))
    few = [s for s in sections if any(r.policy != "reference" and r.people < MIN_PEOPLE for r in s.figures)]
    if few:
        tables = [table for section in few for table in per_person(section.comparison)]
        _write_text(folder / "per_person.md", "\n".join(_person_markdown(table) for table in tables))
        _write_text(folder / "per_person.csv", _person_csv(tables))


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _pipe_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in headings[1:])]
    return ["| " + " | ".join(cells) + " |" for cells in (headings, rule, *rows)]


def _markdown(section: Section) -> str:
    comparison = section.comparison
    columns = _main_columns(section, comparison.tasks)
    headings = [f"{column[0]} {column[1]}".strip() for column in columns]
    lines = [f"# {_title(comparison)}", ""]
    lines += _pipe_table(headings, list(zip(*(column[2:] for column in columns), strict=True)))
    lines += ["", *(f"- **{line}**" for line in section.warnings)]
    if section.contrasts:
        lines += ["", f"## Score against {section.contrasts[0].baseline}", ""]
        lines += _pipe_table(CONTRAST_HEADINGS, _contrast_cells(section))
        lines += ["", contrast_definition(len(section.contrasts))]
    if arms := arm_lines(comparison):
        lines += ["", "## Arms", "", *(f"- {line}" for line in arms)]
    base = best_backbone_row(comparison)
    lines += ["", "## What the figures mean", ""]
    lines += [f"- {line}" for line in definitions(comparison, section.shown, base and base.name)]
    return "\n".join(lines) + "\n"


def _latex(section: Section) -> str:
    columns = _main_columns(section, section.comparison.tasks)
    heads = [" & ".join(_escape_latex(column[line]) for column in columns) for line in (0, 1)]
    rows = [" & ".join(map(_escape_latex, cells)) for cells in zip(*(column[2:] for column in columns), strict=True)]
    body = " \\\\\n".join(rows)
    return (
        f"% {_title(section.comparison)}; needs the package booktabs\n"
        f"\\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}\n\\toprule\n{heads[0]} \\\\\n{heads[1]} \\\\\n\\midrule\n"
        f"{body} \\\\\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _escape_latex(text: str) -> str:
    return "".join({"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "~": r"\textasciitilde{}"}.get(c, c) for c in text)


def _csv(sections: Sequence[Section]) -> str:
    rows = []
    for section in sections:
        versus = {one.name: one for one in section.contrasts}
        for row in section.figures:
            cells: dict[str, str | float] = {
                "experiment": section.comparison.title, "run_name": row.run_name, "row": row.name,
                "policy": row.policy, "seeds": " ".join(map(str, row.seeds)), "people": row.people or "",
                "questions": row.questions,
            }  # fmt: skip
            map_finite(row, lambda name, value, cells=cells: cells.update({name: value}))
            if row.name in versus:
                cells |= _contrast_csv(versus[row.name])
            rows.append(cells)
    return _csv_text(rows)


def _contrast_csv(one: Contrast) -> dict[str, str | float]:
    named = {
        "difference": one.difference.value, "difference/low": one.difference.low, "difference/high":
        one.difference.high, "p": one.p, "p/holm": one.adjusted_p,
    }  # fmt: skip
    return {"baseline": one.baseline, "outcome": one.outcome, **{k: v for k, v in named.items() if v is not None}}


def _csv_text(rows: Sequence[dict[str, str | float]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _person_markdown(table: PersonTable) -> str:
    headings = ["person", "questions", *table.rows]
    rows = [
        [person, str(table.questions[person]), *(_number(table.values.get((person, row))) for row in table.rows)]
        for person in table.people
    ]
    title = f"# {table.task}: {table.metric} per person, greedy"
    return "\n".join([title, "", *_pipe_table(headings, rows)]) + "\n"


def _person_csv(tables: Sequence[PersonTable]) -> str:
    return _csv_text(
        [
            {
                "task": table.task, "metric": table.metric, "person": person, "questions": table.questions[person],
                "row": row, "value": value,
            }
            for table in tables
            for (person, row), value in table.values.items()
        ]
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `tagpr-table`. Returns 0, or 2 where the input is not what it should be."""
    parser = argparse.ArgumentParser(prog="tagpr-table", description="One table of every run in a folder.")
    parser.add_argument("place", type=Path, metavar="PLACE", help="a run's folder, or one above several: runs/lab")
    parser.add_argument("--out", type=Path, help="where the files go (PLACE where it is not given)")
    parser.add_argument("--baseline", help="the row that others are compared with (sft where it is not given)")
    parser.add_argument("--plots", action="store_true", help="draw gap_closed.png, and training.png in each run")
    arguments = parser.parse_args(argv)
    out = arguments.out or arguments.place
    try:
        runs = find_runs(arguments.place)
        sections = sections_of(runs, arguments.baseline)
        try:
            _write(sections, out)
        except OSError as error:
            raise UserError(f"{out}: cannot be written ({error.strerror}). Give another folder with --out.") from None
        drawn: list[Path] = []
        if arguments.plots:
            from tagpr.analysis.plots import plot_scores, plot_training

            drawn = [plot_training(run, run.folder) for run in runs]
            for number, section in enumerate(sections):
                name = "scores.png" if len(sections) == 1 else f"scores_{number}.png"
                drawn.append(plot_scores(section.comparison, section.figures, out / name))
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
