"""A table before it is printed: its rows, figures, contrasts and warnings, and its cells as text."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tagpr.analysis.attribution import AttributionBlock, attribution_blocks
from tagpr.analysis.clipped import ClippedShare, clipped_shares
from tagpr.analysis.comparison import ComparedRow, Comparison, compare
from tagpr.analysis.contrasts import Contrast, contrasts, listed_pairs
from tagpr.analysis.figures import RowFigures, row_figures
from tagpr.analysis.notes import warnings_of
from tagpr.analysis.panel import BEST, BLIND, GREEDY, SAMPLE, Estimate
from tagpr.analysis.personalization import SwappedRow, formatting_warnings, swapped_rows
from tagpr.analysis.process import ProcessRow, process_rows
from tagpr.analysis.runs import Run
from tagpr.analysis.sampled import SampledRow, sampled_rows
from tagpr.analysis.slices import Slice, slices
from tagpr.errors import BadInputError
from tagpr.evaluation.references import NAMES
from tagpr.tasks import task_named

NOTHING = "-"
NUM_COSTS = 4  # the last columns
CONTRAST_HEADINGS = ("row", "against", "difference [95 %]", "seeds", "p", "Holm", "outcome")


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table with all that is printed around it, each part computed when it is first asked for.

    Args:
        comparison: the rows.
        baseline: the row that unlisted rows are compared with; None: none are.
        exploring: the baseline was chosen after the runs: everything is compared with it, and nothing is claimed.
    """

    comparison: Comparison
    baseline: ComparedRow | None
    exploring: bool

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
        """Those that were listed before the runs; then every other trained row against the baseline."""
        listed, num_listed = ([], 0) if self.exploring else listed_pairs(self.comparison)
        seen = {id(row) for row, _ in listed} | {id(self.baseline)}
        rest = [row for row in self.comparison.rows if not row.is_backbone and id(row) not in seen]
        others = [(row, self.baseline) for row in rest if self.baseline is not None and GREEDY in row.decodings]
        return [
            *contrasts(self.comparison, listed, num_listed=num_listed),
            *contrasts(self.comparison, others, num_listed=0),
        ]

    @cached_property
    def warnings(self) -> list[str]:
        return [*warnings_of(self.comparison, self.figures), *formatting_warnings(self.swapped)]

    @cached_property
    def swapped(self) -> list[SwappedRow]:
        """Rows whose histories were swapped."""
        return swapped_rows(self.comparison)

    @cached_property
    def sampled(self) -> list[SampledRow]:
        """Rows with several answers per question."""
        return sampled_rows(self.comparison)

    @cached_property
    def slices(self) -> list[Slice]:
        return slices(self.comparison)

    @cached_property
    def clipped(self) -> dict[str, ClippedShare]:
        """What the rows' losses clipped; none where nothing could be."""
        return clipped_shares(self.comparison)

    @cached_property
    def attribution(self) -> list[AttributionBlock]:
        """Rows whose chains were edited."""
        return attribution_blocks(self.comparison)

    @cached_property
    def process(self) -> list[ProcessRow]:
        """Rows whose reasoning can be checked; none where people are real."""
        return process_rows(self.comparison)


def sections_of(runs: Sequence[Run], baseline: str | None) -> list[Section]:
    """A section per experiment and data set.

    Args:
        runs: of any experiments.
        baseline: a row's name, to compare all others with it; None: the contrasts that the runs' own settings list, and
            `sft` for the rest.
    Raises:
        BadInputError: no row has the baseline's name.
    """
    compared = compare(runs)
    sections = [
        Section(comparison=one, baseline=_baseline(one, baseline), exploring=baseline is not None) for one in compared
    ]
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


def number_text(value: float | None) -> str:
    """Three decimals; a dash for what is not there."""
    return NOTHING if value is None or math.isnan(value) else f"{value:.3f}"


def _with_interval(one: Estimate | None, form: str) -> str:
    if one is None or math.isnan(one.value):
        return NOTHING
    if one.low is None or one.high is None:
        return format(one.value, form)
    return f"{one.value:{form}} [{one.low:{form}}, {one.high:{form}}]"


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share:+.1%}"


def main_columns(section: Section, tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """Columns as (heading's first line, second line, one cell per row)."""
    figures = section.shown
    columns: list[tuple[str, ...]] = [("row", "", *(row.name for row in figures))]
    # Several tasks' intervals would not fit a page; table.csv has them.
    with_interval = len(section.comparison.tasks) == 1 and any(row.metric_intervals for row in figures)
    for name in tasks:
        metric = task_named(name).primary_metric
        values = [row.metrics.get((name, GREEDY), {}).get(metric) for row in figures]
        if with_interval:
            bounds = (row.metric_intervals.get(name, (None, None)) for row in figures)
            estimates = [
                None if value is None else Estimate(value=value, low=low, high=high)
                for value, (low, high) in zip(values, bounds, strict=True)
            ]
            columns.append((name, f"{metric} [95 %]", *(_with_interval(one, ".3f") for one in estimates)))
        else:
            columns.append((name, metric, *map(number_text, values)))
    for decoding, heading in ((GREEDY, "greedy"), (SAMPLE, "T=1")):
        cells = (number_text(row.scores[decoding].value if decoding in row.scores else None) for row in figures)
        columns.append(("score", heading, *cells))
    if section.comparison.simulated:
        cells = (_with_interval(row.gap_closed.get(GREEDY), ".2f") for row in figures)
        columns.append(("gap closed", "[95 %]", *cells))
    else:
        columns.append(("gain", "[95 %]", *(_with_interval(row.gain, "+.3f") for row in figures)))
        columns.append(("relative", "gain", *(_percent(row.relative_gain) for row in figures)))
    failures = (f"{row.parse_failures[GREEDY]:.1%}" if GREEDY in row.parse_failures else NOTHING for row in figures)
    columns.append(("parse", "fail", *failures))
    if clipped := section.clipped:
        columns.append(("clipped", "share", *(clipped[r.name].text if r.name in clipped else NOTHING for r in figures)))
    for first, second, name in (
        ("gold", "labels", "gold_labels"),
        ("RL", "steps", "rl_steps"),
        ("PRMU", "calls", "prmu_calls"),
        ("CPU", "s", "cpu_seconds"),
    ):
        cells = (NOTHING if row.spent is None else f"{getattr(row.spent, name):.0f}" for row in figures)
        columns.append((first, second, *cells))
    return columns


def task_columns(section: Section) -> list[tuple[str, ...]]:
    """Per task gap closed, or gain and relative gain; last the means of these. No columns where no row has any."""
    figures = [row for row in section.shown if row.by_task]
    if not figures:
        return []
    columns: list[tuple[str, ...]] = [("row", "", *(row.name for row in figures))]
    tasks = [(name, [row.by_task.get(name) for row in figures]) for name in section.comparison.tasks]
    for name, several in [*tasks, ("mean of these", [row.mean_of_tasks for row in figures])]:
        if section.comparison.simulated:
            cells = (_with_interval(one and one.gap_closed, ".2f") for one in several)
            columns.append((name, "gap closed [95 %]", *cells))
        else:
            columns.append((name, "gain [95 %]", *(_with_interval(one and one.gain, "+.3f") for one in several)))
            columns.append((name, "relative", *(_percent(one.relative_gain if one else None) for one in several)))
    return columns


def contrast_cells(section: Section) -> list[tuple[str, ...]]:
    """A row per contrast, cells as CONTRAST_HEADINGS says."""
    return [
        (
            one.name, one.baseline, _with_interval(one.difference, "+.3f"), str(len(one.seeds)), number_text(one.p),
            number_text(one.adjusted_p), one.outcome or NOTHING,
        )
        for one in section.contrasts
    ]  # fmt: skip


def title_of(comparison: Comparison) -> str:
    """Experiment, arms and seeds."""
    arms = list(dict.fromkeys(run.run_name for run in comparison.runs))
    names = ", ".join(arms) if len(arms) <= 3 else f"{len(arms)} arms"
    seeds = ", ".join(map(str, comparison.seeds))
    return f"{comparison.title}: {names}; seed{'s' if len(comparison.seeds) > 1 else ''} {seeds}"
