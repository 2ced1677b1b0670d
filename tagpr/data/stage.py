"""The records stage: a source's records with their retrieved entries, and the hashes of what they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tagpr.context import StageContext, StopRequested
from tagpr.data.json_files import sha256_of
from tagpr.data.leaks import LeakGuard
from tagpr.data.rankings import open_rankings
from tagpr.data.retrieval import Retriever, is_own_entry
from tagpr.data.source import RecordSource
from tagpr.storage import StoredRecords, write_json, write_records
from tagpr.tasks import task_named
from tagpr.types import PURPOSES, SPLITS, Record


def run(
    *, data: RecordSource, retrieval: Retriever, inputs: Mapping[str, Path], output: Path, context: StageContext
) -> dict[str, int | float | str]:
    """Write `{train,dev,test}.parquet`, `leaks.json` and `sources.json` ({path: sha256}) into `output`, and CARD.md
    where the source has one; returns the counts, and a made data set's version and hash."""
    found = data.records(seed=context.seed)
    guard = LeakGuard(data.asked(found), drop_from=data.drop_golds_from)
    counter = RecordCounter()

    with open_rankings(retrieval, context.rankings, found, drop_from=data.drop_golds_from) as rankings:

        def retrieved() -> Iterator[Record]:
            with context.progress("retrieving", total=len(found)) as advance:
                for unguarded in found:
                    if context.stop.is_set():
                        raise StopRequested
                    record = guard.guarded(unguarded)
                    ranked = rankings.rank(record, task_named(record.task), seed=context.seed)
                    record = replace(record, retrieved=ranked)
                    counter.add(record)
                    yield record
                    advance()

        write_records(output, retrieved())
    write_json(output / "leaks.json", guard.report(data.shared_ids()))
    write_json(output / "sources.json", {str(path): sha256_of(path) for path in data.files()})
    if card := data.card(StoredRecords(output)):
        (output / "CARD.md").write_text(card, encoding="utf-8")
    return {
        **counter.counts(), **guard.counts(), **rankings.counts(), **data.figures(found), **data.version(found),
    }  # fmt: skip


class RecordCounter:
    """How many records and people there are where, and how many are not what one would wish for.

    `unrecognised_instructions`: asked in other words than the task's (the text after the last `word:` was taken);
    `unknown_profile_labels`: entries of label tasks whose response is none of the labels; `own_entries`: profile
    entries that are the question itself, which no retriever returns.
    """

    def __init__(self) -> None:
        self._people: dict[str, set[str]] = {split: set() for split in SPLITS}
        self._counts: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        """Count one record, its retrieved entries included."""
        counts, task = self._counts, task_named(record.task)
        self._people[record.split].add(record.user_id)
        counts["records"] += 1
        counts[f"records_{record.split}"] += 1
        counts[f"records_{record.task}"] += 1
        counts[f"questions_{record.purpose}"] += 1
        counts[f"gold_{record.purpose}"] += record.gold is not None
        counts["profile_entries"] += len(record.profile)
        counts["retrieved_entries"] += len(record.retrieved)
        counts["empty_profiles"] += not record.profile
        counts["unrecognised_instructions"] += not task.read_question(record.question).recognised
        counts["own_entries"] += sum(is_own_entry(entry, record) for entry in record.profile)
        if task.kind == "label" and task.name != "LaMP_1":
            counts["unknown_profile_labels"] += sum(not task.is_valid(entry.response) for entry in record.profile)

    def counts(self) -> dict[str, int | float]:
        """All counts; what there is always a number of is there as 0."""
        names = [
            "records", *(f"records_{split}" for split in SPLITS), *(f"questions_{purpose}" for purpose in PURPOSES),
            *(f"gold_{purpose}" for purpose in PURPOSES), "profile_entries", "retrieved_entries",
            "unrecognised_instructions", "empty_profiles", "unknown_profile_labels", "own_entries",
        ]  # fmt: skip
        people = {f"people_{split}": len(ids) for split, ids in self._people.items()}
        everybody = len(set().union(*self._people.values()))
        return {**dict.fromkeys(names, 0), **self._counts, "people": everybody, **people}
