"""The same said otherwise, by rules: how much an answer moves when a step's wording changes and its content does not.

Ours. The rules keep to words that the text has already, or to connectives of the same meaning, so that a small model's
vocabulary holds them. Where no rule applies there is no paraphrase: the caller counts it.
"""

from __future__ import annotations

import re

from tagpr.chains import claims

_CUE = re.compile(r"^(\w+) : ")  # of the scripted teachers: `user : mood`
_CITATION = re.compile(r"(?=<[0-9]{1,4}>)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
# A sentence that opens so leans on the one before it, and cannot change places with it.
_LEANING = re.compile(
    r"(this|that|these|those|it|its|they|their|he|his|she|her|so|but|and|or|then|thus|hence|therefore|however|also|"
    r"still|both|such|which|instead|overall|finally|first|second|third|next)\b",
    re.IGNORECASE,
)
_SYNONYMS = {
    "because": "since", "therefore": "thus", "thus": "therefore", "hence": "therefore", "however": "yet", "although":
    "though", "though": "although", "also": "too", "usually": "mostly", "often": "frequently", "frequently": "often",
    "generally": "usually", "but": "yet", "while": "whereas", "whereas": "while", "shows": "suggests", "suggests":
    "shows", "indicates": "shows", "likes": "enjoys", "enjoys": "likes", "prefers": "favours",
}  # fmt: skip
_CONNECTIVE = re.compile(rf"\b({'|'.join(_SYNONYMS)})\b", re.IGNORECASE)


def paraphrase(task: str, tag: str, text: str) -> str | None:
    """The span's text in other words or another order; None where no rule applies.

    Simulated tasks have the world's own rewording. Elsewhere, in turn: the order of cited entries, else of listed parts
    (` , `), else of sentences that do not lean on one another; connectives by synonyms. A scripted cue loses its colon.
    """
    new = claims.reword(text) if claims.knows(task) else _CONNECTIVE.sub(_synonym, _reorder(tag, text))
    new = _CUE.sub(r"\1 ", new)
    return new if new != text else None


def _reorder(tag: str, text: str) -> str:
    for reordered in (_cited_reversed(tag, text), _parts_reversed(text), _sentences_reversed(text)):
        if reordered != text:
            return reordered
    return text


def _cited_reversed(tag: str, text: str) -> str:
    """Citations in reverse order, each with what is said beside it; what is said of all of them stays last.

    `pattern : <1> a <3> b by c` -> `pattern : <3> b <1> a by c`. Where entries have different numbers of words beside
    them nobody knows what belongs to all: only examined entries, of which nothing is said together, are turned then.
    """
    before, *pieces = _CITATION.split(text)
    if len(pieces) < 2:
        return text
    cited = [piece.split() for piece in pieces]
    widths = {len(words) for words in cited[:-1]}
    if len(widths) == 1 and len(cited[-1]) >= (width := widths.pop()):
        tail, cited[-1] = cited[-1][width:], cited[-1][:width]
    elif tag == "examine_examples":
        tail = []
    else:
        return text
    return before + " ".join(word for words in [*reversed(cited), tail] for word in words)


def _parts_reversed(text: str) -> str:
    cue = _CUE.match(text)
    start = cue.end() if cue else 0
    return text[:start] + " , ".join(reversed(text[start:].split(" , ")))


def _sentences_reversed(text: str) -> str:
    sentences = _SENTENCE_END.split(text.strip())
    if len(sentences) < 2 or any(_LEANING.match(sentence) for sentence in sentences):
        return text
    return " ".join(reversed(sentences))


def _synonym(match: re.Match[str]) -> str:
    word = match[0]
    other = _SYNONYMS[word.lower()]
    return other.capitalize() if word[0].isupper() else other
