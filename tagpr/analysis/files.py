"""Tables as Markdown, CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tagpr.analysis import personalization, sampled, slices
from tagpr.analysis.clipped import DEFINITION as CLIPPED_DEFINITION
from tagpr.analysis.contrasts import Contrast
from tagpr.analysis.diagnostic_files import write_diagnostics
from tagpr.analysis.figures import best_backbone_row, map_finite
from tagpr.analysis.notes import arm_lines, contrast_definition, definitions
from tagpr.analysis.per_person import PersonTable, per_person
from tagpr.analysis.sections import (
    CONTRAST_HEADINGS,
    Section,
    contrast_cells,
    main_columns,
    number_text,
    task_columns,
    title_of,
)
from tagpr.analysis.text_tables import csv_text as _csv_text
from tagpr.analysis.text_tables import pipe_table as _pipe_table
from tagpr.analysis.text_tables import write_text as _write_text
from tagpr.evaluation.statistics import MIN_PEOPLE


def write_sections(sections: Sequence[Section], folder: Path) -> None:
    """table.md, .csv and .tex, contrasts.csv, slices.md and .csv; with fewer than 20 people per_person.md and .csv,
    where histories were swapped personalization.csv; and what there is to say of the rows' reasoning."""
    folder.mkdir(parents=True, exist_ok=True)
    write_diagnostics(sections, folder)
    _write_text(folder / "table.md", "\n".join(_markdown(section) for section in sections))
    _write_text(folder / "table.csv", _csv(sections))
    tested = [{"experiment": s.comparison.title, **_contrast_csv(one)} for s in sections for one in s.contrasts]
    if tested:
        _write_text(folder / "contrasts.csv", _csv_text(tested))
    _write_text(folder / "table.tex", "\n".join(_latex(section) for section in sections))
    _write_text(folder / "slices.md", "\n".join(_slices_markdown(section) for section in sections))
    _write_text(
        folder / "slices.csv", _csv_text([r for s in sections for one in s.slices for r in slices.csv_rows(one)])
    )
    if swapped := [row for section in sections for row in section.swapped]:
        lines = [line for row in swapped for line in personalization.csv_rows(row)]
        _write_text(folder / "personalization.csv", _csv_text(lines))
    few = [s for s in sections if any(r.policy != "reference" and r.people < MIN_PEOPLE for r in s.figures)]
    if few:
        tables = [table for section in few for table in per_person(section.comparison)]
        _write_text(folder / "per_person.md", "\n".join(_person_markdown(table) for table in tables))
        _write_text(folder / "per_person.csv", _person_csv(tables))


def _markdown(section: Section) -> str:
    comparison = section.comparison
    columns = main_columns(section, comparison.tasks)
    headings = [f"{column[0]} {column[1]}".strip() for column in columns]
    lines = [f"# {title_of(comparison)}", ""]
    lines += _pipe_table(headings, list(zip(*(column[2:] for column in columns), strict=True)))
    lines += ["", *(f"- **{line}**" for line in section.warnings)]
    if by_task := task_columns(section):
        lines += ["", "## By task", ""]
        headings = [f"{column[0]} {column[1]}".strip() for column in by_task]
        lines += _pipe_table(headings, list(zip(*(column[2:] for column in by_task), strict=True)))
    if section.contrasts:
        lines += ["", "## Contrasts of scores", ""]
        lines += _pipe_table(CONTRAST_HEADINGS, contrast_cells(section))
        lines += ["", contrast_definition(section.comparison)]
    if section.swapped:
        lines += ["", "## Personalization: the same questions with other histories", ""]
        lines += _pipe_table(
            personalization.HEADINGS, [c for row in section.swapped for c in personalization.cells(row)]
        )
        lines += ["", *(f"- {line}" for line in personalization.definitions(section.swapped))]
    if section.sampled:
        lines += ["", "## Several answers per question", ""]
        lines += [
            *_pipe_table(sampled.HEADINGS, [sampled.cells(row) for row in section.sampled]),
            "",
            sampled.DEFINITION,
        ]
    if arms := arm_lines(comparison):
        lines += ["", "## Arms", "", *(f"- {line}" for line in arms)]
    base = best_backbone_row(comparison)
    lines += ["", "## What the figures mean", ""]
    lines += [f"- {line}" for line in definitions(comparison, section.shown, base and base.name)]
    if section.clipped:
        lines.append(f"- {CLIPPED_DEFINITION}")
    return "\n".join(lines) + "\n"


def _slices_markdown(section: Section) -> str:
    lines = [f"# {title_of(section.comparison)}: scores by kind of person", ""]
    means = [one for one in section.slices if one.task == slices.MEAN]
    # Rows that answered other questions than the rest stand in a table of their own.
    for rows in dict.fromkeys(tuple(one.scores) for one in means):
        lines += _pipe_table(
            [*slices.HEADINGS, *rows], [slices.cells(one) for one in means if tuple(one.scores) == rows]
        )
        lines.append("")
    return "\n".join([*lines, *(f"- {line}" for line in slices.definitions(section.comparison))]) + "\n"


def _latex(section: Section) -> str:
    columns = main_columns(section, section.comparison.tasks)
    heads = [" & ".join(_escape_latex(column[line]) for column in columns) for line in (0, 1)]
    rows = [" & ".join(map(_escape_latex, cells)) for cells in zip(*(column[2:] for column in columns), strict=True)]
    body = " \\\\\n".join(rows)
    return (
        f"% {title_of(section.comparison)}; needs the package booktabs\n"
        f"\\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}\n\\toprule\n{heads[0]} \\\\\n{heads[1]} \\\\\n\\midrule\n"
        f"{body} \\\\\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _escape_latex(text: str) -> str:
    return "".join({"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "~": r"\textasciitilde{}"}.get(c, c) for c in text)


def _csv(sections: Sequence[Section]) -> str:
    rows = []
    for section in sections:
        for row in section.figures:
            cells: dict[str, str | float] = {
                "experiment": section.comparison.title, "run_name": row.run_name, "row": row.name,
                "policy": row.policy, "seeds": " ".join(map(str, row.seeds)), "people": row.people or "",
                "questions": row.questions,
            }  # fmt: skip
            map_finite(row, lambda name, value, cells=cells: cells.update({name: value}))
            if clipped := section.clipped.get(row.name):
                cells |= {"clip_low": clipped.low, "clip_high": clipped.high}
            rows.append(cells)
    return _csv_text(rows)


def _contrast_csv(one: Contrast) -> dict[str, str | float]:
    named = {
        "difference": one.difference.value, "difference/low": one.difference.low, "difference/high":
        one.difference.high, "p": one.p, "p/holm": one.adjusted_p,
    }  # fmt: skip
    return {
        "row": one.name,
        "against": one.baseline,
        "outcome": one.outcome,
        **{k: v for k, v in named.items() if v is not None},
    }


def _person_markdown(table: PersonTable) -> str:
    headings = ["person", "questions", *table.rows]
    rows = [
        [person, str(table.questions[person]), *(number_text(table.values.get((person, row))) for row in table.rows)]
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
