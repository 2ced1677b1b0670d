"""The records stage: a source's records with their retrieved entries, and the hashes of what they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tagpr.context import StageContext
from tagpr.data.json_files import sha256_of
from tagpr.data.leaks import LeakGuard
from tagpr.data.rankings import open_rankings
from tagpr.data.retrieval import Retriever, is_own_entry
from tagpr.data.source import RecordSource
from tagpr.storage import write_json, write_records
from tagpr.tasks import task_named
from tagpr.types import PURPOSES, SPLITS, Record


def run(
    *, data: RecordSource, retrieval: Retriever, inputs: Mapping[str, Path], output: Path, context: StageContext
) -> dict[str, int | float]:
    """Write `{train,dev,test}.parquet`, `leaks.json` and `sources.json` ({path: sha256}) into `output`, and CARD.md
    where the source has one; returns the counts."""
    found = data.records(seed=context.seed)
    guard = LeakGuard(found, drop_from=data.drop_golds_from)
    found = [guard.guarded(record) for record in found]
    records = []
    with (
        open_rankings(retrieval, context.rankings, found) as rankings,
        context.progress("retrieving", total=len(found)) as advance,
    ):
        for record in found:
            retrieved = rankings.rank(record, task_named(record.task), seed=context.seed)
            records.append(replace(record, retrieved=retrieved))
            advance()
    write_json(output / "leaks.json", guard.report(data.shared_ids()))
    write_records(output, records)
    write_json(output / "sources.json", {str(path): sha256_of(path) for path in data.files()})
    if card := data.card(records):
        (output / "CARD.md").write_text(card, encoding="utf-8")
    return {**count_records(records), **guard.counts(), **rankings.counts(), **data.figures(records)}


def count_records(records: Sequence[Record]) -> dict[str, int | float]:
    """How many records and people there are where, and how many are not what one would wish for.

    `unrecognised_instructions`: asked in other words than the task's (the text after the last `word:` was taken);
    `unknown_profile_labels`: entries of label tasks whose response is none of the labels; `own_entries`: profile
    entries that are the question itself, which no retriever returns.
    """
    counts: Counter[str] = Counter({"records": len(records), "people": len({record.user_id for record in records})})
    for split in SPLITS:
        inside = [record for record in records if record.split == split]
        counts[f"records_{split}"] = len(inside)
        counts[f"people_{split}"] = len({record.user_id for record in inside})
    for purpose in PURPOSES:
        inside = [record for record in records if record.purpose == purpose]
        counts[f"questions_{purpose}"] = len(inside)
        counts[f"gold_{purpose}"] = sum(record.gold is not None for record in inside)
    for name in ("unrecognised_instructions", "empty_profiles", "unknown_profile_labels", "own_entries"):
        counts[name] = 0
    for record in records:
        task = task_named(record.task)
        counts[f"records_{record.task}"] += 1
        counts["profile_entries"] += len(record.profile)
        counts["retrieved_entries"] += len(record.retrieved)
        counts["empty_profiles"] += not record.profile
        counts["unrecognised_instructions"] += not task.read_question(record.question).recognised
        counts["own_entries"] += sum(is_own_entry(entry, record) for entry in record.profile)
        if task.kind == "label" and task.name != "LaMP_1":
            counts["unknown_profile_labels"] += sum(not task.is_valid(entry.response) for entry in record.profile)
    return dict(counts)
