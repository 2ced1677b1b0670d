"""An offline teacher for the simulated world: it reads the prompt with the world's lexicon and writes short chains.

It knows how the world works in general (which families and rules there are, how common they are, that people slip now
and then) and nothing about the person but the entries that it cites. It is imperfect on purpose: it cites few entries,
it misreads, and it has a habit of answering for the typical person.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from tagpr.chains.teachers.base import RawChain, Teacher
from tagpr.data.simulated.evidence import Reading, is_whole, read_entry
from tagpr.data.simulated.grammar import read_facts, read_keywords, read_kind
from tagpr.data.simulated.lexicon import KINDS
from tagpr.data.simulated.logic import (
    FAMILIES,
    LOGIC_TASKS,
    RULES,
    Rule,
    answers,
    encode,
    possible_codes,
    rule_prior,
    typical_rule,
)
from tagpr.data.simulated.people import TYPICAL_STYLE
from tagpr.data.simulated.reasoning import SUPPORT, Chain, logic_chain, style_chain, supporting
from tagpr.data.simulated.style import STYLE_WORDS, read_style, style_parts, write_style
from tagpr.errors import BadInputError
from tagpr.types import Prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class Slips:
    """Where a chain could go wrong, and did on purpose. Filled by the teacher, for its report."""

    unread: int  # entries shown that say too little to be read, cut ones for instance; never cited
    misread: int  # entries taken for another answer than they hold
    inferred: bool  # stated another rule than the cited entries speak for
    applied: bool  # gave another answer than the stated rule does


@final
class ScriptedWorldTeacher(Teacher):
    """Sees the shown history and the query, never gold, truth or entries that are not shown.

    S1, S2, S3: of all rules of the population the likeliest given the cited entries, as read:
    p(rule) prod_i [1 - slip if the rule says the answer, else slip / (number of possible answers - 1)].
    S4, S5, S7: each part of the manner is what most cited texts have. Half of the cited entries are out of the older
    half of what is shown; which ones is drawn.

    The habit is systematic, so that a policy can learn it: it belongs to kinds of venue or study (a decoy that nobody's
    rule uses). About a habitual kind the teacher cites entries, calls them varied whatever they say, and decides for
    the typical person. An honest chain does the same only where no rule explains two of its entries.

    Args:
        families: `known_families` of {of_data, of_size, held_out}: those it knows of.
        slip: how often it takes people to answer against their rule.
        examples: entries cited.
        error_rate: chance that an entry is misread, that the inferred preference is another, that the answer is.
        habit: share of chains that are habitual, kinds being equally frequent.
        habit_consistency: share of habitual chains among those about a habitual kind; >= habit.
    """

    name = "scripted_world"

    def __init__(
        self,
        *,
        families: Mapping[str, Any],
        slip: float,
        examples: int,
        error_rate: float,
        habit: float,
        habit_consistency: float,
    ) -> None:
        if not 0 <= habit <= habit_consistency <= 1:
            raise BadInputError(
                f"teacher.habit is {habit} and teacher.habit_consistency {habit_consistency}, expected "
                "0 <= habit <= habit_consistency <= 1."
            )
        if not 0 < slip < 1:
            raise BadInputError(f"teacher.slip is {slip}, expected a chance between 0 and 1.")
        self.families = known_families(**families)
        self.slip = slip
        self.examples = examples
        self.error_rate = error_rate
        self.habit = habit
        self.habit_consistency = habit_consistency

    def chains(self, prompt: Prompt, *, num_samples: int, seed: int) -> list[RawChain]:
        return [
            RawChain(steps=chain.steps, answer=chain.answer, habitual=habitual)
            for chain, habitual, _ in self.with_slips(prompt, num_samples=num_samples, seed=seed)
        ]

    def with_slips(self, prompt: Prompt, *, num_samples: int, seed: int) -> list[tuple[Chain, bool, Slips]]:
        """The same chains, whether each is habitual, and what went wrong in it."""
        task = prompt.record.task
        if task not in KINDS:
            raise BadInputError(
                f"teacher=scripted_world reads the simulated tasks {', '.join(KINDS)}, not {task}. "
                "Choose another teacher for this data."
            )
        shown = _Shown(prompt)
        written = []
        for index in range(num_samples):
            rng = random.Random(f"{seed}/{prompt.record.record_id}/{index}")
            habitual = rng.random() < self.habit_of(task, prompt.record.query)
            write = self._logic if task in LOGIC_TASKS else self._style
            chain, slips = write(shown, habitual, rng)
            written.append((chain, habitual, slips))
        return written

    def habit_of(self, task: str, query: str) -> float:
        """Chance of a habitual chain about this query: the lexicon's first kinds are habitual, as many as it takes."""
        kinds, kind = KINDS[task], read_kind(task, query)
        if self.habit == 0 or not kind:
            return self.habit
        num_habitual = len(kinds) * self.habit / self.habit_consistency
        return self.habit_consistency * min(1.0, max(0.0, num_habitual - kinds.index(kind)))

    # --- S1, S2, S3: which rule of which family --------------------------------------------------------------------

    def _logic(self, shown: _Shown, habitual: bool, rng: random.Random) -> tuple[Chain, Slips]:
        task = shown.task
        misread = 0
        readings: list[Reading] = []
        for number in self._choose(list(shown.readings), shown.half, rng):
            reading = shown.readings[number]
            code = self._other(reading.code, possible_codes(task, reading.facts), rng)
            misread += code != reading.code
            readings.append(reading._replace(code=code))
        likeliest = None if habitual else self._infer(shown, readings)
        if likeliest is not None and sum(map(len, supporting(task, readings, likeliest).values())) < min(
            SUPPORT, len(readings)
        ):
            likeliest = None
        if not readings:
            likeliest = None
        believed = likeliest or typical_rule(task, self.families)
        stated = self._other_rule(task, believed, rng)
        own = int(shown.rule_answers[-1, RULES[task].index(stated)])
        code = self._other(own, possible_codes(task, shown.query_facts), rng)
        chain = logic_chain(
            task, readings, shown.query, rule=likeliest, stated=stated, answer_code=code, families=self.families
        )
        return chain, Slips(unread=shown.unread, misread=misread, inferred=stated != believed, applied=code != own)

    def _infer(self, shown: _Shown, readings: Sequence[Reading]) -> Rule:
        """The likeliest rule given the readings; of equals the first of RULES."""
        chance = rule_prior(shown.task, self.families).copy()
        for reading in readings:
            says = shown.rule_answers[shown.rows[reading.number]]
            num_others = len(possible_codes(shown.task, reading.facts)) - 1
            chance *= np.where(says == reading.code, 1.0 - self.slip, self.slip / num_others)
        return RULES[shown.task][int(chance.argmax())]

    def _other_rule(self, task: str, rule: Rule, rng: random.Random) -> Rule:
        if rng.random() >= self.error_rate:
            return rule
        prior = rule_prior(task, self.families)
        others = [index for index, other in enumerate(RULES[task]) if other != rule and prior[index] > 0]
        return RULES[task][rng.choices(others, weights=[prior[index] for index in others])[0]]

    # --- S4, S5, S7: the parts of a manner --------------------------------------------------------------------------

    def _style(self, shown: _Shown, habitual: bool, rng: random.Random) -> tuple[Chain, Slips]:
        task = shown.task
        texts: dict[int, str] = {}
        misread = 0
        for number in self._choose(list(shown.styles), shown.half, rng):
            style = self._other_style(task, shown.styles[number], rng)
            misread += style != shown.styles[number]
            texts[number] = write_style(task, style, read_keywords(shown.responses[number]))
        seen = [read_style(task, text) or {} for text in texts.values()]
        typical = {part: TYPICAL_STYLE[part] for part in style_parts(task)}
        common = {part: _most(column) for part in typical if (column := [one[part] for one in seen])}
        style = None if habitual or not seen else common
        believed = style or typical
        stated = self._other_style(task, believed, rng)
        written = self._other_style(task, stated, rng)
        chain = style_chain(task, texts, shown.query, style=style, stated=stated, written=written)
        return chain, Slips(
            unread=shown.unread, misread=misread, inferred=stated != believed, applied=written != stated
        )

    # --- imperfection ------------------------------------------------------------------------------------------------

    def _choose(self, numbers: Sequence[int], half: int, rng: random.Random) -> list[int]:
        """Numbers to cite, half of them among the first `half` entries where there are as many."""
        older = [number for number in numbers if number <= half]
        newer = [number for number in numbers if number > half]
        num = min(self.examples, len(numbers))
        num_older = min(len(older), max(num // 2, num - len(newer)))
        return sorted(rng.sample(older, num_older) + rng.sample(newer, num - num_older))

    def _other(self, code: int, codes: Sequence[int], rng: random.Random) -> int:
        """The code, or with chance `error_rate` another of the codes."""
        others = [other for other in codes if other != code]
        return rng.choice(others) if rng.random() < self.error_rate else code

    def _other_style(self, task: str, style: Mapping[str, int], rng: random.Random) -> dict[str, int]:
        """The style's parts of this task, or with chance `error_rate` one of them wrong."""
        parts = {part: style[part] for part in style_parts(task)}
        if rng.random() < self.error_rate:
            wrong = rng.choice(list(parts))
            parts[wrong] = rng.choice([v for v in range(len(STYLE_WORDS[task][wrong])) if v != parts[wrong]])
        return parts


def known_families(
    *, of_data: Sequence[str] | None, of_size: Sequence[str] | None, held_out: str | None
) -> tuple[str, ...]:
    """The families of train people, in the order of FAMILIES: what the data say, else what their size says, else all.

    Raises:
        BadInputError: an unknown family, or none left.
    """
    said = of_data if of_data is not None else of_size if of_size is not None else FAMILIES
    known = tuple(family for family in FAMILIES if family in said and family != held_out)
    if not known or any(family not in FAMILIES for family in said):
        raise BadInputError(
            f"teacher.families is {list(said)} without {held_out}, expected some of {', '.join(FAMILIES)}."
        )
    return known


class _Shown:
    """What a prompt shows, read once for all of its chains. The older half is that of the entries shown."""

    def __init__(self, prompt: Prompt) -> None:
        self.task = task = prompt.record.task
        self.query = prompt.record.query
        self.half = len(prompt.history) // 2
        self.readings: dict[int, Reading] = {}
        self.styles: dict[int, Mapping[str, int]] = {}
        self.responses: dict[int, str] = {}
        numbered = list(enumerate(prompt.history, start=1))
        if task not in LOGIC_TASKS:
            for number, entry in numbered:
                style = read_style(task, entry.response)
                if style is not None:
                    self.styles[number] = style
                    self.responses[number] = entry.response
            self.unread = len(numbered) - len(self.styles)
            if len(read_keywords(self.query)) != 2:
                raise _unreadable(prompt)
            return
        for number, entry in numbered:
            reading = read_entry(task, number, entry, older=number <= self.half)
            if reading is not None:
                self.readings[number] = reading
        self.query_facts = read_facts(task, self.query)
        if not is_whole(task, self.query_facts):
            raise _unreadable(prompt)
        items = [*(reading.facts for reading in self.readings.values()), self.query_facts]
        older = [*(reading.older for reading in self.readings.values()), False]
        self.rule_answers = answers(encode(task, items, older))
        self.unread = len(numbered) - len(self.readings)
        self.rows = {number: row for row, number in enumerate(self.readings)}


def _unreadable(prompt: Prompt) -> BadInputError:
    return BadInputError(
        f"The question {prompt.record.record_id} is no text of the simulated world: {prompt.record.query[:80]!r}. "
        "teacher=scripted_world reads data=simulated alone; choose another teacher for this data."
    )


def _most(values: Sequence[int]) -> int:
    """The value seen most often; of equals the smaller, as the more typical."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))
