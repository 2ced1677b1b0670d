"""Records of the simulated world: people with known rules and manners who answer shared questions."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagpr.data.simulated.gates import Gate, GateBounds, gate_figures, gate_table, measure_gates, require
from tagpr.data.simulated.grammar import read_facts, read_keywords
from tagpr.data.simulated.items import Item, ItemDials, draw_item
from tagpr.data.simulated.logic import (
    FAMILIES,
    LOGIC_TASKS,
    RULES,
    answers,
    encode,
    possible_codes,
    read_answer,
    write_answer,
)
from tagpr.data.simulated.people import Person, draw_person, noisy_code, noisy_style
from tagpr.data.simulated.style import STYLE_TASKS, style_parts, write_style
from tagpr.data.simulated.truth import WORLD, Population, question_truths
from tagpr.data.source import Records, RecordSource
from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS
from tagpr.types import SPLITS, ProfileEntry, Record

_Queries = dict[tuple[str, str], list[Item]]  # (purpose, side) -> queries
WORLD_TASKS = tuple(sorted((*LOGIC_TASKS, *STYLE_TASKS)))
CARD = Path(__file__).parent / "CARD.md"
CHUNK = 500  # people whose truth is computed together


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answered:
    """One person's items of one task, answered."""

    person: Person
    user_id: str
    asked: tuple[tuple[str, Item], ...]  # (purpose, query)
    golds: tuple[str, ...]
    preferred: tuple[str, ...]  # the golds without noise
    profile: tuple[ProfileEntry, ...]
    evidence: tuple[int, ...]


class SimulatedSource(RecordSource):
    """Draws a whole world from one seed. Fails where the world misses its gates.

    Args:
        size: name of one of `sizes`.
        sizes: {name: {train, dev, test: people; tasks, families, profile_entries: what holds unless set below}}.
        tasks: out of S1, S2, S3, S4, S5, S7; None: the size's.
        families: of the population, out of logic.FAMILIES; None: the size's.
        held_out_family: a family that test people alone have, beside `families`; None: none.
        profile_entries: earlier answers per person and task; None: the size's.
        questions: {purpose: questions per person and task}; purposes sft, pairs, rl (train people), dev, test.
        answers_per_query: how many people answer one query, on average; queries are shared within a purpose and never
            across purposes.
        noise: share of answers, profile and gold alike, that are not what the person's rule or manner says.
        held_out_frames, held_out_words: share of test people's texts in patterns and words that nobody else reads.
        all_mentioned, min_decoys, max_decoys, weather_strength: see ItemDials.
        gates: {size: bounds of its gates}.
    """

    def __init__(
        self,
        *,
        size: str,
        sizes: Mapping[str, Mapping],
        tasks: Sequence[str] | None,
        families: Sequence[str] | None,
        held_out_family: str | None,
        profile_entries: int | None,
        questions: Mapping[str, int],
        answers_per_query: float,
        noise: float,
        held_out_frames: float,
        held_out_words: float,
        all_mentioned: float,
        min_decoys: int,
        max_decoys: int,
        weather_strength: float,
        gates: Mapping[str, Mapping[str, float]],
    ) -> None:
        if size not in sizes or size not in gates:
            raise BadInputError(f"data.size is {size!r}, expected one of {', '.join(name for name in sizes)}.")
        own = sizes[size]
        self.size = size
        self.people = {split: own[split] for split in SPLITS}
        self.tasks = tuple(own["tasks"] if tasks is None else tasks)
        self.families = tuple(own["families"] if families is None else families)
        self.profile_entries = own["profile_entries"] if profile_entries is None else profile_entries
        self.held_out_family = held_out_family
        self.questions = dict(questions)
        self.answers_per_query = answers_per_query
        self.noise = noise
        self.held_out = {"held_out_frames": held_out_frames, "held_out_words": held_out_words}
        self.items = {
            "all_mentioned": all_mentioned,
            "min_decoys": min_decoys,
            "max_decoys": max_decoys,
            "weather_strength": weather_strength,
        }
        self.bounds = GateBounds(**gates[size])
        self._measured: tuple[str, list[Gate]] | None = None
        self._hashed: tuple[Sequence[Record], str] | None = None  # the list last hashed: a large one takes a minute
        for name, given, known in (("tasks", self.tasks, WORLD_TASKS), ("families", self.families, FAMILIES)):
            if not given or any(one not in known for one in given):
                raise BadInputError(f"data.{name} is {list(given)}, expected some of {', '.join(known)}.")
        if held_out_family is not None and held_out_family not in FAMILIES:
            raise BadInputError(
                f"data.held_out_family is {held_out_family!r}, expected null or one of {', '.join(FAMILIES)}."
            )
        if held_out_family in self.families and len(self.families) == 1:
            raise BadInputError(
                f"data.held_out_family is {held_out_family!r}, the only family of data.families: train people need one."
            )
        if not 0 <= noise < 1:
            raise BadInputError(f"data.noise is {noise}, expected a share from 0 to below 1.")
        if not 2 <= min_decoys <= max_decoys <= 6:
            raise BadInputError(
                f"data.min_decoys is {min_decoys} and data.max_decoys {max_decoys}, expected 2 <= min <= max <= 6."
            )

    def records(self, *, seed: int) -> list[Record]:
        """Train, then dev, then test people. Raises WorldGateError where the world is not fit for purpose."""
        records = self.draw(seed=seed, advance=lambda people: None)
        self.figures(records)
        return records

    def draw(self, *, seed: int, advance: Callable[[int], None]) -> list[Record]:
        """The records without their gates; `advance` is told how many people are done."""
        queries = {task: self._queries(task, seed) for task in self.tasks}
        return [record for split in SPLITS for record in self._split(split, queries, seed, advance)]

    def gates(self, records: Sequence[Record]) -> list[Gate]:
        """Every gate, met or not. The same records are measured once."""
        key = self._hash(records)
        if self._measured is None or self._measured[0] != key:
            strength = float(self.items["weather_strength"])
            self._measured = key, measure_gates(records, bounds=self.bounds, weather_strength=strength)
        return self._measured[1]

    def figures(self, records: Sequence[Record]) -> dict[str, float]:
        """What the gates measured, Bayes and the blind optimum. Raises WorldGateError where one is missed."""
        gates = self.gates(records)
        require(gates)
        return gate_figures(records, gates)

    def card(self, records: Records) -> str:
        # The stage asks with what it has written, retrieved entries included; the gates measured what it read.
        gates = self._measured[1] if self._measured else self.gates(list(records))
        return f"{CARD.read_text(encoding='utf-8')}\n## The gates of this copy\n{gate_table(gates)}\n"

    def version(self, records: Sequence[Record]) -> dict[str, str]:
        return {WORLD: self._hash(records)}

    def _hash(self, records: Sequence[Record]) -> str:
        if self._hashed is None or self._hashed[0] is not records:
            self._hashed = records, world_hash(records)
        return self._hashed[1]

    def population(self, split: str) -> Population:
        """Who the people of a split are drawn from. Train and dev people never have the held-out family."""
        seen = tuple(family for family in self.families if family != self.held_out_family)
        known = seen if self.held_out_family is None else (*seen, self.held_out_family)
        return Population(families=known if split == "test" else seen, seen_families=seen, noise=self.noise)

    # --- one split -------------------------------------------------------------------------------------------------

    def _split(
        self, split: str, queries: Mapping[str, _Queries], seed: int, advance: Callable[[int], None]
    ) -> list[Record]:
        first = sum(self.people[earlier] for earlier in SPLITS[: SPLITS.index(split)])
        numbers = range(first, first + self.people[split])
        purposes = [purpose for purpose in self.questions if _split_of(purpose) == split]
        sides = _sides_of(split)
        records: list[Record] = []
        for start in range(0, len(numbers), CHUNK):
            chunk = numbers[start : start + CHUNK]
            by_task: list[list[list[Record]]] = []  # task -> person -> records
            for task in self.tasks:
                answered = []
                for number in chunk:
                    side = sides[number % len(sides)]
                    pool = {purpose: queries[task][purpose, side] for purpose in purposes}
                    answered.append(self._person(f"u{number:05d}", task, split, side, pool, seed))
                by_task.append(self._records(task, split, sides, chunk, answered))
            for own in zip(*by_task, strict=True):
                records += [record for of_task in own for record in of_task]
            advance(len(chunk))
        return records

    def _dials(self, split: str, side: str) -> ItemDials:
        shares = self.held_out if split == "test" else dict.fromkeys(self.held_out, 0.0)
        return ItemDials(**shares, **self.items, held_out_pairs=split == "test", broken=side == "broken")

    def _queries(self, task: str, seed: int) -> _Queries:
        """Queries of every purpose and side; no text stands twice."""
        taken: set[str] = set()
        pools: _Queries = {}
        for purpose, num_asked in self.questions.items():
            split = _split_of(purpose)
            sides = _sides_of(split)
            num_answers = self.people[split] * num_asked / len(sides)
            for side in sides:
                rng = random.Random(f"{seed}/queries/{purpose}/{side}/{task}")
                pool: list[Item] = []
                while len(pool) < max(num_asked, round(num_answers / self.answers_per_query)):
                    item = draw_item(task, self._dials(split, side), rng)
                    if item.text not in taken:
                        taken.add(item.text)
                        pool.append(item)
                pools[purpose, side] = pool
        return pools

    def _person(
        self, user_id: str, task: str, split: str, side: str, queries: Mapping[str, Sequence[Item]], seed: int
    ) -> _Answered:
        person = draw_person(self.population(split).families, random.Random(f"{seed}/person/{user_id}"))
        rng = random.Random(f"{seed}/person/{user_id}/{task}")
        asked = [(p, item) for p, items in queries.items() for item in rng.sample(items, self.questions[p])]
        taken = {item.text for _, item in asked}
        items: list[Item] = []
        while len(items) < self.profile_entries:
            item = draw_item(task, self._dials(split, side), rng)
            if item.text not in taken:
                taken.add(item.text)
                items.append(item)
        texts = [item.text for item in (*items, *(item for _, item in asked))]
        preferred = self._preferred(task, person, texts, len(items))
        given = self._noisy(task, person, texts, preferred, rng)
        return _Answered(
            person=person,
            user_id=user_id,
            asked=tuple(asked),
            golds=tuple(given[len(items) :]),
            preferred=tuple(preferred[len(items) :]),
            profile=tuple(
                ProfileEntry(
                    entry_id=f"{task}-{user_id}-p{index}",
                    input=texts[index] if task != "S7" else "",
                    response=given[index],
                )
                for index in range(len(items))
            ),
            evidence=tuple(index for index in range(len(items)) if given[index] == preferred[index]),
        )

    def _preferred(self, task: str, person: Person, texts: Sequence[str], num_entries: int) -> list[str]:
        """What the person's rule or manner says of each text; the first half of the entries is the older one."""
        if task in STYLE_TASKS:
            return [write_style(task, person.style, read_keywords(text)) for text in texts]
        facts = [read_facts(task, text) for text in texts]
        older = [place < num_entries // 2 for place in range(len(texts))]
        codes = answers(encode(task, facts, older), [RULES[task].index(person.rules[task])])[:, 0]
        return [write_answer(task, int(code), found) for code, found in zip(codes, facts, strict=True)]

    def _noisy(
        self, task: str, person: Person, texts: Sequence[str], preferred: Sequence[str], rng: random.Random
    ) -> list[str]:
        if task in STYLE_TASKS:
            return [
                write_style(task, noisy_style(task, person.style, noise=self.noise, rng=rng), read_keywords(text))
                for text in texts
            ]
        given = []
        for text, answer in zip(texts, preferred, strict=True):
            facts = read_facts(task, text)
            code = read_answer(task, answer, facts)
            code = noisy_code(code, possible_codes(task, facts), noise=self.noise, rng=rng)
            given.append(write_answer(task, code, facts))
        return given

    def _records(
        self, task: str, split: str, sides: Sequence[str], numbers: Sequence[int], answered: Sequence[_Answered]
    ) -> list[list[Record]]:
        """Per person: their questions with the truth, which is computed for all of them together."""
        truths = question_truths(
            task,
            [(one.profile, [item.text for _, item in one.asked]) for one in answered],
            self.population(split),
        )
        records = []
        for number, one, of_person in zip(numbers, answered, truths, strict=True):
            own = {
                "world": WORLD,
                "family": one.person.family,
                "held_out_family": one.person.family == self.held_out_family,
                "evidence": list(one.evidence),
            }
            if task in STYLE_TASKS:
                own["style"] = {part: one.person.style[part] for part in style_parts(task)}
            else:
                own["rule"] = one.person.rules[task].as_json()
                own["attributes"] = list(one.person.rules[task].looks_at(task))
                own["decoys"] = sides[number % len(sides)]
            records.append(
                [
                    Record(
                        record_id=f"{task}-{one.user_id}-q{index}",
                        user_id=one.user_id,
                        task=task,
                        split=split,
                        purpose=purpose,
                        question=ALL_TASKS[task].write_question(item.text),
                        query=item.text,
                        gold=one.golds[index],
                        profile=one.profile,
                        retrieved=(),
                        truth={
                            **own,
                            **truth,
                            "preferred": one.preferred[index],  # the answer without noise
                            "held_out_frame": item.held_out_frame,
                            "held_out_words": item.held_out_words,
                            "held_out_pair": item.held_out_pair,
                        },
                    )
                    for index, ((purpose, item), truth) in enumerate(zip(one.asked, of_person, strict=True))
                ]
            )
        return records


def world_hash(records: Sequence[Record]) -> str:
    """SHA-256 of what the records say, whatever retriever they met: ids, texts, answers, truth."""
    digest = hashlib.sha256()
    profile = None
    for record in records:
        if record.profile != profile:  # a person's questions share their profile
            profile = record.profile
            digest.update(json.dumps([(e.entry_id, e.input, e.response) for e in profile]).encode())
        row = (record.record_id, record.user_id, record.split, record.purpose, record.question, record.gold)
        digest.update(json.dumps([*row, record.truth], sort_keys=True).encode())
    return digest.hexdigest()


def _sides_of(split: str) -> tuple[str, ...]:
    """Whether the weather goes with its aspect as in train texts, or against it: half of the test people each."""
    return ("matched", "broken") if split == "test" else ("matched",)


def _split_of(purpose: str) -> str:
    return purpose if purpose in SPLITS else "train"
