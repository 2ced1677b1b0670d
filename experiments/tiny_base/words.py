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
    "size": {"1": ("tiny", "wee"), "2": ("little", "small"), "3": ("medium",), "4": ("large", "big"), "5": ("huge",)},
    "heat": {"1": ("frozen", "icy"), "2": ("cool",), "3": ("mild",), "4": ("warm",), "5": ("boiling", "hot")},
    "age": {"1": ("newborn",), "2": ("young",), "3": ("grown",), "4": ("old", "aged"), "5": ("ancient",)},
    "price": {"1": ("free",), "2": ("cheap",), "3": ("fair",), "4": ("dear", "costly"), "5": ("priceless",)},
}

FILLERS = ("a", "the", "and", "with", "near", "by", "of", "in", "on", "has", "was", "is", "this", "that", "we", "there")

# What a drill is called in its prompt, and the small words of its answers.
DRILL_WORDS = (
    *(
        "copy",
        "recall",
        "entry",
        "look",
        "find",
        "facts",
        "read",
        "most",
        "after",
        "before",
        "count",
        "compare",
        "form",
        "shape",
        "pick",
    ),
    *(
        "means",
        "words",
        "gave",
        "from",
        "by",
        "of",
        "none",
        "last",
        "second",
        "parts",
        "more",
        "less",
        "and",
        "yes",
        "write",
    ),
)
