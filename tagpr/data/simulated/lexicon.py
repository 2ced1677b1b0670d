"""Every word of the simulated world and what it means.

Reading a text through these tables needs no knowledge of any person.

S2 (tag): an item text holds one cue word of each of three aspects; a cue word means one of the aspect's five labels.
S3 (score): an item text holds one level word of each of three attributes; a level word means a level from 1 to 5.
S5 (title): an item text holds two keywords; a title is opener, keyword, joiner, keyword, ending.
Every item also names a kind of venue or of study, which nobody's rule uses (a decoy).
"""

from __future__ import annotations

from typing import NamedTuple

# aspect -> label -> cue words
TAG_ASPECTS: dict[str, dict[str, tuple[str, ...]]] = {
    "mood": {
        "cosy": ("lamplit", "cushioned", "snug"),
        "lively": ("bustling", "buzzing", "noisy"),
        "quiet": ("hushed", "silent", "calm"),
        "eerie": ("haunted", "shadowy", "creaking"),
        "grand": ("stately", "gilded", "regal"),
    },
    "place": {
        "seaside": ("pier", "dunes", "jetty"),
        "forest": ("pines", "ferns", "grove"),
        "city": ("tram", "avenue", "skyline"),
        "mountain": ("ridge", "summit", "glacier"),
        "village": ("chapel", "barn", "mill"),
    },
    "theme": {
        "music": ("fiddles", "choirs", "drums"),
        "books": ("novels", "poems", "scrolls"),
        "games": ("chess", "dice", "cards"),
        "craft": ("pottery", "weaving", "carving"),
        "science": ("telescopes", "magnets", "fossils"),
    },
}

# attribute -> level -> level words
SCORE_ATTRIBUTES: dict[str, dict[str, tuple[str, ...]]] = {
    "food": {
        "1": ("rotten", "burnt"),
        "2": ("bland", "soggy"),
        "3": ("plain", "decent"),
        "4": ("tasty", "fresh"),
        "5": ("heavenly", "superb"),
    },
    "staff": {
        "1": ("rude", "hostile"),
        "2": ("slow", "careless"),
        "3": ("polite", "civil"),
        "4": ("helpful", "friendly"),
        "5": ("brilliant", "devoted"),
    },
    "room": {
        "1": ("filthy", "mouldy"),
        "2": ("cramped", "draughty"),
        "3": ("tidy", "modest"),
        "4": ("bright", "comfy"),
        "5": ("splendid", "dazzling"),
    },
}

OPENERS = ("exploring", "watching", "mapping", "judging", "praising")
JOINERS = ("and", "with", "versus")
ENDINGS = (".", "!", "~", "...")  # style that ROUGE cannot see
KEYWORDS = (
    *("kites", "bees", "clocks", "rivers", "bridges", "candles", "whales", "robots", "gardens", "comets"),
    *("pianos", "storms", "mirrors", "spices", "trains", "wolves", "castles", "pearls", "tides", "ladders"),
    *("owls", "engines", "meadows", "volcanoes", "puppets", "orchards", "anchors", "beetles", "windows", "feathers"),
)

VENUE_KINDS = ("cafe", "hotel", "lodge", "club", "hall", "tavern", "hostel", "gallery", "cabin", "bistro")
STUDY_KINDS = ("survey", "trial", "memoir", "report", "review", "thesis", "diary", "lecture", "sketch", "journal")
KINDS: dict[str, tuple[str, ...]] = {"S2": VENUE_KINDS, "S3": VENUE_KINDS, "S5": STUDY_KINDS}

# How likely the population is to hold each latent, in the order of the tables above; the first is the typical one.
PRIORS: dict[str, tuple[float, ...]] = {
    "aspect": (0.5, 0.3, 0.2),
    "attribute": (0.5, 0.3, 0.2),
    "opener": (0.40, 0.20, 0.16, 0.14, 0.10),
    "joiner": (0.50, 0.30, 0.20),
    "ending": (0.40, 0.30, 0.20, 0.10),
}


class Meaning(NamedTuple):
    """What a cue or level word stands for: the aspect or attribute it speaks of, and the label or level it means."""

    aspect: str
    label: str


def _meanings(table: dict[str, dict[str, tuple[str, ...]]]) -> dict[str, Meaning]:
    return {
        word: Meaning(aspect, label)
        for aspect, labels in table.items()
        for label, words in labels.items()
        for word in words
    }


ASPECTS: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {"S2": TAG_ASPECTS, "S3": SCORE_ATTRIBUTES}
MEANINGS: dict[str, dict[str, Meaning]] = {task: _meanings(table) for task, table in ASPECTS.items()}
TAG_LABELS = tuple(label for labels in TAG_ASPECTS.values() for label in labels)
SCORE_LABELS = ("1", "2", "3", "4", "5")

# Words of the scripted chains that stand in no item text.
CHAIN_CUES = ("pattern", "user", "query", "typical", "so", "check")
CHAIN_WORDS = (*CHAIN_CUES, "from", "by", "vary", ":")
# Words that may begin an answer, hence follow a markup token without a space before them.
ANSWER_STARTS = (*TAG_LABELS, *SCORE_LABELS, *OPENERS)
