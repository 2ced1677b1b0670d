"""Groups of rollouts: what kind a group is, what each term paid, what each span earned. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tagpr.analysis.explorer.exhibit import Pay
from tagpr.chains.tags import Span
from tagpr.types import Rollout

FILTERS = {
    "right": "every rollout has the full task reward",
    "wrong": "none has",
    "mixed": "some have, some have not: what the task can teach from",
    "tied": "all were paid the same, so nothing is learned from them",
    "misled": "a rollout with less task reward was paid more than one with more",
    "unreadable": "some rollout's answer is none that the task knows",
    "truncated": "some rollout was cut off at the token limit",
}
OF_SIMULATED_PEOPLE = {
    "wrong_reason": "some rollout's answer is what the person's rule says, but its chain states another rule or none",
}
TASK, GATE = "task", "g_answer"
Group = Sequence[Rollout]


def groups_of(rollouts: Sequence[Rollout]) -> list[Group]:
    """The rollouts of one prompt and step together, in the order kept."""
    starts = [place for place, one in enumerate(rollouts) if one.sample_index == 0]
    return [rollouts[start:end] for start, end in pairwise([*starts, len(rollouts)])]


def flags_of(group: Group) -> set[str]:
    """What a group is, by its rewards alone."""
    flags = set()
    if all(TASK in one.reward_terms for one in group):
        full = [one.reward_terms[TASK] >= 1.0 for one in group]
        flags.add("right" if all(full) else "mixed" if any(full) else "wrong")
        earned = [(one.reward, one.reward_terms[TASK] * one.reward_terms.get(GATE, 1.0)) for one in group]
        if any(paid > other_paid and task < other for paid, task in earned for other_paid, other in earned):
            flags.add("misled")
    if len({one.reward for one in group}) == 1:
        flags.add("tied")
    if any(one.reward_terms.get(GATE) == 0.0 for one in group):
        flags.add("unreadable")
    if any(one.truncated for one in group):
        flags.add("truncated")
    return flags


def pay_of(one: Rollout) -> Pay:
    """What each term pays a rollout; `rest` makes it the total: what the gate takes, or is paid for itself."""
    terms = {name: (value, one.weights[name]) for name, value in one.reward_terms.items() if name in one.weights}
    return Pay(
        terms=terms, rest=one.reward - sum(value * weight for value, weight in terms.values()), total=one.reward,
        advantage=one.advantage,
    )  # fmt: skip


def span_rewards(spans: Sequence[Span], process: Sequence[Mapping[str, Any]] | None) -> list[float | None]:
    """The process reward of each span; None: not judged. Judged spans stand in order, so that those of a tag are told
    apart by their turn; a tag of which some spans were not judged is left out, since it is not known which."""
    found: list[float | None] = [None] * len(spans)
    for tag in {span.tag for span in spans}:
        places = [place for place, span in enumerate(spans) if span.tag == tag]
        judged = [one["reward"] for one in process or () if one["tag"] == tag]
        if len(places) == len(judged):
            for place, reward in zip(places, judged, strict=True):
                found[place] = reward
    return found
