"""Random items: what people answer to."""

from __future__ import annotations

import random

from tagpr.data.simulated.grammar import FRAMES, HELD_OUT_FRAMES, Item
from tagpr.data.simulated.lexicon import ASPECTS, KEYWORDS, KINDS, MEANINGS, SCORE_LABELS


def draw_item(task: str, *, held_out_frames: float, rng: random.Random) -> Item:
    """An item whose parts are independent and uniform; no part of it depends on any person.

    The three levels of an S3 item differ, so that a score always points at one attribute.

    Args:
        held_out_frames: chance of a paraphrase that is kept for test people.
    """
    frames = HELD_OUT_FRAMES if rng.random() < held_out_frames else FRAMES
    if task == "S5":
        words = tuple(rng.sample(KEYWORDS, 2))
    elif task == "S3":
        levels = rng.sample(SCORE_LABELS, 3)
        words = tuple(rng.choice(table[level]) for table, level in zip(ASPECTS[task].values(), levels, strict=True))
    else:
        words = tuple(rng.choice(rng.choice(list(labels.values()))) for labels in ASPECTS[task].values())
    return Item(task=task, kind=rng.choice(KINDS[task]), words=words, frame=rng.choice(frames[task]))


def item_facts(item: Item) -> dict[str, str]:
    """What an item says, as `Record.truth` keeps it: {aspect: label}, or {"a": keyword, "b": keyword}."""
    if item.task == "S5":
        return {"a": item.words[0], "b": item.words[1]}
    return {MEANINGS[item.task][word].aspect: MEANINGS[item.task][word].label for word in item.words}
