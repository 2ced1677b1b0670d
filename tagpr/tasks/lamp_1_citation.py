"""LaMP-1: which of two papers does this author cite?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from tagpr.tasks.base import Question, Task
from tagpr.tasks.label_task import read_label
from tagpr.tasks.metrics import accuracy_and_macro_f1, label_index
from tagpr.tasks.reading import after_thinking, optional_field, payload_after_marker, text_field
from tagpr.types import ProfileEntry

_QUESTION = re.compile(
    r'\s*For an author who has written the paper with the title "(?P<title>.*)", which reference is related\? '
    r"Just answer with \[1\] or \[2\] without explanation\. "
    r'\[1\]: "(?P<first>.*)" \[2\]: "(?P<second>.*)"\s*',
    re.DOTALL,
)
_QUERY = re.compile(r'(?P<title>.*) \[1\]: "(?P<first>.*)" \[2\]: "(?P<second>.*)"', re.DOTALL)
_REFERENCES = re.compile(r'\[1\]:\s*"(?P<first>.*)"\s*\[2\]:\s*"(?P<second>.*)"', re.DOTALL)
_QUOTED = re.compile(r'"([^"]*)"')
_CHOICE = re.compile(r"(?<![\w.])\[?([12])\]?(?![\w]|\.\d)")


@final
@dataclass(frozen=True, kw_only=True)
class CitationTask(Task):
    """A title and two references; the one that the author cited is right. Query: `title [1]: "..." [2]: "..."`."""

    primary_metric: str = "accuracy"
    labels: tuple[str, ...] = ("[1]", "[2]")

    @property
    def kind(self) -> str:
        return "label"

    def read_question(self, text: str) -> Question:
        known = _QUESTION.fullmatch(text)
        if known:
            query = f'{known["title"]} [1]: "{known["first"]}" [2]: "{known["second"]}"'
            return Question(query=query, recognised=True)
        references = _REFERENCES.search(text)
        if not references:
            return Question(query=payload_after_marker(text), recognised=False)
        title = _QUOTED.search(text, 0, references.start())
        query = f'{title[1] if title else ""} [1]: "{references["first"]}" [2]: "{references["second"]}"'
        return Question(query=query.strip(), recognised=False)

    def write_question(self, query: str) -> str:
        parts = _QUERY.fullmatch(query)
        if not parts:
            raise ValueError(f'{query!r} is not a citation query, expected: title [1]: "reference" [2]: "reference".')
        return (
            f'For an author who has written the paper with the title "{parts["title"]}", which reference is related? '
            f'Just answer with [1] or [2] without explanation. [1]: "{parts["first"]}" [2]: "{parts["second"]}"'
        )

    def entry(self, raw: Mapping[str, Any]) -> ProfileEntry:
        return ProfileEntry(
            entry_id=optional_field(raw, "id"),
            input=text_field(raw, "abstract"),
            response=text_field(raw, "title"),
            date=optional_field(raw, "date"),
        )

    def write_entry(self, entry: ProfileEntry) -> dict[str, str]:
        item = {"id": entry.entry_id, "title": entry.response, "abstract": entry.input}
        return item | ({"date": entry.date} if entry.date else {})

    def read_gold(self, raw: Any) -> str:
        return read_label(raw, self.labels)

    def shown_input(self, entry: ProfileEntry) -> str:
        """Nothing: the official prompt shows an author's titles without their abstracts."""
        return ""

    def corpus_text(self, entry: ProfileEntry) -> str:
        return f"{entry.response} {entry.input}"

    def retrieval_query(self, question: str) -> str:
        """The two references; the title of the author's own paper is not used."""
        references = _REFERENCES.search(question)
        if not references:
            return self.read_question(question).query
        return f"{references['first']} {references['second']}"

    def telltale(self, query: str, gold: str) -> tuple[str | None, str]:
        """The right reference itself: an author cites their own papers."""
        parts = _QUERY.fullmatch(query)
        return None, (parts["first"] if gold == "[1]" else parts["second"]) if parts else gold

    def is_valid(self, answer: str) -> bool:
        return label_index(answer, self.labels) >= 0

    def lenient(self, completion: str) -> str:
        """The first 1 or 2 that stands alone, with or without brackets."""
        choice = _CHOICE.search(after_thinking(completion))
        return f"[{choice[1]}]" if choice else ""

    def score(self, answer: str, gold: str) -> float:
        return float(self.is_valid(answer) and answer.strip() == gold.strip())

    def metrics(self, answers: Sequence[str], golds: Sequence[str]) -> dict[str, float]:
        accuracy, f1 = accuracy_and_macro_f1(answers, golds, self.labels)
        return {"accuracy": accuracy, "f1": f1}


LAMP_1_CITATION = CitationTask(name="LaMP_1", cue="citation")
