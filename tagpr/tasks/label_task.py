"""Tasks that are answered with one label of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from tagpr.tasks.instruction_task import InstructionTask
from tagpr.tasks.metrics import accuracy_and_macro_f1, label_index
from tagpr.tasks.reading import after_thinking, find_label, text_field


def read_label(raw: Any, labels: tuple[str, ...]) -> str:
    """A gold that is one of the labels. Raises ValueError naming the labels where it is not."""
    if not isinstance(raw, str) or label_index(raw, labels) < 0:
        raise ValueError(f"gold {raw!r} is none of the labels: {', '.join(labels)}")
    return raw.strip()


@final
@dataclass(frozen=True, kw_only=True)
class LabelTask(InstructionTask):
    """An item and a list of labels; the user's own label is right."""

    primary_metric: str = "accuracy"

    @property
    def kind(self) -> str:
        return "label"

    def read_gold(self, raw: Any) -> str:
        return read_label(raw, self.labels)

    def read_response(self, raw: Mapping[str, Any]) -> str:
        # Labels outside the list do occur in histories; the loader counts them. Only a gold has to be in the list.
        return text_field(raw, self.response_field).strip()

    def is_valid(self, answer: str) -> bool:
        return label_index(answer, self.labels) >= 0

    def lenient(self, completion: str) -> str:
        return find_label(after_thinking(completion), self.labels)

    def score(self, answer: str, gold: str) -> float:
        return float(self.is_valid(answer) and answer.strip() == gold.strip())

    def metrics(self, answers: Sequence[str], golds: Sequence[str]) -> dict[str, float]:
        accuracy, f1 = accuracy_and_macro_f1(answers, golds, self.labels)
        return {"accuracy": accuracy, "f1": f1}
