"""A tagger behind an OpenAI-compatible endpoint: one request per chain."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

from tagpr.chains.endpoint import AsksEndpoint, Question
from tagpr.chains.taggers.base import Tagger
from tagpr.chains.tags import TAGS
from tagpr.errors import UserError
from tagpr.markup import THINK_CLOSE
from tagpr.types import Prompt

_TASK = """Below are the numbered steps of somebody's reasoning about how a person would answer a question. "Entries" \
are that person's earlier items, cited as <1>, <2>, ...; "the query" is the new question. Say of each step which one \
of these functions it has; where it has several, the one that the rest of the reasoning needs it for:

{functions}

Answer with JSON alone, one item per step, in order: {{"tags": [{{"step": 1, "tag": "..."}}, ...]}}

{steps}"""


def tagging_text(steps: Sequence[str]) -> str:
    """The user message for the tagger: what each tag stands for, and the steps."""
    functions = "\n".join(f"- {tag.name}: {tag.function}" for tag in TAGS.values())
    return _TASK.format(functions=functions, steps="\n".join(f"{n}. {step}" for n, step in enumerate(steps, start=1)))


def answer_form() -> dict[str, Any]:
    """The JSON schema of the answer. Not every server counts items: the reader does."""
    item = {
        "type": "object",
        "properties": {"step": {"type": "integer"}, "tag": {"type": "string", "enum": list(TAGS)}},
        "required": ["step", "tag"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": item}},
        "required": ["tags"],
        "additionalProperties": False,
    }


def read_tags(reply: str, num_steps: int) -> list[str] | None:
    """The tags of a reply, one per step; None unless each step has exactly one that is known.

    Reads the object asked for, a bare array of its items or of names, and either one amid other text.
    """
    read = (_tags_in(value, num_steps) for value in _json_values(reply.rpartition(THINK_CLOSE)[2]))
    return next((names for names in read if names is not None), None)


def _tags_in(value: Any, num_steps: int) -> list[str] | None:
    items = value.get("tags") if isinstance(value, Mapping) else value
    if not isinstance(items, list) or len(items) != num_steps:
        return None
    if all(isinstance(item, Mapping) for item in items):
        if not all(type(item.get("step")) is int for item in items):
            return None
        items = sorted(items, key=lambda item: item["step"])
        if [item["step"] for item in items] != list(range(1, num_steps + 1)):
            return None
        items = [item.get("tag") for item in items]
    names = [item.strip().strip("<>") if isinstance(item, str) else "" for item in items]
    return names if all(name in TAGS for name in names) else None


def _json_values(text: str) -> list[Any]:
    """JSON objects and arrays in a text, from left to right, those inside others left out."""
    values, place, decoder = [], 0, json.JSONDecoder()
    while place < len(text):
        starts = [start for start in (text.find("{", place), text.find("[", place)) if start >= 0]
        if not starts:
            break
        try:
            value, place = decoder.raw_decode(text, min(starts))
            values.append(value)
        except (ValueError, RecursionError):
            place = min(starts) + 1
    return values


@final
@dataclass(kw_only=True, eq=False)
class LlmTagger(AsksEndpoint, Tagger):
    """Labels by what `Tag.function` says of each tag."""

    asks_for_schema: bool

    role = "tagger"
    shares_kept = True

    def tag(self, prompt: Prompt, steps: Sequence[str]) -> list[str]:
        """The tags of one chain; nothing is kept. Raises UserError where there are none."""
        with TemporaryDirectory() as folder:
            (found,) = self.tag_all([(prompt, steps)], kept=Path(folder), on_done=lambda: None)
        if found is None:
            raise UserError(f"{self.model} gave no tags for the chain of record {prompt.record.record_id}.")
        return found

    def tag_all(
        self, chains: Sequence[tuple[Prompt, Sequence[str]]], *, kept: Path, on_done: Callable[[], None]
    ) -> list[list[str] | None]:
        form = answer_form() if self.asks_for_schema else None
        questions = [  # the same steps about the same record are one question
            Question(record_id=prompt.record.record_id, sample_index=None, text=tagging_text(steps), form=form)
            for prompt, steps in chains
        ]
        return self.ask_all(
            questions,
            read=lambda place, reply: read_tags(reply, len(chains[place][1])),
            seed=0,  # which chain it is stands in the request
            kept=kept,
            on_answer=lambda place: on_done(),
        )
