"""What one row of a run answered, what it read, and where its records are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from tagpr.analysis.explorer.choice import check_name
from tagpr.analysis.open_run import row_builder
from tagpr.analysis.runs import Evaluation, Question, Row
from tagpr.chains.tags import TagVocabulary
from tagpr.types import Prediction, Prompt, Record


class RowAnswers:
    """One row's answers under one decoding, of several samples the first."""

    def __init__(self, row: Row, decoding: str) -> None:
        check_name("--decoding", decoding, row.evaluations)
        self.row = row
        self.evaluation: Evaluation = row.evaluations[decoding]
        config: dict[str, Any] = self.evaluation.manifest["config"]
        self.entries: int | None = config["evaluation"].get("entries")
        self.splits: Sequence[str] = config["evaluation"]["splits"]
        self.thinking: bool = config["prompt"]["thinking"]
        self.vocabulary = TagVocabulary(names=config["tags"]["names"])
        self.records = self.evaluation.folder.parent.parent / "records" / self.evaluation.manifest["inputs"]["records"]
        first = [one for one in self.evaluation.predictions if one.sample_index == 0]
        self.of: dict[Question, Prediction] = {(one.task, one.record_id): one for one in first}

    @cached_property
    def _builder(self):
        return row_builder(self.row, self.evaluation)

    def prompt(self, record: Record) -> Prompt:
        """What the row's policy read."""
        if self.entries is not None:
            record = replace(record, retrieved=record.retrieved[: self.entries])
        return self._builder.build(record)

    @cached_property
    def beside(self) -> dict[Question, list[tuple[str, str]]]:
        """What references answered, given what this row was shown."""
        found: dict[Question, list[tuple[str, str]]] = {}
        for one in self.evaluation.reference_answers:
            found.setdefault((one.task, one.record_id), []).append((one.name, one.answer))
        return found
