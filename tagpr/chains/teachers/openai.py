"""A teacher behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

from tagpr.chains.asking import question_text, read_reply
from tagpr.chains.endpoint import AsksEndpoint, Question
from tagpr.chains.teachers.base import RawChain, Teacher
from tagpr.types import Prompt


@final
@dataclass(kw_only=True, eq=False)
class OpenAITeacher(AsksEndpoint, Teacher):
    """A request per prompt and sample; the wording is `tagpr.chains.asking`'s."""

    role = "teacher"
    shares_kept = True

    def __post_init__(self) -> None:
        AsksEndpoint.__post_init__(self)
        self.name = f"openai:{self.model}"

    def chains(self, prompt: Prompt, *, num_samples: int, seed: int) -> list[RawChain]:
        """The chains that were to be had; nothing is kept."""
        with TemporaryDirectory() as folder:
            (found,) = self.write(
                [prompt], num_samples=num_samples, seed=seed, kept=Path(folder), on_done=lambda: None
            )  # fmt: skip
        return [chain for chain in found if chain is not None]

    def write(
        self, prompts: Sequence[Prompt], *, num_samples: int, seed: int, kept: Path, on_done: Callable[[], None]
    ) -> list[list[RawChain | None]]:
        questions = [
            Question(record_id=prompt.record.record_id, sample_index=index, text=text, form=None)
            for prompt in prompts
            for text in [question_text(prompt)]
            for index in range(num_samples)
        ]
        left = Counter(dict.fromkeys(range(len(prompts)), num_samples))

        def on_answer(place: int) -> None:
            left[place // num_samples] -= 1
            if not left[place // num_samples]:
                on_done()

        found = self.ask_all(
            questions,
            read=lambda place, reply: read_reply(reply, prompts[place // num_samples]),
            seed=seed,
            kept=kept,
            on_answer=on_answer,
        )
        return [found[start : start + num_samples] for start in range(0, len(found), num_samples)]
