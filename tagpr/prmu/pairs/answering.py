"""The SFT policy as a source of answers: under the own history, under none, and under another person's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from transformers import PreTrainedModel

from tagpr.chains.tags import TagVocabulary, parse
from tagpr.context import StageContext
from tagpr.data.other_people import People, closest
from tagpr.data.prompts import PromptBuilder
from tagpr.data.retrieval import Retriever
from tagpr.lm.generation.base import RolloutEngine, Sampling
from tagpr.markup import escape
from tagpr.prmu.pairs.base import PolicySample
from tagpr.prmu.pairs.generated import shares_query
from tagpr.tasks import ALL_TASKS, task_named
from tagpr.types import Prompt, Record


class Lending:
    """Whose history stands in for a person's own.

    People who were asked the same and answered otherwise come first, then those whose histories are nearest in topic.
    Of the first `candidates` the first is taken whose history has as many entries and about the length of the own one.

    Args:
        records: of one split; nobody of another lends.
        candidates: people looked at.
        length_band: share by which the histories' characters may differ.
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        builder: PromptBuilder,
        retriever: Retriever,
        candidates: int,
        length_band: float,
        seed: int,
    ) -> None:
        by_task: dict[str, list[Record]] = {}
        for record in records:
            by_task.setdefault(record.task, []).append(record)
        self._people = {task: People(of_task) for task, of_task in by_task.items()}
        self._builder = builder
        self._retriever = retriever
        self._candidates = candidates
        self._length_band = length_band
        self._seed = seed

    def prompt(self, record: Record) -> tuple[Prompt, Record] | None:
        """The question under another's history; None where no history is shown or nobody else was asked the task."""
        own = self._builder.build(record)
        ranked = self._people[record.task].nearest(record, seed=self._seed)
        if not own.history or not ranked:
            return None
        sharing = [
            one for one in ranked if shares_query(record, one) and escape(one.gold or "") != escape(record.gold or "")
        ]

        def lent(other: Record) -> Prompt:
            swapped = replace(record, profile=other.profile, retrieved=())
            retrieved = self._retriever.rank(swapped, task_named(record.task), seed=self._seed)
            return self._builder.build(replace(swapped, retrieved=retrieved[: len(own.history)]))

        offered = ((lent(one), one) for one in islice(sharing or ranked, self._candidates))
        prompt, lender, _ = closest(own, offered, length_band=self._length_band)
        return prompt, lender


class Answering:
    """Draws answers and scores them."""

    def __init__(
        self,
        *,
        engine: RolloutEngine,
        model: PreTrainedModel,
        builder: PromptBuilder,
        vocabulary: TagVocabulary,
        sampling: Sampling,
        context: StageContext,
    ) -> None:
        self._engine = engine
        self._model = model
        self._builder = builder
        self._vocabulary = vocabulary
        self._sampling = sampling
        self._context = context
        self._calls = 0

    def with_history(self, records: Sequence[Record], *, number: int) -> list[PolicySample]:
        """`number` answers to each record as it is asked in evaluation."""
        prompts = [self._builder.build(record) for record in records]
        return self._samples("sampling answers", records, prompts, number=number, with_history=True)

    def without_history(self, records: Sequence[Record], *, number: int) -> list[PolicySample]:
        """`number` answers to each record without any entry shown."""
        prompts = [self._builder.build(replace(record, retrieved=())) for record in records]
        return self._samples("sampling answers without history", records, prompts, number=number)

    def under_lent(
        self, records: Sequence[Record], lent: Mapping[str, tuple[Prompt, Record]], *, number: int
    ) -> list[PolicySample]:
        """`number` answers to each record under the history lent to it; records without a lender are left out."""
        asked = [record for record in records if record.record_id in lent]
        prompts = [lent[record.record_id][0] for record in asked]
        lenders = {record.record_id: lent[record.record_id][1].record_id for record in asked}
        return self._samples("sampling answers of others", asked, prompts, number=number, lenders=lenders)

    def _samples(
        self,
        title: str,
        records: Sequence[Record],
        prompts: Sequence[Prompt],
        *,
        number: int,
        with_history: bool = False,
        lenders: Mapping[str, str] | None = None,
    ) -> list[PolicySample]:
        if not records or not number:
            return []
        self._calls += 1
        with self._context.progress(title, total=len(prompts) * number) as advance:
            groups = self._engine.generate(
                self._model,
                [self._builder.token_ids(prompt) for prompt in prompts],
                num_samples=number,
                sampling=self._sampling,
                seed=self._context.seed + self._calls,
                on_done=advance,
            )
        samples = []
        for record, prompt, group in zip(records, prompts, groups, strict=True):
            task = ALL_TASKS[record.task]
            for i, completion in enumerate(group):
                parsed = parse(completion.text, self._vocabulary, prompt.thinking, task.is_valid)
                samples.append(
                    PolicySample(
                        record_id=record.record_id,
                        user_id=record.user_id,
                        task=record.task,
                        split=record.split,
                        with_history=with_history,
                        sample_index=i,
                        answer=parsed.answer,
                        parsed=parsed.g_answer and not completion.truncated,
                        score=task.score(parsed.answer, record.gold or ""),
                        lender_id=(lenders or {}).get(record.record_id, ""),
                    )
                )
        return samples
