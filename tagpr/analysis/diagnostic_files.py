"""attribution.md and .csv, process.md and .csv: what stands beside a table about its rows' reasoning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tagpr.analysis.attribution import attribution_cells, attribution_rows, block_notes, headings
from tagpr.analysis.process import HEADINGS, ProcessRow, process_cells
from tagpr.analysis.sections import Section, title_of
from tagpr.analysis.text_tables import csv_text, pipe_table, write_text
from tagpr.evaluation.attribution import EDITS, WHY_NOT
from tagpr.evaluation.process_truth import FIGURES

Rows = list[dict[str, str | float]]

_ASKED = (
    ("changed", "Share of answers that are another than behind the unedited chain"),
    ("score", "Score behind the edited chain minus score behind the unedited one"),
    ("changed_beyond", "Share of answers changed, minus that under a paraphrase of the same spans"),
    ("score_beyond", "Score change, minus that under a paraphrase of the same spans"),
)


def attribution_markdown(section: Section) -> str:
    """Four tables per policy, then what the columns mean."""
    lines = [f"# What each step does for the answer. {title_of(section.comparison)}", ""]
    for block in section.attribution:
        lines += [f"## {block.name}", ""]
        if block.why_none:
            lines += [f"Nothing to attribute: {block.why_none}.", ""]
            continue
        for quantity, what in _ASKED:
            lines += [f"### {what}", ""]
            lines += [*pipe_table(headings(quantity), attribution_cells(block, quantity, intervals=True)), ""]
        lines += [*(f"- {line}" for line in block_notes(block)), ""]
    lines += ["## What the figures mean", ""]
    lines += [f"- `{edit}`: {what}." for edit, what in EDITS.items()]
    lines += [f"- not applied, `{reason}`: {what}." for reason, what in WHY_NOT.items()]
    lines.append(
        "- `(no step)`: the answer without any reasoning. Questions: those whose chain has the step. Means over tasks "
        "of the tasks' means, 95 % over people (none with fewer than 20). Fixed edits show what the answer takes from "
        "a step directly; with the rest written anew, what later steps took from it too."
    )
    return "\n".join(lines) + "\n"


def process_markdown(section: Section) -> str:
    """One table with a line per policy, then what the columns mean."""
    rows = section.process
    lines = [f"# Is the reasoning true? {title_of(section.comparison)}", ""]
    lines += pipe_table(("row", *HEADINGS.values()), process_cells(rows, intervals=True))
    lines += ["", *(f"- `{row.name}`: no figures, {row.why_none}." for row in rows if row.why_none)]
    lines += [
        "",
        "## What the figures mean",
        "",
        "- chains: share of answers with a tagged span; the rest is of these.",
    ]
    lines += [f"- {HEADINGS[name]}: {what}." for name, what in FIGURES.items()]
    lines.append(
        "- An answer is right here if it is what the person's rule says; golds hold slips besides. `bayes`: the rule "
        "that is likeliest given the shown entries. Means over tasks of the tasks' means, 95 % over people. Simulated "
        "people: on real ones nobody knows the reasons."
    )
    return "\n".join(lines) + "\n"


def attribution_csv_rows(sections: Sequence[Section]) -> Rows:
    return [row for section in sections for row in attribution_rows(section.comparison.title, section.attribution)]


def process_csv_rows(sections: Sequence[Section]) -> Rows:
    return [_process_row(section.comparison.title, row) for section in sections for row in section.process]


def _process_row(title: str, row: ProcessRow) -> dict[str, str | float]:
    known: dict[str, str | float] = {"experiment": title, "row": row.name, "why_none": row.why_none}
    for name, mean in row.figures.items():
        known |= {name: mean.value, f"{name}/questions": mean.questions}
        if mean.low is not None and mean.high is not None:
            known |= {f"{name}/low": mean.low, f"{name}/high": mean.high}
    return known


def write_diagnostics(sections: Sequence[Section], folder: Path) -> None:
    """The files that have something to say."""
    attributed = [section for section in sections if section.attribution]
    if attributed:
        write_text(folder / "attribution.md", "\n".join(attribution_markdown(s) for s in attributed))
        write_text(folder / "attribution.csv", csv_text(attribution_csv_rows(attributed)))
    judged = [section for section in sections if section.process]
    if judged:
        write_text(folder / "process.md", "\n".join(process_markdown(s) for s in judged))
        write_text(folder / "process.csv", csv_text(process_csv_rows(judged)))
