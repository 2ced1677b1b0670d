"""What a task is: its query, its labels, how an answer is read, and how answers are scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagpr.types import ProfileEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """The parts of an official input text."""

    query: str  # the payload, instruction removed
    recognised: bool  # False: the instruction is not the task's own and the text after the last `word:` was taken


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """One LaMP-form task. Stateless; the same functions serve rewards and evaluation.

    Args:
        name: LaMP_1 .. LaMP_7, or S1 .. S7 for the simulated tasks that mirror them.
        cue: one short word that names the task in a compact prompt.
        primary_metric: the key of `metrics` that stands for the task in a table.
        lower_is_better: whether a smaller primary metric is the better one.
        labels: valid answers in the evaluator's order; empty where any text is valid.
    """

    name: str
    cue: str
    primary_metric: str
    lower_is_better: bool = False
    labels: tuple[str, ...] = ()

    @property
    @abstractmethod
    def kind(self) -> str:
        """`label`, `rating` or `text`."""

    @abstractmethod
    def read_question(self, text: str) -> Question:
        """Split an official input text into instruction and query."""

    @abstractmethod
    def write_question(self, query: str) -> str:
        """The official input text that asks `query`: the inverse of `read_question`."""

    @abstractmethod
    def entry(self, raw: Mapping[str, Any]) -> ProfileEntry:
        """A profile item of the data's JSON as a ProfileEntry. Raises ValueError naming the missing field."""

    @abstractmethod
    def write_entry(self, entry: ProfileEntry) -> dict[str, str]:
        """A ProfileEntry as a profile item of the data's JSON: the inverse of `entry`."""

    @abstractmethod
    def read_gold(self, raw: Any) -> str:
        """A gold of the data's JSON as the answer to learn. Raises ValueError where it is none the task knows."""

    def shown_input(self, entry: ProfileEntry) -> str:
        """An entry's input as prompts show it; "" where the response alone is shown."""
        return entry.input

    @abstractmethod
    def corpus_text(self, entry: ProfileEntry) -> str:
        """The text that stands for an entry in retrieval (official corpus string)."""

    @abstractmethod
    def retrieval_query(self, question: str) -> str:
        """The text to retrieve with (official query string)."""

    def telltale(self, query: str, gold: str) -> tuple[str | None, str]:
        """The profile entry that would give the answer away: its input (None: whatever it is) and its response."""
        return query, gold

    @abstractmethod
    def is_valid(self, answer: str) -> bool:
        """Whether the official evaluator can read the answer as it stands."""

    @abstractmethod
    def lenient(self, completion: str) -> str:
        """The answer that a forgiving reader finds in a completion; "" where there is none."""

    @abstractmethod
    def score(self, answer: str, gold: str) -> float:
        """Reward in [0, 1]: exact label; 1 - |error| / 4; mean of ROUGE-1 and ROUGE-L."""

    @abstractmethod
    def metrics(self, answers: Sequence[str], golds: Sequence[str]) -> dict[str, float]:
        """The official metrics over a set of answers, keys as in LaMP: accuracy, f1, mae, rmse, rouge-1, rouge-L."""
