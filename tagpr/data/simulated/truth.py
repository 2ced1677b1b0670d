"""What a record of the simulated world knows about its question, in JSON types. Computed for many people at once.

`Record.truth` holds, beside what source.py adds (world, family, rule and the attributes it looks at, or style;
evidence: positions of the profile entries whose answer follows the rule; preferred: the answer without noise; flags of
what is held out; decoys: whether the weather goes with its aspect as in train texts):
    noise, families  the population as the people were drawn from it
    seen_families    the same without a held-out family: what an observer believes who never met that family
    query            {"aspects": [..], "decoys": [..]} per option, or {"keywords": [..]}
    context          {"day": .., "visit": ..} of the query, null where it says nothing (S1, S2, S3)
    posterior        belief after the whole profile: top rules, entropy, families; or parts
    bayes            answer for the score, its expected score, the best answer per metric; whole profile
    bayes_unaware    the same by an observer who does not know the held-out family; only where there is one
    blind            the same given the population alone
What holds given other entries than the whole profile: `shown_truth`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tagpr.data.simulated.grammar import read_facts, read_keywords
from tagpr.data.simulated.logic import LOGIC_TASKS, RULES, answers, encode, write_answer
from tagpr.data.simulated.observer import (
    Belief,
    Seen,
    beliefs,
    best_per_metric,
    expected_scores,
    next_answers,
    seen_entries,
    summary,
    written,
)
from tagpr.data.simulated.reasoning import rule_of
from tagpr.data.simulated.style import write_style
from tagpr.types import ProfileEntry, Record

WORLD = "world-1.0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Population:
    """Who people are drawn from."""

    families: tuple[str, ...]
    seen_families: tuple[str, ...]  # those of train people
    noise: float


def question_truths(
    task: str, people: Sequence[tuple[Sequence[ProfileEntry], Sequence[str]]], population: Population
) -> list[list[dict[str, Any]]]:
    """Per person (profile, queries) and query: the computed part of the truth."""
    histories = [_whole(profile) for profile, _ in people]
    queries = [query for _, of_person in people for query in of_person]
    owners = np.repeat(np.arange(len(people)), [len(of_person) for _, of_person in people])
    noise = population.noise
    aware = beliefs(task, histories, families=population.families, noise=noise)
    summaries = [summary(task, aware, row) for row in range(len(people))]
    sides = {"bayes": {name: rows[owners] for name, rows in aware.items()}}
    if population.seen_families != population.families:
        unaware = beliefs(task, histories, families=population.seen_families, noise=noise)
        sides["bayes_unaware"] = {name: rows[owners] for name, rows in unaware.items()}
    nobody = beliefs(task, [()], families=population.families, noise=noise)
    sides["blind"] = {name: np.repeat(rows, len(queries), axis=0) for name, rows in nobody.items()}
    said = {name: best_answers(task, queries, belief, noise=noise) for name, belief in sides.items()}
    shared = {
        "noise": noise,
        "families": list(population.families),
        "seen_families": list(population.seen_families),
    }
    truths: list[list[dict[str, Any]]] = [[] for _ in people]
    for row, (owner, query) in enumerate(zip(owners, queries, strict=True)):
        truths[owner].append(
            {
                **shared,
                **_query_truth(task, query),
                "posterior": summaries[owner],
                **{name: answers[row] for name, answers in said.items()},
            }
        )
    return truths


def shown_truth(record: Record, history: Sequence[ProfileEntry]) -> dict[str, Any]:
    """`posterior` and `bayes` of a record given other entries than its whole profile."""
    truth = record.truth
    assert truth is not None, "only simulated records come here"
    belief = beliefs(record.task, [seen_entries(record, history)], families=truth["families"], noise=truth["noise"])
    (bayes,) = best_answers(record.task, [record.query], belief, noise=truth["noise"])
    return {"posterior": summary(record.task, belief, 0), "bayes": bayes}


def true_rule(truth: Mapping[str, Any]) -> Mapping[str, Any]:
    """The person's rule, or the manner of the task's texts: `Rule.as_json`, or {part: place of its value}."""
    return truth["rule"] if "rule" in truth else truth["style"]


def preferred_answer(task: str, rule: Mapping[str, Any], query: str) -> str:
    """What a rule or manner, as `true_rule` gives it, says to any query, without noise; a query is never older.

    Raises:
        ValueError: a query that does not say what the task's rules need.
    """
    if task not in LOGIC_TASKS:
        return write_style(task, rule, read_keywords(query))
    facts = read_facts(task, query)
    codes = answers(encode(task, [facts], [False]), [RULES[task].index(rule_of(rule))])
    return write_answer(task, int(codes[0, 0]), facts)


def best_answers(task: str, queries: Sequence[str], belief: Belief, *, noise: float) -> list[dict[str, Any]]:
    """Per query: the best answer for the task's score, what it may expect, and the best answer per metric."""
    chances = next_answers(task, queries, belief, noise=noise)
    expected = expected_scores(task, chances)
    best = expected.argmax(axis=1)
    return [
        {
            "answer": written(task, query, int(best[row]), belief, row),
            "expected": float(expected[row, best[row]]),
            **best_per_metric(task, query, chances[row]),
        }
        for row, query in enumerate(queries)
    ]


def _whole(profile: Sequence[ProfileEntry]) -> list[Seen]:
    return [Seen(entry.input, entry.response, place < len(profile) // 2) for place, entry in enumerate(profile)]


def _query_truth(task: str, query: str) -> dict[str, Any]:
    if task not in LOGIC_TASKS:
        return {"query": {"keywords": list(read_keywords(query))}}
    facts = read_facts(task, query)
    return {"query": facts.as_json(), "context": {name: facts.decoys[0].get(name) for name in ("day", "visit")}}
