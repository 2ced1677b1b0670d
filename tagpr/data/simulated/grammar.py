"""Item texts: frames (paraphrases that differ in cue order and connectives) filled with words, and the way back.

Half as many frames again are held out: they stand only in texts of test people.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from tagpr.data.simulated.lexicon import ASPECTS, ENDINGS, JOINERS, KEYWORDS, KINDS, MEANINGS, OPENERS

FRAMES: dict[str, tuple[str, ...]] = {
    "S2": (
        "a {mood} {kind} by the {place} with {theme}",
        "near the {place} there is a {mood} {kind} full of {theme}",
        "{theme} and a {mood} {kind} beside the {place}",
        "this {kind} with {theme} near the {place} feels {mood}",
        "by the {place}, {theme} fill a {mood} {kind}",
        "the {mood} {kind} is known for {theme} and lies by the {place}",
        "we found {theme} in a {mood} {kind} near the {place}",
        "a {kind} beside the {place}, {mood} and full of {theme}",
    ),
    "S3": (
        "a {kind} with {food} food, {staff} staff and a {room} room",
        "the {kind} staff were {staff}, the food {food} and the room {room}",
        "{room} room, {staff} staff and {food} food at the {kind}",
        "at this {kind} the room was {room}, the food {food}, the staff {staff}",
        "{food} food in a {kind} with a {room} room and {staff} staff",
        "the {kind} has {staff} staff, {food} food and a {room} room",
        "we had {food} food and a {room} room, the {kind} staff were {staff}",
        "this {kind} has a {room} room, {food} food, {staff} staff",
    ),
    "S5": (
        "this {kind} follows {a} and explains how they shape {b}",
        "a {kind} of {a} that asks what they owe to {b}",
        "we compare {a} and {b} in a short {kind}",
        "{a} and {b} are the matter of this {kind}",
        "a short {kind} shows how {a} change {b}",
        "in this {kind} we ask why {a} need {b}",
        "the {kind} begins with {a} and ends with {b}",
        "what {a} tell us about {b}, in a {kind}",
    ),
}
HELD_OUT_FRAMES: dict[str, tuple[str, ...]] = {
    "S2": (
        "{theme} fill the {mood} {kind} near the {place}",
        "beside the {place} lies a {kind} known for {theme} that feels {mood}",
        "this {mood} {kind} is full of {theme} and lies beside the {place}",
        "we found a {kind} by the {place} that is {mood} and has {theme}",
    ),
    "S3": (
        "{staff} staff and {food} food in this {kind} with a {room} room",
        "the {kind} food was {food}, the room {room} and the staff {staff}",
        "a {room} room, {food} food and {staff} staff at this {kind}",
        "we found the {kind} room {room}, the staff {staff} and the food {food}",
    ),
    "S5": (
        "this {kind} asks how {a} need {b}",
        "a {kind} begins with {a} and explains {b}",
        "{a} change {b}, this {kind} shows",
        "we ask how {a} and {b} change in this {kind}",
    ),
}
_WORD = re.compile(r"[A-Za-z]+|[0-9]+|\.\.\.|[^\sA-Za-z0-9]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """Something that people answer to.

    `words`: one cue word per aspect, in the aspects' order (S2, S3); the two keywords in order of appearance (S5).
    """

    task: str
    kind: str
    words: tuple[str, ...]
    frame: str

    @property
    def text(self) -> str:
        names = tuple(ASPECTS[self.task]) if self.task in ASPECTS else ("a", "b")
        return self.frame.format(kind=self.kind, **dict(zip(names, self.words, strict=True)))


class Title(NamedTuple):
    """The personal parts of a title."""

    opener: str
    joiner: str
    ending: str

    def write(self, keywords: tuple[str, ...]) -> str:
        return f"{self.opener} {keywords[0]} {self.joiner} {keywords[1]}{self.ending}"


def split_words(text: str) -> list[str]:
    """Words, numbers and punctuation marks in order; `...` is one mark."""
    return _WORD.findall(text)


def read_meanings(task: str, text: str) -> dict[str, tuple[str, str]]:
    """{aspect: (cue word, label)} of an S2 or S3 item text, as any reader of English words would find them."""
    found: dict[str, tuple[str, str]] = {}
    for word in split_words(text):
        meaning = MEANINGS[task].get(word)
        if meaning is not None:
            found.setdefault(meaning.aspect, (word, meaning.label))
    return found


def read_keywords(text: str) -> tuple[str, ...]:
    """The keywords of an S5 abstract in order of appearance, each once."""
    return tuple(dict.fromkeys(word for word in split_words(text) if word in KEYWORDS))


def read_kind(task: str, text: str) -> str:
    """The kind of venue or study that a text names; "" where it names none."""
    return next((word for word in split_words(text) if word in KINDS[task]), "")


def read_title(text: str) -> Title | None:
    """The personal parts of a title of this world; None where the text has another form."""
    words = split_words(text)
    if len(words) != 5 or words[0] not in OPENERS or words[2] not in JOINERS or words[4] not in ENDINGS:
        return None
    return Title(opener=words[0], joiner=words[2], ending=words[4])
