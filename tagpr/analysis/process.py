"""Whether the rows' reasoning is true, on simulated people: a table of its own, from what evaluations wrote."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow.parquet as pq

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.analysis.panel import BEST, GREEDY
from tagpr.analysis.runs import Evaluation, Question, Run
from tagpr.chains.tags import TagVocabulary
from tagpr.evaluation.partial import PartialMean, partial_means
from tagpr.evaluation.process_truth import best_rule_match, judge
from tagpr.storage import read_json, read_records
from tagpr.types import Record

HEADINGS: Mapping[str, str] = {
    "chains": "chains", "rule_match": "rule match", "evidence_f1": "evidence F1", "application": "application",
    "answer_follows": "answer follows", "right_wrong_reason": "right, wrong reason",
    "wrong_right_reason": "wrong, right reason", "true_examined": "true examples", "true_patterns": "true patterns",
    "true_query": "true query",
}  # fmt: skip
Judged = tuple[Hashable, str, str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class ProcessRow:
    """One row's process truth over its replicates."""

    name: str
    figures: Mapping[str, PartialMean] = field(default_factory=dict)  # keys of HEADINGS
    why_none: str = ""  # why there are no figures


def process_rows(comparison: Comparison) -> list[ProcessRow]:
    """A row per policy and one for the best observer of the same histories; none where nobody's rule is known."""
    if not comparison.simulated:
        return []
    records = {run.seed: _known_people(run) for run in comparison.runs}
    rows = [_row(row, records) for row in comparison.rows if GREEDY in row.decodings]
    if not any(row.figures for row in rows):
        return rows
    best = [
        (seed, records[seed][key].user_id, key[0], best_rule_match(records[seed][key], positions))
        for seed, one in comparison.ceilings.items()
        for key, positions in shown_of(one).items()
    ]
    return [*rows, ProcessRow(name=BEST, figures=partial_means(best, nested=True))]


def _known_people(run: Run) -> dict[Question, Record]:
    """The evaluated questions of people whose rule is known; {} where no evaluation wrote what it showed."""
    evaluations = [one for row in run.rows.values() for one in row.evaluations.values() if shown_of(one)]
    if not evaluations:
        return {}
    splits = evaluations[0].manifest["config"]["evaluation"]["splits"]
    return {(one.task, one.record_id): one for one in read_records(run.records.folder, splits)}


def shown_of(evaluation: Evaluation) -> dict[Question, list[int]]:
    """Question -> positions in its profile of the entries shown; {} where the evaluation did not write them."""
    path = evaluation.folder / "shown_entries.json"
    if not path.is_file():
        return {}
    return {(task, record): positions for task, own in read_json(path).items() for record, positions in own.items()}


def _row(row: ComparedRow, records: Mapping[int, Mapping[Question, Record]]) -> ProcessRow:
    judged: list[Judged] = []
    if row.first.paid_by_truth:
        return ProcessRow(name=row.name, why_none="it was trained on the truth that these figures measure")
    for seed, own in row.by_seed.items():
        evaluation = own.evaluations[GREEDY]
        shown = shown_of(evaluation)
        if not shown:
            return ProcessRow(name=row.name, why_none="its evaluation did not write which entries it showed")
        config = evaluation.manifest["config"]
        if not config["prompt"]["thinking"]:
            return ProcessRow(name=row.name, why_none="it answers without thinking")
        if not config["tags"]["names"]:
            return ProcessRow(name=row.name, why_none="its chains have no tags")
        judged += _judged(seed, evaluation, shown, TagVocabulary(names=config["tags"]["names"]), records[seed])
    if not any(values["chains"] for *_, values in judged):
        return ProcessRow(name=row.name, why_none="it writes no tagged span")
    return ProcessRow(name=row.name, figures=partial_means(judged, nested=True))


def _judged(
    seed: int,
    evaluation: Evaluation,
    shown: Mapping[Question, Sequence[int]],
    vocabulary: TagVocabulary,
    records: Mapping[Question, Record],
) -> list[Judged]:
    columns = ["task", "record_id", "completion"]
    table = pq.read_table(evaluation.folder / "predictions.parquet", columns=columns).to_pydict()
    judged: list[Judged] = []
    for task, record_id, completion in zip(*(table[column] for column in columns), strict=True):
        record = records[task, record_id]
        found = judge(record, shown[task, record_id], completion, vocabulary)
        judged.append((seed, record.user_id, task, {"chains": float(found is not None), **(found or {})}))
    return judged


def process_cells(rows: Sequence[ProcessRow], *, intervals: bool) -> list[tuple[str, ...]]:
    """A line per row: its name and a cell per figure; a dash for what does not exist."""
    return [
        (row.name, *(mean_text(row.figures.get(name), "", intervals=intervals) for name in HEADINGS)) for row in rows
    ]


def mean_text(one: PartialMean | None, sign: str, *, intervals: bool) -> str:
    """Two decimals, with the interval where there is one and it is asked for; a dash for what is not there."""
    if one is None or one.value != one.value:
        return "-"
    if not intervals or one.low is None or one.high is None:
        return f"{one.value:{sign}.2f}"
    return f"{one.value:{sign}.2f} [{one.low:{sign}.2f}, {one.high:{sign}.2f}]"
