"""Words of the general drills: everyday things that no simulated task asks about.

The simulated world's own words (tagpr.data.simulated.lexicon) appear in the corpus as plain vocabulary: what they mean,
and in descriptions. Rules of people are taught nowhere.
"""

from __future__ import annotations

# category -> name -> words that mean it
GENERAL_KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "colour": {
        "red": ("scarlet", "crimson"),
        "blue": ("navy", "azure"),
        "green": ("olive", "emerald"),
        "brown": ("walnut", "chestnut"),
    },
    "animal": {
        "cat": ("kitten", "tabby"),
        "dog": ("puppy", "hound"),
        "horse": ("pony", "mare"),
        "bird": ("robin", "heron"),
    },
    "dish": {
        "soup": ("broth", "stew"),
        "bread": ("loaf", "bagel"),
        "fruit": ("plum", "grape"),
        "sweet": ("fudge", "toffee"),
    },
    "stuff": {
        "metal": ("copper", "iron"),
        "stone": ("marble", "granite"),
        "cloth": ("linen", "velvet"),
        "glass": ("crystal", "pane"),
    },
}

# measure -> level -> words
GENERAL_LEVELS: dict[str, dict[str, tuple[str, ...]]] = {
    "size": {"1": ("tiny",), "2": ("little",), "3": ("medium",), "4": ("large",), "5": ("huge",)},
    "heat": {"1": ("frozen",), "2": ("cool",), "3": ("mild",), "4": ("warm",), "5": ("boiling",)},
    "age": {"1": ("newborn",), "2": ("young",), "3": ("grown",), "4": ("old",), "5": ("ancient",)},
    "price": {"1": ("free",), "2": ("cheap",), "3": ("fair",), "4": ("dear",), "5": ("priceless",)},
}

FILLERS = ("a", "the", "and", "with", "near", "by", "of", "in", "on", "has", "was", "is", "this", "that", "we", "there")

# What a drill is called in its prompt, and the small words of its answers.
DRILL_WORDS = (
    *("copy", "recall", "entry", "find", "read", "most", "count", "compare", "sum", "starts", "ends", "means", "words"),
    *("more", "less", "same", "none", "first", "second", "third", "last", "from", "by", "of", "is", "gave", "mostly"),
    *(
        "level",
        "then",
        "yes",
        "no",
        "write",
        "pick",
        "parts",
        "order",
        "join",
        "not",
        "plus",
        "minus",
        "vary",
        "high",
        "low",
    ),
)
