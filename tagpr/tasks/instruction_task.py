"""Tasks whose input text is an instruction with the payload behind it: all of LaMP's but the citation task."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tagpr.tasks.base import Question, Task
from tagpr.tasks.reading import optional_field, payload_after_marker, text_field
from tagpr.types import ProfileEntry


@lru_cache(maxsize=64)
def _instruction_pattern(instruction: str) -> re.Pattern[str]:
    """The instruction with any spacing and any list in its brackets: its order differs between copies."""
    parts = re.split(r"\[[^\]]*\]", instruction)
    spaced = [r"\s+".join(re.escape(word) for word in re.split(r"\s+", part)) for part in parts]
    return re.compile(r"\s*" + r"\[[^\]]*\]".join(spaced) + r"(?:\s+|$)")


@dataclass(frozen=True, kw_only=True)
class InstructionTask(Task):
    """A task asked as `{instruction} {payload}`.

    Args:
        instruction: the official sentences up to and including the marker before the payload, e.g. `... review:`.
        input_field: the profile item's field that was answered to; "" where there is none (tweets).
        response_field: the profile item's field that is the user's own side.
        title_field: a heading beside the response; "" where there is none.
        corpus_fields: the fields that the official rankers join by a space.
    """

    instruction: str
    input_field: str
    response_field: str
    title_field: str = ""
    corpus_fields: tuple[str, ...]

    def read_question(self, text: str) -> Question:
        known = _instruction_pattern(self.instruction).match(text)
        if known:
            return Question(query=text[known.end() :].strip(), recognised=True)
        return Question(query=payload_after_marker(text), recognised=False)

    def write_question(self, query: str) -> str:
        return f"{self.instruction} {query}"

    @abstractmethod
    def read_response(self, raw: Mapping[str, Any]) -> str:
        """The user's side of a profile item, in the form of a gold. Raises ValueError where it cannot be read."""

    def entry(self, raw: Mapping[str, Any]) -> ProfileEntry:
        return ProfileEntry(
            entry_id=optional_field(raw, "id"),
            input=text_field(raw, self.input_field) if self.input_field else "",
            response=self.read_response(raw),
            title=text_field(raw, self.title_field) if self.title_field else "",
            date=optional_field(raw, "date"),
        )

    def write_entry(self, entry: ProfileEntry) -> dict[str, str]:
        fields = {
            "id": entry.entry_id,
            self.input_field: entry.input,
            self.title_field: entry.title,
            self.response_field: entry.response,
            "date": entry.date,
        }
        return {field: text for field, text in fields.items() if field and (field != "date" or text)}

    def corpus_text(self, entry: ProfileEntry) -> str:
        by_field = {self.title_field: entry.title, self.response_field: entry.response, self.input_field: entry.input}
        return " ".join(by_field[field] for field in self.corpus_fields)

    def retrieval_query(self, question: str) -> str:
        return self.read_question(question).query
