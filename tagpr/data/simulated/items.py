"""Random items: what people answer to. No part of an item depends on any person's rule or manner."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

from tagpr.data.simulated.frames import (
    HELD_OUT_OPTION_FRAMES,
    HELD_OUT_SCORE_FRAMES,
    HELD_OUT_STUDY_FRAMES,
    HELD_OUT_TAG_FRAMES,
    OPTION_FRAMES,
    SCORE_FRAMES,
    STUDY_FRAMES,
    TAG_FRAMES,
)
from tagpr.data.simulated.grammar import write_choice, write_situation, write_text
from tagpr.data.simulated.lexicon import (
    ASPECTS,
    DECOYS,
    HELD_OUT_PAIRS,
    HELD_OUT_WORDS,
    KEYWORDS,
    SCORE_LABELS,
    STUDY_KINDS,
    WORDS,
)

# Decoys beside the kind, and how likely one is drawn next: the two that some family looks at stand in most texts.
SMALL_THINGS = {"day": 5.0, "visit": 3.0, "weather": 2.0, "company": 1.0, "season": 1.0}
SITUATION = ("day", "weather", "company", "season")
# The aspect that the weather goes with, per task.
WEATHER_FOLLOWS = {"S1": "food", "S2": "mood", "S3": "food"}
WEATHER = tuple(DECOYS["weather"])


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemDials:
    """How items are drawn.

    Args:
        held_out_frames: chance of a pattern that is kept for test people.
        held_out_words: chance that a text's words are those kept for test people, where a value has such words.
        held_out_pairs: whether pairs of values that train texts never hold together may occur.
        all_mentioned: chance that an S2 text mentions all three aspects, not two.
        min_decoys, max_decoys: small things in a text, the kind among them.
        weather_strength: chance that the weather says the level (or the label's place in its list) of the aspect that
            it goes with; else it is drawn evenly. Where no weather is named, nothing is said.
        broken: the weather says the opposite: the level that is as far from the other end.
    """

    held_out_frames: float
    held_out_words: float
    held_out_pairs: bool
    all_mentioned: float
    min_decoys: int
    max_decoys: int
    weather_strength: float
    broken: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A text that people answer to, and what in it is kept for test people."""

    task: str
    text: str
    held_out_frame: bool
    held_out_words: bool
    held_out_pair: bool


def draw_item(task: str, dials: ItemDials, rng: random.Random) -> Item:
    """An item of S1, S2 or S3 with independent, even values (but for the pairs left out), or of S4, S5, S7 with two
    keywords. In S1 the two options differ in every level."""
    is_new_frame = rng.random() < dials.held_out_frames
    if task in STUDY_FRAMES:
        first, second = rng.sample(KEYWORDS, 2)
        frame = rng.choice((HELD_OUT_STUDY_FRAMES if is_new_frame else STUDY_FRAMES)[task])
        text = frame.format(a=first, b=second, kind=rng.choice(STUDY_KINDS))
        return Item(task=task, text=text, held_out_frame=is_new_frame, held_out_words=False, held_out_pair=False)
    is_new_words = rng.random() < dials.held_out_words
    values = _values(task, dials, rng)
    decoys = _decoys(task, values[0], dials, rng)
    aspects = _order(task, dials, rng)
    situation = write_situation({d: _word(d, v, is_new_words, rng) for d, v in decoys.items() if d in SITUATION}, rng)
    if task == "S2":
        frame = rng.choice((HELD_OUT_TAG_FRAMES if is_new_frame else TAG_FRAMES)[aspects])
    elif task == "S3":
        frame = rng.choice(HELD_OUT_SCORE_FRAMES if is_new_frame else SCORE_FRAMES)
    else:
        frame = rng.choice(HELD_OUT_OPTION_FRAMES if is_new_frame else OPTION_FRAMES)
    texts = []
    for option, found in enumerate(values):
        own = {decoy: value for decoy, value in decoys.items() if decoy not in SITUATION}
        if option:  # the second venue of a choice: another kind, new or usual on its own account
            own["kind"] = rng.choice([kind for kind in DECOYS["kind"] if kind != own["kind"]])
            if "visit" in own:
                own["visit"] = rng.choice(tuple(DECOYS["visit"]))
        texts.append(
            write_text(
                frame,
                {aspect: _word(aspect, found[aspect], is_new_words, rng) for aspect in aspects},
                {decoy: _word(decoy, value, is_new_words, rng) for decoy, value in own.items()},
                situation if task != "S1" else "",
            )
        )
    shown = [{aspect: found[aspect] for aspect in aspects} for found in values]
    return Item(
        task=task,
        text=write_choice(situation, texts) if task == "S1" else texts[0],
        held_out_frame=is_new_frame,
        held_out_words=is_new_words,
        held_out_pair=any(has_held_out_pair(task, found) for found in shown),
    )


def has_held_out_pair(task: str, values: Mapping[str, str]) -> bool:
    """Whether two values stand together that no text of train and dev people holds together."""
    (first, second), pairs = HELD_OUT_PAIRS[task]
    return (values.get(first, ""), values.get(second, "")) in pairs


def _values(task: str, dials: ItemDials, rng: random.Random) -> list[dict[str, str]]:
    while True:
        if task == "S1":
            levels = [rng.sample(SCORE_LABELS, 2) for _ in ASPECTS[task]]
            values = [dict(zip(ASPECTS[task], column, strict=True)) for column in zip(*levels, strict=True)]
        else:
            values = [{aspect: rng.choice(tuple(labels)) for aspect, labels in ASPECTS[task].items()}]
        if dials.held_out_pairs or not any(has_held_out_pair(task, found) for found in values):
            return values


def _order(task: str, dials: ItemDials, rng: random.Random) -> tuple[str, ...]:
    size = 3 if task != "S2" or rng.random() < dials.all_mentioned else 2
    return rng.choice(list(permutations(ASPECTS[task], size)))


def _decoys(task: str, values: Mapping[str, str], dials: ItemDials, rng: random.Random) -> dict[str, str]:
    """{decoy: value}: the kind, and as many other small things as the text names. A choice names a situation."""
    left = dict(SMALL_THINGS)
    chosen: list[str] = []
    for _ in range(rng.randint(dials.min_decoys, dials.max_decoys) - 1):
        chosen += rng.choices(list(left), weights=list(left.values()))
        del left[chosen[-1]]
    if task == "S1" and not set(chosen) & set(SITUATION):
        chosen.append("day")
    decoys = {decoy: rng.choice(tuple(DECOYS[decoy])) for decoy in ("kind", *chosen)}
    if "weather" in decoys and rng.random() < dials.weather_strength:
        followed = WEATHER_FOLLOWS[task]
        place = list(ASPECTS[task][followed]).index(values[followed])
        decoys["weather"] = WEATHER[len(WEATHER) - 1 - place if dials.broken else place]
    return decoys


def _word(attribute: str, value: str, is_new: bool, rng: random.Random) -> str:
    table = HELD_OUT_WORDS if is_new and attribute in HELD_OUT_WORDS else WORDS
    return rng.choice(table[attribute][value])
