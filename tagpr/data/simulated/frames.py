"""Sentence patterns of item texts. Those of HELD_OUT_FRAMES stand only in test people's texts; they use no new words.

Slots: `venue` (kind, with `visit` before it), `when` (day, weather, season, company; may be empty), an aspect's name
(S2), `w1 n1`, `w2 n2`, `w3 n3` (level word and attribute of the first, second and third mentioned; S1, S3), `a`, `b`
(keywords), `kind` (of study).
"""

from __future__ import annotations

# S2: aspects in order of mention -> patterns. A text may leave one aspect out.
TAG_FRAMES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("mood", "place", "theme"): (
        "a {mood} {venue} by the {place} {when}, full of {theme}",
        "{when} this {mood} {venue} near the {place} has {theme}",
    ),
    ("mood", "theme", "place"): (
        "this {mood} {venue} has {theme} and lies by the {place} {when}",
        "a {mood} {venue} with {theme} near the {place} {when}",
    ),
    ("place", "mood", "theme"): (
        "near the {place} a {mood} {venue} {when}, full of {theme}",
        "by the {place} {when} there is a {mood} {venue} with {theme}",
    ),
    ("place", "theme", "mood"): (
        "by the {place}, {theme} fill a {mood} {venue} {when}",
        "near the {place} this {venue} with {theme} feels {mood} {when}",
    ),
    ("theme", "mood", "place"): (
        "{theme} and a {mood} {venue} beside the {place} {when}",
        "{theme} fill a {mood} {venue} {when} near the {place}",
    ),
    ("theme", "place", "mood"): (
        "known for {theme}, the {venue} by the {place} feels {mood} {when}",
        "{theme} near the {place} in a {mood} {venue} {when}",
    ),
    ("mood", "place"): ("a {mood} {venue} by the {place} {when}", "the {mood} {venue} {when} lies near the {place}"),
    ("place", "mood"): (
        "near the {place} {when} there is a {mood} {venue}",
        "by the {place} this {venue} feels {mood} {when}",
    ),
    ("mood", "theme"): ("a {mood} {venue} with {theme} {when}", "this {mood} {venue} {when} is known for {theme}"),
    ("theme", "mood"): ("{theme} fill a {mood} {venue} {when}", "known for {theme}, this {venue} feels {mood} {when}"),
    ("place", "theme"): (
        "by the {place} a {venue} full of {theme} {when}",
        "near the {place} {when} this {venue} has {theme}",
    ),
    ("theme", "place"): (
        "{theme} in a {venue} near the {place} {when}",
        "full of {theme}, the {venue} lies by the {place} {when}",
    ),
}
HELD_OUT_TAG_FRAMES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("mood", "place", "theme"): (
        "the {mood} {venue} {when} near the {place}, known for {theme}",
        "we found a {mood} {venue} beside the {place} with {theme} {when}",
    ),
    ("mood", "theme", "place"): (
        "{when} the {mood} {venue} full of {theme} beside the {place}",
        "a {mood} {venue} known for {theme} {when} by the {place}",
    ),
    ("place", "mood", "theme"): (
        "beside the {place} this {mood} {venue} has {theme} {when}",
        "{when} near the {place} we found a {mood} {venue} known for {theme}",
    ),
    ("place", "theme", "mood"): (
        "beside the {place} {when}, {theme} fill this {mood} {venue}",
        "by the {place} a {venue} full of {theme} feels {mood} {when}",
    ),
    ("theme", "mood", "place"): (
        "known for {theme}, this {mood} {venue} lies by the {place} {when}",
        "{when}, {theme} in a {mood} {venue} near the {place}",
    ),
    ("theme", "place", "mood"): (
        "full of {theme} {when}, the {venue} beside the {place} is {mood}",
        "with {theme} by the {place} {when} this {venue} feels {mood}",
    ),
    ("mood", "place"): (
        "{when} this {mood} {venue} beside the {place}",
        "we found a {mood} {venue} near the {place} {when}",
    ),
    ("place", "mood"): (
        "beside the {place} we found a {mood} {venue} {when}",
        "near the {place} {when} the {venue} is {mood}",
    ),
    ("mood", "theme"): ("{when} the {mood} {venue} has {theme}", "a {mood} {venue} {when}, full of {theme}"),
    ("theme", "mood"): ("full of {theme} {when}, a {mood} {venue}", "with {theme} this {venue} feels {mood} {when}"),
    ("place", "theme"): (
        "beside the {place} the {venue} with {theme} {when}",
        "by the {place} {when} there is {theme} in a {venue}",
    ),
    ("theme", "place"): (
        "{when}, {theme} fill this {venue} beside the {place}",
        "known for {theme}, a {venue} near the {place} {when}",
    ),
}

SCORE_FRAMES = (
    "the {venue} {when} had {w1} {n1}, {w2} {n2} and {w3} {n3}",
    "{w1} {n1}, {w2} {n2}, {w3} {n3} at the {venue} {when}",
    "{when} the {n1} was {w1}, the {n2} {w2}, the {n3} {w3} in this {venue}",
    "this {venue} {when} : {n1} {w1}, {n2} {w2}, {n3} {w3}",
    "we found {w1} {n1} and {w2} {n2} at the {venue} {when}, also {w3} {n3}",
    "{w1} {n1} {when}, the {venue} has {w2} {n2} and {w3} {n3}",
)
HELD_OUT_SCORE_FRAMES = (
    "at the {venue} {when} we found {w1} {n1}, {w2} {n2}, {w3} {n3}",
    "{when} a {venue} with {w1} {n1}, {w2} {n2} and {w3} {n3}",
    "the {n1} {w1}, the {n2} {w2}, the {n3} {w3} : this {venue} {when}",
    "{w1} {n1} and {w2} {n2} {when}, {w3} {n3} in the {venue}",
    "we had {w1} {n1}, {w2} {n2}, {w3} {n3} {when} at this {venue}",
    "this {venue} has {w1} {n1}, also {w2} {n2} and {w3} {n3} {when}",
)

# S1: one option; both options of a choice are written by the same pattern.
OPTION_FRAMES = (
    "{venue}, {w1} {n1}, {w2} {n2}, {w3} {n3}",
    "{w1} {n1}, {w2} {n2}, {w3} {n3}, {venue}",
    "{venue} : {n1} {w1}, {n2} {w2}, {n3} {w3}",
)
HELD_OUT_OPTION_FRAMES = (
    "{w1} {n1} and {w2} {n2}, {venue}, {w3} {n3}",
    "{n1} {w1}, {n2} {w2}, {n3} {w3} : {venue}",
    "{venue} with {w1} {n1}, {w2} {n2}, {w3} {n3}",
)

# S4, S5: what a person writes a headline or title for. S7: the neutral sentence.
STUDY_FRAMES: dict[str, tuple[str, ...]] = {
    "S4": (
        "today a {kind} says that {a} change {b}",
        "{a} and {b} meet in a new {kind}",
        "a {kind} from the city shows {a} beside {b}",
        "people talk of {a} and {b} in this {kind}",
        "how {a} came to {b}, says a {kind}",
        "the {kind} tells us that {a} need {b}",
    ),
    "S5": (
        "this {kind} follows {a} and explains how they shape {b}",
        "a {kind} of {a} that asks what they owe to {b}",
        "we compare {a} and {b} in a short {kind}",
        "{a} and {b} are the matter of this {kind}",
        "a short {kind} shows how {a} change {b}",
        "the {kind} begins with {a} and ends with {b}",
    ),
    "S7": (
        "there were {a} and {b} in the {kind}",
        "the {kind} was about {a} and {b}",
        "{a} came before {b} in this {kind}",
        "a {kind} on {a} and also {b}",
        "in the {kind} we saw {a} beside {b}",
        "this {kind} has {a} first and then {b}",
    ),
}
HELD_OUT_STUDY_FRAMES: dict[str, tuple[str, ...]] = {
    "S4": (
        "the {kind} says that {a} and {b} meet",
        "{a} change {b}, says this {kind}",
        "a {kind} tells us of {a} beside {b}",
        "that {a} need {b} shows in a {kind}",
        "in the city people talk of {a} and {b}, says a {kind}",
        "{a} came to {b} in a new {kind}",
    ),
    "S5": (
        "this {kind} asks how {a} shape {b}",
        "what {a} owe to {b}, in a {kind}",
        "{a} change {b}, this {kind} shows",
        "in this {kind} we compare {a} and {b}",
        "a {kind} begins with {a} and explains {b}",
        "how {a} and {b} change is the matter of a {kind}",
    ),
    "S7": (
        "we saw {a} and then {b} in a {kind}",
        "the {kind} has {a} and also {b}",
        "in this {kind} there were {a} before {b}",
        "{a} and {b} came in the {kind}",
        "about {a} and {b} was this {kind}",
        "first {a}, then {b} in the {kind}",
    ),
}
