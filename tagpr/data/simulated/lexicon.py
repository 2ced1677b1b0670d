"""Every word of the simulated world and what it means.

Reading a text through these tables needs no knowledge of any person. Each value of an attribute has words for
everybody's texts (`WORDS`) and as many that stand in test people's texts alone (`HELD_OUT_WORDS`).

Aspects (S2): mood, place, theme, five labels each. Aspects (S1, S3): food, staff, room, levels 1 to 5.
Decoys: kind, day, visit, weather, company, season. `day` is what the family `context_switch` looks at, `visit` what
`novelty` looks at, and the number of decoys that a text names what `threshold` looks at in S2; to everybody else they
mean nothing.
S4, S5, S7: two keywords and a kind of study; what a text's manner is made of stands in style.py.
"""

from __future__ import annotations

from typing import NamedTuple

Words = dict[str, dict[str, tuple[str, ...]]]  # attribute -> value -> words

TAG_ASPECTS: Words = {
    "mood": {
        "cosy": ("snug", "lamplit"),
        "lively": ("bustling", "noisy"),
        "quiet": ("hushed", "calm"),
        "eerie": ("haunted", "shadowy"),
        "grand": ("stately", "gilded"),
    },
    "place": {
        "seaside": ("pier", "dunes"),
        "forest": ("pines", "grove"),
        "city": ("tram", "skyline"),
        "mountain": ("ridge", "summit"),
        "village": ("chapel", "barn"),
    },
    "theme": {
        "music": ("fiddles", "drums"),
        "books": ("novels", "poems"),
        "games": ("chess", "dice"),
        "craft": ("pottery", "weaving"),
        "science": ("telescopes", "fossils"),
    },
}
SCORE_ATTRIBUTES: Words = {
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
HELD_OUT_ASPECTS: Words = {
    "mood": {
        "cosy": ("cushioned", "homely"),
        "lively": ("buzzing", "crowded"),
        "quiet": ("silent", "sleepy"),
        "eerie": ("creaking", "ghostly"),
        "grand": ("regal", "palatial"),
    },
    "place": {
        "seaside": ("jetty", "lighthouse"),
        "forest": ("ferns", "thicket"),
        "city": ("avenue", "subway"),
        "mountain": ("glacier", "cliff"),
        "village": ("mill", "haystack"),
    },
    "theme": {
        "music": ("choirs", "trumpets"),
        "books": ("scrolls", "stories"),
        "games": ("cards", "puzzles"),
        "craft": ("carving", "knitting"),
        "science": ("magnets", "microscopes"),
    },
}
HELD_OUT_ATTRIBUTES: Words = {
    "food": {
        "1": ("foul", "spoiled"),
        "2": ("stale", "greasy"),
        "3": ("simple", "average"),
        "4": ("savoury", "juicy"),
        "5": ("divine", "exquisite"),
    },
    "staff": {
        "1": ("insulting", "nasty"),
        "2": ("clumsy", "distracted"),
        "3": ("proper", "correct"),
        "4": ("caring", "attentive"),
        "5": ("wonderful", "saintly"),
    },
    "room": {
        "1": ("squalid", "grimy"),
        "2": ("dim", "shabby"),
        "3": ("neat", "ordinary"),
        "4": ("airy", "roomy"),
        "5": ("gorgeous", "magnificent"),
    },
}
DECOYS: Words = {
    "kind": {kind: (kind,) for kind in ("cafe", "hotel", "lodge", "club", "hall", "tavern", "hostel", "gallery")},
    "day": {"weekday": ("weekday", "tuesday"), "weekend": ("weekend", "saturday")},
    "visit": {"new": ("new", "modern"), "usual": ("usual", "familiar")},
    "weather": {weather: (weather,) for weather in ("stormy", "rainy", "cloudy", "windy", "sunny")},
    "company": {company: (company,) for company in ("friends", "family", "colleagues", "children")},
    "season": {season: (season,) for season in ("spring", "summer", "autumn", "winter")},
}
HELD_OUT_DECOYS: Words = {
    "day": {"weekday": ("thursday", "monday"), "weekend": ("sunday", "holiday")},
    "visit": {"new": ("recent", "trendy"), "usual": ("regular", "beloved")},
}

WORDS: Words = {**TAG_ASPECTS, **SCORE_ATTRIBUTES, **DECOYS}
HELD_OUT_WORDS: Words = {**HELD_OUT_ASPECTS, **HELD_OUT_ATTRIBUTES, **HELD_OUT_DECOYS}

# task -> its aspects with their words; S1 and S3 share theirs
ASPECTS: dict[str, Words] = {"S1": SCORE_ATTRIBUTES, "S2": TAG_ASPECTS, "S3": SCORE_ATTRIBUTES}
TAG_LABELS = tuple(label for labels in TAG_ASPECTS.values() for label in labels)
SCORE_LABELS = ("1", "2", "3", "4", "5")
CHOICES = ("[1]", "[2]")

KEYWORDS = (
    *("kites", "bees", "clocks", "rivers", "bridges", "candles", "whales", "robots", "gardens", "comets"),
    *("pianos", "storms", "mirrors", "spices", "trains", "wolves", "castles", "pearls", "tides", "ladders"),
    *("owls", "engines", "meadows", "volcanoes", "puppets", "orchards", "anchors", "beetles", "windows", "feathers"),
)
VENUE_KINDS = tuple(DECOYS["kind"])
STUDY_KINDS = ("survey", "trial", "memoir", "report", "review", "thesis", "diary", "lecture")
# What the scripted teacher's habit may belong to.
KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("S1", "S2", "S3"), VENUE_KINDS),
    **dict.fromkeys(("S4", "S5", "S7"), STUDY_KINDS),
}

# Pairs of values that stand together in no text of train and dev people: (first value, second value) of two aspects.
HELD_OUT_PAIRS: dict[str, tuple[tuple[str, str], frozenset[tuple[str, str]]]] = {
    "S1": (("food", "staff"), frozenset({("2", "5"), ("5", "3"), ("3", "1"), ("1", "4")})),
    "S2": (
        ("mood", "place"),
        frozenset({("cosy", "city"), ("lively", "forest"), ("quiet", "village"), ("eerie", "seaside")}),
    ),
    "S3": (("food", "staff"), frozenset({("2", "5"), ("5", "3"), ("3", "1"), ("1", "4")})),
}


class Meaning(NamedTuple):
    """What a word stands for: an aspect or decoy, and its label, level or value."""

    aspect: str
    label: str


def _meanings(*tables: Words) -> dict[str, Meaning]:
    return {
        word: Meaning(aspect, label)
        for table in tables
        for aspect, labels in table.items()
        for label, words in labels.items()
        for word in words
    }


# Word -> meaning, per task; decoys among them. No word has two meanings.
DECOY_MEANINGS = _meanings(DECOYS, HELD_OUT_DECOYS)
MEANINGS: dict[str, dict[str, Meaning]] = {
    "S1": {**_meanings(SCORE_ATTRIBUTES, HELD_OUT_ATTRIBUTES), **DECOY_MEANINGS},
    "S2": {**_meanings(TAG_ASPECTS, HELD_OUT_ASPECTS), **DECOY_MEANINGS},
    "S3": {**_meanings(SCORE_ATTRIBUTES, HELD_OUT_ATTRIBUTES), **DECOY_MEANINGS},
}
