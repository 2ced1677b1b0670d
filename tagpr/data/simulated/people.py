"""Simulated people: one family and one manner each, a rule of that family per task, and how they answer by them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tagpr.data.simulated.logic import FAMILY_PRIOR, LOGIC_TASKS, RULES, Rule, rule_prior
from tagpr.data.simulated.style import STYLE_PRIOR, STYLE_WORDS, part_noise, style_parts

TYPICAL_STYLE: dict[str, int] = {part: prior.index(max(prior)) for part, prior in STYLE_PRIOR.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """The latent side of a person."""

    family: str
    rules: Mapping[str, Rule]  # S1, S2, S3 -> rule
    style: Mapping[str, int]  # part -> place of the value


def draw_person(families: Sequence[str], rng: random.Random) -> Person:
    """A person of a population of these families: parameters are independent across tasks and of the manner."""
    family = rng.choices(families, weights=[FAMILY_PRIOR[name] for name in families])[0]
    rules = {task: rng.choices(RULES[task], weights=rule_prior(task, (family,)).tolist())[0] for task in LOGIC_TASKS}
    style = {part: rng.choices(range(len(prior)), weights=prior)[0] for part, prior in STYLE_PRIOR.items()}
    return Person(family=family, rules=rules, style=style)


def noisy_code(code: int, possible: Sequence[int], *, noise: float, rng: random.Random) -> int:
    """The rule's answer, or with chance `noise` another of the possible ones."""
    return rng.choice([other for other in possible if other != code]) if rng.random() < noise else code


def noisy_style(task: str, style: Mapping[str, int], *, noise: float, rng: random.Random) -> dict[str, int]:
    """The parts of one text: each is another value with chance `part_noise`, so that a text differs with `noise`."""
    chance = part_noise(task, noise)
    return {
        part: noisy_code(style[part], range(len(STYLE_WORDS[task][part])), noise=chance, rng=rng)
        for part in style_parts(task)
    }
