"""The data card of a table: what came from where, what was left out and why, and what to keep in mind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tagpr.tasks import Task
from tagpr.types import PURPOSES, SPLITS, Record


def card_text(
    *,
    file_name: str,
    licence: str,
    task: Task,
    form: str,
    columns: Mapping[str, str],
    settings: Mapping[str, int | bool | str | None],
    figures: Mapping[str, float],
    reasons: Mapping[str, str],
    records: Sequence[Record],
) -> str:
    """Markdown. It quotes no cell of the table.

    Args:
        form: `data.task`.
        columns: our name -> the table's.
        settings: the filters, as configured.
        figures: counts of the manifest; those named in `reasons` are what was left out.
        reasons: figure -> what it counts.
    """
    lines = [
        f"# Data card: {file_name}",
        "",
        "Questions about people, made from a table by leaving each person's last answers out.",
        "",
        f"- Source: `{file_name}`; its hash stands in `sources.json`.",
        f"- Licence: {licence}" + (" (name it with `data.licence=...`)" if licence == "unknown" else ""),
        f"- Task: {form}, in the form of {task.name}. These are not {task.name}'s people: no figure on them may be "
        "compared with one on LaMP.",
        f"- Columns: {', '.join(f'{name} = `{column}`' for name, column in columns.items())}.",
        f"- Settings: {', '.join(f'{name} = {value}' for name, value in settings.items())}.",
        "",
        "| split | people | questions | " + " | ".join(PURPOSES) + " | history entries per question |",
        "|---|---|---|" + "---|" * len(PURPOSES) + "---|",
        *(_split_row(split, [record for record in records if record.split == split]) for split in SPLITS),
        "",
        f"## What was left out of {figures['rows_read']:,} rows",
        "",
        *([f"- {figures[name]:,} {reason}" for name, reason in reasons.items() if figures[name]] or ["- nothing"]),
        f"- used: {figures['rows_used']:,} rows",
        "",
        "## What to keep in mind",
        "",
        "- A question's history is what the same person answered before "
        + ("it, earlier questions included" if settings["questions_in_history"] else "their first question")
        + "; their later answers and the question itself are never in it. Which golds stand in histories, and what "
        "training goes without for that, is in `leaks.json`; `data.questions_in_history=false` ends every history "
        "before its person's first question.",
        "- Rows of one date, and all rows where there is no date column, keep the file's order."
        if "date" in columns
        else "- There is no date column: the file's order is taken for the order in time.",
        f"- Answers that stand word for word in their own question: {figures['golds_in_own_text']:,}. Where there are "
        "many, the text gives the answer away.",
        f"- Test questions whose text and answer a train person's rows hold too: "
        f"{figures['test_answers_seen_in_train']:,}. For texts (co-authors, copies) these measure memory.",
    ]
    if task.kind != "text":
        golds = [record.gold for record in records]
        counts = ", ".join(f"{label}: {golds.count(label):,}" for label in task.labels if label in golds)
        lines.append(f"- Golds: {counts}.")
    return "\n".join(lines) + "\n"


def _split_row(split: str, records: Sequence[Record]) -> str:
    people = len({record.user_id for record in records})
    purposes = " | ".join(f"{sum(record.purpose == purpose for record in records):,}" for purpose in PURPOSES)
    sizes = [len(record.profile) for record in records]
    history = f"{sum(sizes) / len(sizes):.1f} ({min(sizes)} to {max(sizes)})" if sizes else "-"
    return f"| {split} | {people:,} | {len(records):,} | {purposes} | {history} |"
