"""Tasks that are answered with a text in the user's manner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from tagpr.tasks.instruction_task import InstructionTask
from tagpr.tasks.metrics import mean_rouge, rouge_1_and_l
from tagpr.tasks.reading import after_thinking, first_line, text_field


@final
@dataclass(frozen=True, kw_only=True)
class TextTask(InstructionTask):
    """An item and the text that the user wrote for it."""

    primary_metric: str = "rouge-1"

    @property
    def kind(self) -> str:
        return "text"

    def read_gold(self, raw: Any) -> str:
        if not isinstance(raw, str) or not raw.strip():
            raise ValueError(f"gold {raw!r} is not a text")
        return raw.strip()

    def read_response(self, raw: Mapping[str, Any]) -> str:
        return text_field(raw, self.response_field).strip()

    def telltale(self, query: str, gold: str) -> tuple[str | None, str]:
        return None, gold

    def is_valid(self, answer: str) -> bool:
        return bool(answer.strip())

    def lenient(self, completion: str) -> str:
        return first_line(after_thinking(completion))

    def score(self, answer: str, gold: str) -> float:
        return sum(rouge_1_and_l(answer, gold)) / 2

    def metrics(self, answers: Sequence[str], golds: Sequence[str]) -> dict[str, float]:
        rouge_1, rouge_l = mean_rouge(answers, golds)
        return {"rouge-1": rouge_1, "rouge-L": rouge_l}
