"""What PRMU is measured against: judges who know the simulated world, with PRMU's own `score`.

The oracle knows the person's true rule or manner, the posterior what Bayes makes of the entries read; both know the
population and its noise, and neither sees the question's gold. A yardstick is asked what its column asks:
- of two answers, which is this person's (`OwnAnswer`): R(u, x, y) = log p(y | u, x) - log p(y | x). Where the other
  answer is that of somebody drawn from the population, as in N1, sigma(R(y+) - R(y-)) is the exact chance that y+ is
  u's: p(y+ | u) p(y-) against p(y- | u) p(y+).
- what score may an answer expect (`ExpectedScore`): R(u, x, y) = sum over golds g of p(g | u, x) score(y, g), in the
  task's official metric. No other reward picks better of n answers, given what the judge knows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import torch
from torch import Tensor

from tagpr.data.simulated.grammar import read_facts, read_keywords, split_words
from tagpr.data.simulated.logic import LOGIC_TASKS, RULES, possible_codes, read_answer, write_answer
from tagpr.data.simulated.observer import Belief, beliefs, next_answers, seen_entries, visible_parts
from tagpr.data.simulated.reasoning import rule_of
from tagpr.data.simulated.style import STYLE_PRIOR, STYLE_WORDS, part_noise, read_style, style_parts, write_style
from tagpr.data.simulated.truth import true_rule
from tagpr.errors import UserError
from tagpr.prmu.texts import History, is_own_entry, query_context, user_history
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Record

POPULATION, POSTERIOR, ORACLE = "population", "posterior", "oracle"
LEAST_CHANCE = 1e-9  # where noise is 0, log 0 would make two impossible answers NaN
IMPOSSIBLE = -30.0  # an answer that nobody of this world gives, below every other

Believe = Callable[[Record, Sequence[ProfileEntry]], Belief]


def from_entries(record: Record, entries: Sequence[ProfileEntry]) -> Belief:
    """The posterior: one row per part, after the entries."""
    truth = _truth(record)
    return beliefs(record.task, [seen_entries(record, entries)], families=truth["families"], noise=truth["noise"])


def from_truth(record: Record, entries: Sequence[ProfileEntry]) -> Belief:
    """The oracle: sure of the true rule or manner, whatever is read."""
    known = true_rule(_truth(record))
    if record.task in LOGIC_TASKS:
        return {"rule": np.eye(len(RULES[record.task]))[[RULES[record.task].index(rule_of(known))]]}
    return {part: np.eye(len(STYLE_PRIOR[part]))[[known[part]]] for part in style_parts(record.task)}


class Yardstick(ABC):
    """A judge with the part of PrmuModel that its evaluation asks for: `score`, `max_entries`, `temperature`.

    Args:
        records: everybody who may be asked for, and every question.
        max_entries: entries of a person that are read, the latest.
    """

    temperature = 1.0

    def __init__(self, records: Sequence[Record], *, believe: Believe, max_entries: int) -> None:
        self.max_entries = max_entries
        self._believe = believe
        self._people = {user_history(record): record for record in records}
        self._questions = {query_context(record): record for record in records}
        self._beliefs: dict[History, Belief] = {}

    def score(
        self,
        users: Sequence[History],
        queries: Sequence[str],
        answers: Sequence[str],
        *,
        encode: object = None,
        needed: Tensor | None = None,
    ) -> Tensor:
        """R(u, x, y): (U, B), as PrmuModel.score; cells that nobody needs are NaN.

        Args:
            users: whole histories, as `user_history` of one of `records` gives them.
        """
        columns: dict[str, list[int]] = {}
        for column, context in enumerate(queries):
            columns.setdefault(context, []).append(column)
        rewards = torch.full((len(users), len(queries)), float("nan"), dtype=torch.float64)
        for row, history in enumerate(users):
            for context, own in columns.items():
                asked = [column for column in own if needed is None or bool(needed[row, column])]
                if asked:
                    found = self.rewards(
                        self._questions[context], self._belief(history), [answers[column] for column in asked]
                    )
                    rewards[row, asked] = torch.tensor(found, dtype=torch.float64)
        return rewards

    @abstractmethod
    def rewards(self, question: Record, belief: Belief, answers: Sequence[str]) -> list[float]:
        """Of each answer to the question, for somebody of whom that is believed."""

    def _belief(self, history: History) -> Belief:
        found = self._beliefs.get(history)
        if found is None:
            record = self._people[history]
            entries = [entry for entry in record.profile if not is_own_entry(record, entry)]
            found = self._beliefs[history] = self._believe(record, entries[max(len(entries) - self.max_entries, 0) :])
        return found


class OwnAnswer(Yardstick):
    """How much likelier the answer is this person's than anybody's."""

    def rewards(self, question: Record, belief: Belief, answers: Sequence[str]) -> list[float]:
        truth = _truth(question)
        nobody = _population(question.task, tuple(truth["families"]), truth["noise"])
        own, anybody = (_log_chances(question, of, answers) for of in (belief, nobody))
        return [
            IMPOSSIBLE if one is None or all_ is None else one - all_ for one, all_ in zip(own, anybody, strict=True)
        ]


class ExpectedScore(Yardstick):
    """What the answer may expect in the task's official metric, noise of the gold included."""

    def rewards(self, question: Record, belief: Belief, answers: Sequence[str]) -> list[float]:
        chances = next_answers(question.task, [question.query], belief, noise=_truth(question)["noise"])[0]
        golds = possible_golds(question.task, question.query)
        return [
            sum(chances[place] * _score(question.task, answer, gold) for place, gold in golds.items())
            for answer in answers
        ]


def likelier_of_anybody(question: Record, chosen: str, rejected: str) -> float:
    """ln p(chosen | x) - ln p(rejected | x) in the population; 0 where nobody gives one of them."""
    truth = _truth(question)
    one, other = _log_chances(
        question, _population(question.task, tuple(truth["families"]), truth["noise"]), [chosen, rejected]
    )
    return 0.0 if one is None or other is None else one - other


def possible_golds(task: str, query: str) -> Mapping[int, str]:
    """Column of `next_answers` -> the answer, of those that the question allows.

    Endings, which no metric sees, are alike in all texts.
    """
    if task in LOGIC_TASKS:
        facts = read_facts(task, query)
        codes = possible_codes(task, facts)
        first = 0 if task == "S2" else 1
        return {code - first: write_answer(task, code, facts) for code in codes}
    parts = visible_parts(task)
    hidden = {part: 0 for part in style_parts(task) if part not in parts}
    outcomes = product(*(range(len(STYLE_WORDS[task][part])) for part in parts))
    keywords = read_keywords(query)
    return {
        place: write_style(task, {**hidden, **dict(zip(parts, outcome, strict=True))}, keywords)
        for place, outcome in enumerate(outcomes)
    }


def _log_chances(question: Record, belief: Belief, answers: Sequence[str]) -> list[float | None]:
    """ln p(answer | belief), noise included; None where no person can have given it."""
    task, query, noise = question.task, question.query, _truth(question)["noise"]
    if task in LOGIC_TASKS:
        chances = next_answers(task, [query], belief, noise=noise)[0]
        facts, golds = read_facts(task, query), possible_golds(task, query)
        places = {gold: place for place, gold in golds.items()}
        return [
            _log(chances[places[answer]]) if answer in places and read_answer(task, answer, facts) >= 0 else None
            for answer in answers
        ]
    chance = part_noise(task, noise)
    blurred = {
        part: belief[part][0] * (1 - chance) + (1 - belief[part][0]) * chance / (belief[part].shape[1] - 1)
        for part in style_parts(task)
    }
    keywords = read_keywords(query)
    found: list[float | None] = []
    for answer in answers:
        style = read_style(task, answer)
        if style is None or split_words(write_style(task, style, keywords)) != split_words(answer):
            found.append(None)
        else:
            found.append(sum(_log(blurred[part][value]) for part, value in style.items()))
    return found


@lru_cache
def _population(task: str, families: tuple[str, ...], noise: float) -> Belief:
    return beliefs(task, [()], families=families, noise=noise)


@lru_cache(maxsize=1 << 20)
def _score(task: str, answer: str, gold: str) -> float:
    return ALL_TASKS[task].score(answer, gold)


def _log(chance: float) -> float:
    return float(np.log(max(chance, LEAST_CHANCE)))


def _truth(record: Record) -> Mapping:
    if record.truth is None:
        raise UserError(
            f"{record.record_id} has no truth: oracle and posterior exist for simulated people alone (data=simulated)."
        )
    return record.truth


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Who answers the two kinds of question; of a trained PRMU one and the same."""

    of_pairs: object
    of_answers: object


def yardsticks(records: Sequence[Record], *, max_entries: int) -> dict[str, Judges]:
    """By POPULATION, POSTERIOR, ORACLE. The population is the posterior who has read nothing."""
    return {
        name: Judges(
            of_pairs=OwnAnswer(records, believe=believe, max_entries=read),
            of_answers=ExpectedScore(records, believe=believe, max_entries=read),
        )
        for name, believe, read in (
            (POPULATION, from_entries, 0), (POSTERIOR, from_entries, max_entries), (ORACLE, from_truth, max_entries),
        )
    }  # fmt: skip
