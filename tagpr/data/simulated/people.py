"""Simulated people: one rule per task, drawn from an uneven population, and how a person answers by it.

A rule is a plain mapping of JSON types, as it stands in `Record.truth`: {"aspect": "mood"} (S2), {"attribute": "food"}
(S3), {"opener": .., "joiner": .., "ending": ..} (S5). No person is more lenient than another in this version.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from tagpr.data.simulated.grammar import Title
from tagpr.data.simulated.lexicon import ENDINGS, JOINERS, OPENERS, PRIORS, SCORE_ATTRIBUTES, TAG_ASPECTS

# task -> part of the rule -> the values it may have, in the order of PRIORS
RULE_PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "S2": {"aspect": tuple(TAG_ASPECTS)},
    "S3": {"attribute": tuple(SCORE_ATTRIBUTES)},
    "S5": {"opener": OPENERS, "joiner": JOINERS, "ending": ENDINGS},
}
TYPICAL: dict[str, dict[str, str]] = {
    task: {part: values[PRIORS[part].index(max(PRIORS[part]))] for part, values in parts.items()}
    for task, parts in RULE_PARTS.items()
}


def part_noise(noise: float) -> float:
    """Chance that one part of a title is not the person's own, so that a whole title differs with chance `noise`."""
    return 1.0 - (1.0 - noise) ** (1.0 / 3.0)


def draw_rule(task: str, rng: random.Random) -> dict[str, str]:
    return {part: rng.choices(values, weights=PRIORS[part])[0] for part, values in RULE_PARTS[task].items()}


def preferred_answer(task: str, rule: Mapping[str, str], facts: Mapping[str, str]) -> str:
    """What the rule says of an item, without noise.

    Args:
        facts: S2, S3: {aspect: label}; S5: {"a": keyword, "b": keyword}.
    """
    if task == "S5":
        return Title(**rule).write((facts["a"], facts["b"]))
    (aspect,) = rule.values()
    return facts[aspect]


def noisy_answer(
    task: str, rule: Mapping[str, str], facts: Mapping[str, str], *, noise: float, rng: random.Random
) -> str:
    """What the person writes: now and then one slips.

    S2, S3: with chance `noise` another of the item's three aspects decides (both equally likely). S5: each part of the
    title is, with chance `part_noise(noise)`, another value of that part (all equally likely).
    """
    chance = part_noise(noise) if task == "S5" else noise
    used = {
        part: rng.choice([value for value in values if value != rule[part]]) if rng.random() < chance else rule[part]
        for part, values in RULE_PARTS[task].items()
    }
    return preferred_answer(task, used, facts)
