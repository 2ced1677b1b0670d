"""Item texts of S1, S2 and S3, and the way back: what any reader of English words would find in them.

A text names its aspects in some order, two to four decoys, and is written by one of the patterns of frames.py.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from tagpr.data.simulated.lexicon import ASPECTS, KEYWORDS, KINDS, MEANINGS

_WORD = re.compile(r"[A-Za-z]+|[0-9]+|\.\.\.|[^\sA-Za-z0-9]")
_CHOICE = re.compile(r'(?P<situation>.*) \[1\]: "(?P<first>.*)" \[2\]: "(?P<second>.*)"', re.DOTALL)


class Mention(NamedTuple):
    """A word of a text that means something."""

    word: str
    aspect: str  # an aspect or a decoy
    label: str  # the label, level or value that it means
    option: int  # 1 or 2 in a choice; 0 elsewhere, and in a choice's situation


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What an item text says. One mapping per option: two in S1, one in S2 and S3.

    `aspects`: aspect -> label or level, in order of mention. `decoys`: decoy -> value; a choice's situation belongs to
    both options.
    """

    aspects: tuple[Mapping[str, str], ...]
    decoys: tuple[Mapping[str, str], ...]

    def as_json(self) -> dict[str, list[dict[str, str]]]:
        return {"aspects": [dict(found) for found in self.aspects], "decoys": [dict(found) for found in self.decoys]}


def split_words(text: str) -> list[str]:
    """Words, numbers and punctuation marks in order; `...` is one mark."""
    return _WORD.findall(text)


# --- writing ---------------------------------------------------------------------------------------------------------


def write_situation(decoys: Mapping[str, str], rng: random.Random) -> str:
    """Words of day, weather, season and company as phrases in random order; "" where none is given."""
    phrases = []
    if "day" in decoys or "weather" in decoys:
        phrases.append(
            " ".join(["on a", *([decoys["weather"]] if "weather" in decoys else []), decoys.get("day", "day")])
        )
    if "season" in decoys:
        phrases.append(f"in {decoys['season']}")
    if "company" in decoys:
        phrases.append(f"with {decoys['company']}")
    rng.shuffle(phrases)
    return " ".join(phrases)


def write_text(frame: str, aspects: Mapping[str, str], decoys: Mapping[str, str], situation: str) -> str:
    """A pattern filled with words: {aspect: word} in order of mention, {decoy: word}, and a written situation."""
    slots = dict(aspects)
    for place, (aspect, word) in enumerate(aspects.items(), start=1):
        slots |= {f"w{place}": word, f"n{place}": aspect}
    venue = " ".join(decoys[decoy] for decoy in ("visit", "kind") if decoy in decoys)
    text = frame.format(venue=venue, when=situation, **slots)
    return " ".join(text.replace(" ,", ",").split()).removeprefix(", ")


def write_choice(situation: str, options: Sequence[str]) -> str:
    """The query of a choice, in the form of LaMP-1's: a situation and two options in quotes."""
    first, second = options
    return f'{situation} [1]: "{first}" [2]: "{second}"'


# --- reading ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 17)
def read_mentions(task: str, text: str) -> tuple[Mention, ...]:
    """The meaningful words of an S1, S2 or S3 text in order; a second word about the same thing is left out."""
    if task == "S1":
        parts = _CHOICE.fullmatch(text)
        texts = (parts["situation"], parts["first"], parts["second"]) if parts else (text,)
    else:
        texts = (text,)
    found: dict[tuple[int, str], Mention] = {}
    for option, part in enumerate(texts):
        for word in split_words(part):
            meaning = MEANINGS[task].get(word)
            if meaning is not None:
                found.setdefault((option, meaning.aspect), Mention(word, meaning.aspect, meaning.label, option))
    return tuple(found.values())


@lru_cache(maxsize=1 << 17)
def read_facts(task: str, text: str) -> Facts:
    """What an S1, S2 or S3 text says."""
    options = (1, 2) if task == "S1" else (0,)
    mentions = read_mentions(task, text)
    return Facts(
        aspects=tuple(
            {m.aspect: m.label for m in mentions if m.option == option and m.aspect in ASPECTS[task]}
            for option in options
        ),
        decoys=tuple(
            {m.aspect: m.label for m in mentions if m.option in (0, option) and m.aspect not in ASPECTS[task]}
            for option in options
        ),
    )


def read_meanings(task: str, text: str) -> dict[str, tuple[str, str]]:
    """{aspect: (word, label)} of an S2 or S3 text, decoys left out."""
    return {m.aspect: (m.word, m.label) for m in read_mentions(task, text) if m.aspect in ASPECTS[task]}


@lru_cache(maxsize=1 << 17)
def read_keywords(text: str) -> tuple[str, ...]:
    """The keywords of an S4, S5 or S7 text in order of appearance, each once."""
    return tuple(dict.fromkeys(word for word in split_words(text) if word in KEYWORDS))


def read_kind(task: str, text: str) -> str:
    """The first kind of venue or study that a text names; "" where it names none."""
    return next((word for word in split_words(text) if word in KINDS[task]), "")
