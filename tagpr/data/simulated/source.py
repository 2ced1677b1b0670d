"""Records of the simulated world: people with known rules who answer shared questions."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from tagpr.data.simulated.gates import check_gates
from tagpr.data.simulated.grammar import FRAMES, Item
from tagpr.data.simulated.items import draw_item, item_facts
from tagpr.data.simulated.people import RULE_PARTS, draw_rule, noisy_answer, preferred_answer
from tagpr.data.source import RecordSource
from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS
from tagpr.types import SPLITS, ProfileEntry, Record

WORLD = "world-0.1"


class SimulatedSource(RecordSource):
    """Draws a whole world from one seed: rules, profiles, questions, answers. Fails where the world misses its gates.

    Args:
        size: name of one of `sizes`.
        sizes: {name: {split: number of people}}.
        tasks: out of S2, S3, S5.
        questions: {purpose: questions per person and task}; purposes sft, pairs, rl (train people), dev, test.
        profile_entries: earlier answers per person and task.
        answers_per_query: how many people answer one query, on average; queries are shared within a purpose and never
            across purposes.
        noise: share of answers, profile and gold alike, that are not what the person's rule says.
        held_out_frames: share of test people's texts written in paraphrases that train and dev people never see.
        min_gap: what blind and majority answers must stay below Bayes, in score.
    """

    def __init__(
        self,
        *,
        size: str,
        sizes: Mapping[str, Mapping[str, int]],
        tasks: Sequence[str],
        questions: Mapping[str, int],
        profile_entries: int,
        answers_per_query: float,
        noise: float,
        held_out_frames: float,
        min_gap: float,
    ) -> None:
        if size not in sizes:
            raise BadInputError(f"data.size is {size!r}, expected one of {', '.join(sizes)}.")
        unknown = [task for task in tasks if task not in RULE_PARTS]
        if unknown or not tasks:
            raise BadInputError(f"data.tasks is {list(tasks)}, expected some of {', '.join(RULE_PARTS)}.")
        self.people = {split: sizes[size][split] for split in SPLITS}
        self.tasks = tuple(tasks)
        self.questions = dict(questions)
        self.profile_entries = profile_entries
        self.answers_per_query = answers_per_query
        self.noise = noise
        self.held_out_frames = held_out_frames
        self.min_gap = min_gap

    def records(self, *, seed: int) -> list[Record]:
        """Train, then dev, then test people. Raises WorldGateError where the world is not fit for purpose."""
        records = [record for split in SPLITS for record in self._split(split, seed)]
        check_gates(records, min_gap=self.min_gap)
        return records

    def figures(self, records: Sequence[Record]) -> dict[str, float]:
        return check_gates(records, min_gap=self.min_gap)

    def _split(self, split: str, seed: int) -> Iterator[Record]:
        first = sum(self.people[earlier] for earlier in SPLITS[: SPLITS.index(split)])
        purposes = [purpose for purpose in self.questions if _split_of(purpose) == split]
        queries = {(task, purpose): self._queries(task, purpose, seed) for task in self.tasks for purpose in purposes}
        for number in range(first, first + self.people[split]):
            user_id = f"u{number:04d}"
            for task in self.tasks:
                rng = random.Random(f"{seed}/person/{user_id}/{task}")
                yield from self._person(user_id, task, split, {p: queries[task, p] for p in purposes}, rng)

    def _queries(self, task: str, purpose: str, seed: int) -> list[Item]:
        split = _split_of(purpose)
        num_answers = self.people[split] * self.questions[purpose]
        num_queries = max(self.questions[purpose], round(num_answers / self.answers_per_query))
        rng = random.Random(f"{seed}/queries/{purpose}/{task}")
        queries: dict[str, Item] = {}
        while len(queries) < num_queries:
            item = self._item(task, split, rng)
            queries.setdefault(item.text, item)
        return list(queries.values())

    def _item(self, task: str, split: str, rng: random.Random) -> Item:
        return draw_item(task, held_out_frames=self.held_out_frames if split == "test" else 0.0, rng=rng)

    def _person(
        self, user_id: str, task: str, split: str, queries: Mapping[str, Sequence[Item]], rng: random.Random
    ) -> Iterator[Record]:
        rule = draw_rule(task, rng)
        asked = [(p, item) for p, items in queries.items() for item in rng.sample(items, self.questions[p])]
        taken = {item.text for _, item in asked}
        items: list[Item] = []
        while len(items) < self.profile_entries:
            item = self._item(task, split, rng)
            if item.text not in taken:
                taken.add(item.text)
                items.append(item)
        facts = [item_facts(item) for item in items]
        answers = [noisy_answer(task, rule, fact, noise=self.noise, rng=rng) for fact in facts]
        profile = tuple(
            ProfileEntry(entry_id=f"{task}-{user_id}-p{index}", input=item.text, response=answer)
            for index, (item, answer) in enumerate(zip(items, answers, strict=True))
        )
        evidence = [i for i, fact in enumerate(facts) if answers[i] == preferred_answer(task, rule, fact)]
        for index, (purpose, item) in enumerate(asked):
            query_facts = item_facts(item)
            yield Record(
                record_id=f"{task}-{user_id}-q{index}",
                user_id=user_id,
                task=task,
                split=split,
                purpose=purpose,
                question=ALL_TASKS[task].write_question(item.text),
                query=item.text,
                gold=noisy_answer(task, rule, query_facts, noise=self.noise, rng=rng),
                profile=profile,
                retrieved=(),
                truth={
                    "world": WORLD,
                    "noise": self.noise,
                    "rule": rule,
                    "preferred": preferred_answer(task, rule, query_facts),  # the answer without noise
                    "query": query_facts,
                    "profile": facts,  # one per profile entry
                    "evidence": evidence,  # positions in profile where the answer follows the rule
                    "held_out_frame": item.frame not in FRAMES[task],
                },
            )


def _split_of(purpose: str) -> str:
    return purpose if purpose in SPLITS else "train"
