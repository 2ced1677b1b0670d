"""Tasks that are answered with a rating from 1 to 5."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from tagpr.tasks.instruction_task import InstructionTask
from tagpr.tasks.metrics import (
    HIGHEST_RATING,
    LOWEST_RATING,
    RATING_RANGE,
    mae_and_rmse,
    parse_rating,
    rating_or_fallback,
)
from tagpr.tasks.reading import after_thinking

_NUMBER = re.compile(r"(?<![\d.])\d+(?:\.\d+)?")


def read_rating(raw: Any) -> str:
    """A rating of the data ("5", 5 or "5.0") as "1" .. "5". Raises ValueError for anything else."""
    value = None if isinstance(raw, bool) or raw is None else parse_rating(str(raw))
    if value is None or value != int(value) or not LOWEST_RATING <= value <= HIGHEST_RATING:
        raise ValueError(f"score {raw!r} is not a whole number from 1 to 5")
    return str(int(value))


@final
@dataclass(frozen=True, kw_only=True)
class RatingTask(InstructionTask):
    """An item and a scale; the user's own rating is right, and being near it counts."""

    primary_metric: str = "mae"
    lower_is_better: bool = True
    labels: tuple[str, ...] = ("1", "2", "3", "4", "5")

    @property
    def kind(self) -> str:
        return "rating"

    def read_gold(self, raw: Any) -> str:
        return read_rating(raw)

    def read_response(self, raw: Mapping[str, Any]) -> str:
        if self.response_field not in raw:
            raise ValueError(
                f"field {self.response_field!r}: it is missing. The item's fields: {', '.join(map(str, raw))}"
            )
        return read_rating(raw[self.response_field])

    def is_valid(self, answer: str) -> bool:
        """Any number: the evaluator takes 4.5 and 7 as they stand."""
        return parse_rating(answer) is not None

    def lenient(self, completion: str) -> str:
        """The first number from 1 to 5, fractions too."""
        numbers = (match.group() for match in _NUMBER.finditer(after_thinking(completion)))
        return next((number for number in numbers if LOWEST_RATING <= float(number) <= HIGHEST_RATING), "")

    def score(self, answer: str, gold: str) -> float:
        """1 - |error| / 4, not below 0; the official fallback's error where the answer is no number."""
        error = abs(rating_or_fallback(answer, float(gold)) - float(gold))
        return max(0.0, 1.0 - error / RATING_RANGE)

    def metrics(self, answers: Sequence[str], golds: Sequence[str]) -> dict[str, float]:
        mae, rmse = mae_and_rmse(answers, golds)
        return {"mae": mae, "rmse": rmse}
