"""What a page shows, as plain objects: questions, the history that prompts showed, completions with their pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tagpr.analysis.explorer.choice import Candidate
from tagpr.chains.tags import ParsedCompletion
from tagpr.rl.rewards.tag import TagReward
from tagpr.types import ProfileEntry

GOOD, BAD, PLAIN = "good", "bad", "plain"
Chip = tuple[str, str]  # what is said, one of GOOD, BAD, PLAIN


@dataclass(frozen=True, kw_only=True)
class Pay:
    """What a rollout was paid. Filled by `paid`."""

    terms: Mapping[str, tuple[float, float]]  # name -> raw value, weight
    rest: float  # what gate and combination make of the sum of raw x weight
    total: float
    advantage: float


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One completion."""

    name: str  # of the row, or `rollout 3`
    completion: str
    parsed: ParsedCompletion
    thinking: bool
    chips: Sequence[Chip]  # right or wrong, and what is known of the reasoning
    truths: Sequence[bool | None]  # of each span; None: nobody knows
    tag: TagReward | None  # None: chains without tags, or a run without a tag reward
    span_rewards: Sequence[float | None] = ()  # of each span, where spans were paid
    pay: Pay | None = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Completions that were written from the same shown history."""

    history: Sequence[ProfileEntry]  # as the prompt shows it
    notes: Sequence[Chip]  # of each entry, on simulated people; else ()
    num_profile: int
    num_cut: int
    num_dropped: int
    beside: Sequence[tuple[str, str]]  # what references say: name, answer
    replies: Sequence[Reply]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A question and what was said to it."""

    chosen: Candidate
    said: str  # what tells it apart beside task and person, such as the step; "" for nothing
    query: str
    gold: str | None
    truth: Mapping[str, str]  # what is known of a simulated person
    scenes: Sequence[Scene]


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A whole page."""

    kicker: str
    title: str
    facts: Mapping[str, str]
    unit: str  # what a candidate is called, in the plural
    filters: Mapping[str, str]  # flag -> what it means
    candidates: Sequence[Candidate]  # all, before --task and --only
    num_fitting: int  # of them, behind --task and --only
    asked: str  # the options that chose, as typed
    cards: Sequence[Card]
    tags: Sequence[str]  # in use, in the vocabulary's order
    simulated: bool
    warnings: Sequence[str]
    hints: Sequence[tuple[str, str]]  # what else there is, what to type for it
