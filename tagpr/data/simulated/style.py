"""How people write: six independent parts of a manner, and the texts of S4, S5 and S7 that show some of them.

    S4 headline    tone a verb b [today] ending           harshness, formality, length, punctuation
    S5 title       opener a joiner b ending               opening, connective, punctuation
    S7 paraphrase  opener who find a joiner b tone ending  opening, formality, connective, harshness, punctuation

a and b are the two keywords of the text answered to, in its order. A part has the same values in every task that shows
it, in words of that task. Endings are punctuation, which ROUGE drops: `latent_style` alone sees them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from tagpr.data.simulated.grammar import split_words
from tagpr.data.simulated.lexicon import KEYWORDS

STYLE_TASKS = ("S4", "S5", "S7")
# part -> chance of each of its values in the population; a value is its place in this list, the first is typical
STYLE_PRIOR: dict[str, tuple[float, ...]] = {
    "opening": (0.36, 0.22, 0.17, 0.14, 0.11),
    "connective": (0.46, 0.31, 0.23),
    "punctuation": (0.40, 0.30, 0.20, 0.10),
    "formality": (0.44, 0.33, 0.23),
    "length": (0.60, 0.40),
    "harshness": (0.45, 0.31, 0.24),
}
ENDINGS = (".", "!", "~", "...")
# task -> part -> the word of each value, in the order in which the text shows the parts
STYLE_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "S4": {
        "harshness": ("gentle", "odd", "dreadful"),
        "formality": ("affect", "touch", "wreck"),
        "length": ("", "today"),
        "punctuation": ENDINGS,
    },
    "S5": {
        "opening": ("exploring", "watching", "mapping", "judging", "praising"),
        "connective": ("and", "with", "versus"),
        "punctuation": ENDINGS,
    },
    "S7": {
        "opening": ("honestly", "well", "look", "frankly", "listen"),
        "formality": ("visitors", "people", "folks"),
        "connective": ("and", "with", "versus"),
        "harshness": ("charming", "passable", "awful"),
        "punctuation": ENDINGS,
    },
}
_PATTERNS: dict[str, str] = {
    "S4": "{harshness} {a} {formality} {b} {length}{punctuation}",
    "S5": "{opening} {a} {connective} {b}{punctuation}",
    "S7": "{opening}, {formality} find {a} {connective} {b} {harshness}{punctuation}",
}
# Words and marks of a written text that belong to no part, keywords left out.
_FIXED = {"S4": (), "S5": (), "S7": (",", "find")}
# ROUGE words that every text of the task holds: the two keywords and the fixed words.
NUM_FIXED_WORDS = {"S4": 2, "S5": 2, "S7": 3}
INVISIBLE = ("punctuation",)  # to ROUGE

Style = dict[str, int]  # part -> place of the value


def style_parts(task: str) -> tuple[str, ...]:
    """The parts of a manner that texts of this task show."""
    return tuple(STYLE_WORDS[task])


def part_noise(task: str, noise: float) -> float:
    """Chance that one part is not the person's own, so that a whole text differs with chance `noise`."""
    return 1.0 - (1.0 - noise) ** (1.0 / len(style_parts(task)))


def write_style(task: str, style: Mapping[str, int | None], keywords: Sequence[str]) -> str:
    """A text in a manner; a part that is None is left out."""
    words = {
        part: "" if style[part] is None else STYLE_WORDS[task][part][style[part] or 0] for part in style_parts(task)
    }
    text = _PATTERNS[task].format(a=keywords[0], b=keywords[1], **words)
    for ending in sorted(ENDINGS, key=len, reverse=True):
        text = text.replace(f" {ending}", ending)
    return " ".join(text.replace(" ,", ",").split()).removeprefix(", ")


@lru_cache(maxsize=1 << 17)
def read_style(task: str, text: str) -> Mapping[str, int] | None:
    """{part: place of its value} of a text of this world; None where it has another form."""
    words = split_words(text)
    found: Style = {}
    for part, values in STYLE_WORDS[task].items():
        places = [place for place, word in enumerate(values) if word in words]
        if not places and "" in values:
            places = [values.index("")]
        if len(places) != 1:
            return None
        found[part] = places[0]
    keywords = [word for word in words if word in KEYWORDS]
    if len(keywords) != 2 or split_words(write_style(task, found, keywords)) != words:
        return None
    return found
