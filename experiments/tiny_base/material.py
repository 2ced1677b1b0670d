"""What drills are made of: words and what they mean, texts, responses, and the form of lists and of thoughts."""

from __future__ import annotations

import random
from collections.abc import Sequence

from experiments.tiny_base.words import FILLERS, GENERAL_KINDS, GENERAL_LEVELS
from tagpr.data.simulated import lexicon
from tagpr.data.simulated.grammar import read_keywords, read_mentions
from tagpr.data.simulated.items import ItemDials, draw_item
from tagpr.data.simulated.style import ENDINGS, STYLE_WORDS
from tagpr.markup import ARROW, THINK_CLOSE, THINK_OPEN, entry_marker


def _meanings(table: dict[str, dict[str, tuple[str, ...]]]) -> dict[str, tuple[str, str]]:
    return {word: (name, kind) for kind, names in table.items() for name, words in names.items() for word in words}


# word -> (what it means, of which kind)
GENERAL_MEANINGS = {**_meanings(GENERAL_KINDS), **_meanings(GENERAL_LEVELS)}
WORLD_MEANINGS = {word: (m.label, m.aspect) for table in lexicon.MEANINGS.values() for word, m in table.items()}
MEANINGS = {**GENERAL_MEANINGS, **WORLD_MEANINGS}
STYLE_VOCABULARY = tuple(
    dict.fromkeys(w for parts in STYLE_WORDS.values() for values in parts.values() for w in values if w.isalpha())
)
WORLD_WORDS = (*lexicon.KEYWORDS, *lexicon.VENUE_KINDS, *lexicon.STUDY_KINDS, *STYLE_VOCABULARY)
GENERAL_NAMES = tuple(name for names in GENERAL_KINDS.values() for name in names)
ALL_WORDS = (*MEANINGS, *WORLD_WORDS, *lexicon.TAG_LABELS, *GENERAL_NAMES)
MARKS = (*ENDINGS, ",", ";", "-", "?")
SYLLABLES = ("ba", "ko", "mi", "ru", "te", "sa", "no", "li", "du", "pe", "fa", "go")
DESCRIBED = ("S2", "S3")  # tasks whose texts hold words of meaning
STUDIES = ("S4", "S5", "S7")  # tasks whose texts hold two keywords
# Texts of the world: patterns and pairs of values of train people only, words of all; the weather goes with nothing.
DIALS = ItemDials(
    held_out_frames=0.0,
    held_out_words=0.4,
    held_out_pairs=False,
    all_mentioned=0.6,
    min_decoys=1,
    max_decoys=4,
    weather_strength=0.0,
    broken=False,
)


def general_item(rng: random.Random, table: dict[str, dict[str, tuple[str, ...]]], num: int) -> tuple[str, list[str]]:
    """A text with one word of each of `num` kinds among small words, and those words in order of appearance.

    A measure's name may stand beside its word: `tiny size`, `the size was tiny`.
    """
    kinds = rng.sample(list(table), num)
    words = [rng.choice(rng.choice(list(table[kind].values()))) for kind in kinds]
    text: list[str] = []
    named = table is GENERAL_LEVELS and rng.random() < 0.7
    turned = rng.random() < 0.4
    for kind, word in zip(kinds, words, strict=True):
        text += rng.sample(FILLERS, rng.choice((0, 1, 1, 2)))
        text += (
            ([kind, *rng.sample(("was", "is", "had"), rng.choice((0, 1))), word] if turned else [word, kind])
            if named
            else [word]
        )
    if rng.random() < 0.3:
        text.insert(rng.randrange(len(text)), rng.choice(WORLD_WORDS))
    return " ".join(text), words


def world_item(rng: random.Random, task: str) -> tuple[str, list[str]]:
    """A text of the simulated world, and its keywords or words of meaning (decoys left out) in order of appearance."""
    text = draw_item(task, DIALS, rng).text
    if task in STUDIES:
        return text, list(read_keywords(text))
    return text, [m.word for m in read_mentions(task, text) if m.aspect in lexicon.ASPECTS[task]]


def any_item(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.45:
        return world_item(rng, rng.choice((*DESCRIBED, *STUDIES)))[0]
    if draw < 0.7:
        return general_item(rng, rng.choice((GENERAL_KINDS, GENERAL_LEVELS)), rng.choice((2, 3)))[0]
    return " ".join(any_words(rng, rng.randint(1, 4)))


def any_words(rng: random.Random, num: int) -> list[str]:
    """Known words, invented ones and numbers."""
    return [
        rng.choice(ALL_WORDS)
        if rng.random() < 0.85
        else ("".join(rng.sample(SYLLABLES, 2)) if rng.random() < 0.5 else str(rng.randint(1, 9)))
        for _ in range(num)
    ]


def any_response(rng: random.Random) -> str:
    """What may stand after an arrow: a word, a number, a few words with a mark."""
    draw = rng.random()
    if draw < 0.35:
        return rng.choice((*lexicon.TAG_LABELS, *GENERAL_NAMES))
    if draw < 0.38:
        return rng.choice(lexicon.CHOICES)
    if draw < 0.6:
        return str(rng.randint(1, 5))
    words = any_words(rng, rng.randint(2, 5))
    return " ".join(words) + (rng.choice(MARKS) if rng.random() < 0.7 else "")


def entries(cue: str, pairs: Sequence[tuple[str, str]], query: str) -> str:
    lines = [f"{entry_marker(k)} {text} {ARROW} {response}" for k, (text, response) in enumerate(pairs, start=1)]
    return "\n".join([f"{cue} :", *lines, f"? {query} {ARROW}"])


def thought(steps: Sequence[str], answer: str, between: str = "\n") -> str:
    return f"{THINK_OPEN}{between.join(steps)}{THINK_CLOSE}{answer}"


def either(rng: random.Random) -> str:
    """What stands between lines of evidence: lines of one tag will stand in one line."""
    return rng.choice(("\n", " "))


def how_many(rng: random.Random) -> int:
    """Entries of a list; seldom many."""
    return rng.choice((2, 3, 4, 5, 6, 6)) if rng.random() < 0.98 else rng.randint(8, 24)


def some(rng: random.Random, num: int, low: int = 1) -> list[int]:
    """Some of the numbers 1..num, ascending."""
    return sorted(rng.sample(range(1, num + 1), rng.randint(min(low, num), num)))
