"""Whether a model may have seen public texts before: golds that it gives word for word without being shown a history.

Only counts leave this file: the texts are people's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.analysis.runs import Evaluation
from tagpr.tasks import task_named
from tagpr.types import SPLITS

MIN_WORDS = 5  # shorter golds ("Thank you") are hit by chance
FLAGGED_SHARE = 0.01  # of such golds; nobody guesses one of a hundred texts of five words and more
FLAGGED_COUNT = 3  # fewer may be stock phrases


@dataclass(frozen=True, kw_only=True, slots=True)
class Recited:
    """How many golds of MIN_WORDS words or more were given word for word, spaces aside, in any of a row's answers."""

    golds: int
    recited: int  # and not said in the question
    copied: int  # said in the question

    @property
    def flagged(self) -> bool:
        return self.recited >= max(FLAGGED_COUNT, FLAGGED_SHARE * self.golds)


def memorisation_lines(comparison: Comparison) -> list[str]:
    """For each text task of real people what its rows without history recite."""
    if comparison.simulated:
        return []
    lines = []
    for task in comparison.tasks:
        if task_named(task).kind != "text":
            continue
        found = [(row.name, recited(_without_history(row, task), task)) for row in comparison.rows]
        found = [(name, one) for name, one in found if one.golds]
        if not found:
            lines.append(f"{task}: no row without history, so what a model knows by heart is not measured.")
            continue
        parts = [f"{name} {one.recited:,} of {one.golds:,} ({one.recited / one.golds:.1%})" for name, one in found]
        copied = sum(one.copied for _, one in found)
        line = f"{task}: golds of {MIN_WORDS} or more words given word for word without any history: {', '.join(parts)}"
        line += f"; {copied:,} more stand in their question." if copied else "."
        if flagged := [name for name, one in found if one.flagged]:
            line = (
                f"MEMORISED TEXT? {line} {', '.join(flagged)}: {FLAGGED_SHARE:.0%} or more (and at least "
                f"{FLAGGED_COUNT}), so the model may have been trained on these texts; compare rows of this model with "
                "one another, not with other models."
            )
        lines.append(line)
    return lines


def _without_history(row: ComparedRow, task: str) -> list[Evaluation]:
    return [
        one
        for own in row.by_seed.values()
        for one in own.evaluations.values()
        if task in one.tasks and one.tasks[task]["history"]["entries_shown"] == 0
    ]


def recited(evaluations: Sequence[Evaluation], task: str) -> Recited:
    """Of the questions of a task; one that several answers hit counts once."""
    asked: dict[str, str] = {}
    hit: dict[str, Evaluation] = {}
    columns = ["task", "record_id", "answer", "lenient_answer", "gold"]
    for one in evaluations:
        table = pq.read_table(one.folder / "predictions.parquet", columns=columns).to_pydict()
        for name, record, answer, lenient, gold in zip(*(table[column] for column in columns), strict=True):
            if name != task or gold is None or len(re.findall(r"\w+", gold)) < MIN_WORDS:
                continue
            asked[record] = _plain(gold)
            if asked[record] in (_plain(answer), _plain(lenient)):
                hit[record] = one
    copied = sum(asked[record] in query for record, query in _queries(hit, task).items())
    return Recited(golds=len(asked), recited=len(hit) - copied, copied=copied)


def _queries(hit: dict[str, Evaluation], task: str) -> dict[str, str]:
    """The questions that were hit; most often there are none, and no records are read."""
    queries = {}
    columns = ["task", "record_id", "query"]
    for folder in {one.folder.parent.parent / "records" / one.manifest["inputs"]["records"] for one in hit.values()}:
        for split in SPLITS:
            table = pq.read_table(folder / f"{split}.parquet", columns=columns).to_pydict()
            for name, record, query in zip(*(table[column] for column in columns), strict=True):
                if name == task and record in hit:
                    queries[record] = _plain(query)
    return queries


def _plain(text: str) -> str:
    return " ".join(text.split())
