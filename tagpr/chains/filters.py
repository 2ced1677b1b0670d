"""Which of a teacher's chains are kept: rejection sampling on the official metric, and checks of form and content."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from tagpr.chains.overlap import copied_share, jaccard, shingles, words
from tagpr.chains.tags import TagVocabulary, cited_entries, parse
from tagpr.errors import UserError
from tagpr.markup import escape
from tagpr.tasks.base import Task
from tagpr.types import Prompt

# Why a chain may be rejected, in the order of asking: the first reason counts.
REASONS = (
    "ill_formed",  # markup or answer cannot be read
    "unknown_entry",  # cites a number that the prompt does not show
    "too_short",
    "too_long",
    "verbatim_paste",
    "wrong_answer",  # below the task's bar, and drawn by strictness
    "near_duplicate",  # of a chain of the same record that is kept
)
COPY_RUN = 12  # words; shorter runs are quotations
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A chain that is to be judged. Filled by the chains stage."""

    prompt: Prompt
    sample_index: int
    reasoning: str  # the teacher's steps, without tags: what an arm's markup cannot change
    completion: str  # with its thinking block, also where the policy will be taught the bare answer
    answer: str
    score: float  # the task's reward of the answer against gold


@final
@dataclass(frozen=True, kw_only=True)
class ChainFilter:
    """What a chain must be to be kept. Built from the group `chains`, under `filter`.

    Args:
        strictness: chance, in [0, 1], that a chain whose score is below the task's bar is rejected for it.
        text_quantile: text tasks' bar: this quantile of the scores of all chains of the task.
        min_words, max_words: words and marks of a chain.
        max_copied_share: share of a chain's words, in [0, 1], that may stand in runs of >= 12 words of history or
        query.
        duplicate_overlap: share of word 3-grams, in (0, 1], from which on two chains of a record are the same.
    """

    strictness: float
    text_quantile: float
    min_words: int
    max_words: int
    max_copied_share: float
    duplicate_overlap: float

    def __post_init__(self) -> None:
        for name in ("strictness", "text_quantile", "max_copied_share", "duplicate_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"chains.filter.{name}={getattr(self, name)}, expected a share in [0, 1].")
        if not 0 <= self.min_words <= self.max_words:
            raise UserError(
                f"chains.filter.min_words={self.min_words}, max_words={self.max_words}: expected 0 <= min <= max."
            )

    def bars(self, scores: Mapping[str, Sequence[float]], tasks: Mapping[str, Task]) -> dict[str, float]:
        """The lowest good score per task: a right label, a rating without error, a text at the quantile of its task."""
        return {
            name: float(np.quantile(scores[name], self.text_quantile)) if tasks[name].kind == "text" else 1.0
            for name in scores
        }

    def judge(
        self,
        candidates: Sequence[Candidate],
        *,
        tasks: Mapping[str, Task],
        bars: Mapping[str, float],
        vocabulary: TagVocabulary,
        seed: int,
    ) -> list[str]:
        """The reason of rejection of each candidate, out of REASONS; "" where it is kept."""
        reasons = []
        kept: dict[str, list[frozenset[tuple[str, ...]]]] = {}
        for candidate in candidates:
            record = candidate.prompt.record
            reason = self._reason(candidate, tasks[record.task], bars[record.task], vocabulary, seed)
            if not reason:
                known = kept.setdefault(record.record_id, [])
                body = shingles(f"{candidate.reasoning} {candidate.answer}")
                if any(jaccard(body, other) >= self.duplicate_overlap for other in known):
                    reason = "near_duplicate"
                else:
                    known.append(body)
            reasons.append(reason)
        return reasons

    def _reason(self, candidate: Candidate, task: Task, bar: float, vocabulary: TagVocabulary, seed: int) -> str:
        prompt = candidate.prompt
        parsed = parse(candidate.completion, vocabulary, True, task.is_valid)
        if not parsed.g_answer or parsed.g_tags is False:
            return "ill_formed"
        if any(not 1 <= number <= len(prompt.history) for number in cited_entries(candidate.reasoning)):
            return "unknown_entry"
        num_words = len(words(candidate.reasoning))
        if num_words < self.min_words:
            return "too_short"
        if num_words > self.max_words:
            return "too_long"
        sources = [escape(f"{entry.input} {entry.response}") for entry in prompt.history]
        copied = copied_share(candidate.reasoning, [*sources, escape(prompt.record.query)], run_length=COPY_RUN)
        if copied > self.max_copied_share:
            return "verbatim_paste"
        # The draw belongs to the chain, so that it is the same in every arm that shares the teacher's samples.
        draw = random.Random(f"{seed}/{prompt.record.record_id}/{candidate.sample_index}/strictness").random()
        return "wrong_answer" if candidate.score < bar - ROUNDING and draw < self.strictness else ""
