"""A tagger that reads surfaces only: the scripted teachers' cues, and common English forms for chains of an LLM."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import final

from tagpr.chains.taggers.base import Tagger
from tagpr.chains.tags import cited_entries
from tagpr.types import Prompt

# How scripted teachers begin a step of each kind; an examine_examples step begins with an entry number.
CUES: dict[str, tuple[str, ...]] = {
    "restate_task": ("task :",),
    "identify_patterns": ("count :", "pattern :"),
    "infer_preference": ("user :",),
    "analyze_query": ("query :",),
    "contrast_typical": ("typical :",),
    "weigh_conflict": ("but :",),
    "apply_preference": ("so :",),
    "verify_fit": ("check :",),
}
_EXAMINES = re.compile(r"\s*<[0-9]+>")

# How a step of each kind opens in English: the first pattern that matches decides.
_OPENINGS = (
    ("verify_fit", r"(let me |i('ll| will)? |now (to )?|to )?(double[- ]?check|verif|check|confirm|sanity)"),
    ("verify_fit", r"(this|that|it|the) (\w+ )?(fits|match(es)?|is consistent with)\b"),
    ("restate_task", r"(okay[,.]? |so[,.]? |first[,.]? )*(the|my) (task|goal|question|job|output)\b"),
    ("restate_task", r"(okay[,.]? |so[,.]? |first[,.]? )*(i|we)('m|'re| am| are)? (need|have|asked|must|supposed)\b"),
    ("contrast_typical", r"(most|typical|average|other|many|ordinary) (people|users?|readers?|reviewers?|authors?)\b"),
    ("contrast_typical", r"(unlike|compared (to|with)|in contrast to|whereas) (most|typical|average|other|many|a)\b"),
    ("weigh_conflict", r"(however|although|though|that said|still|but|on the other hand|admittedly|nevertheless)\b"),
    ("apply_preference", r"(so|therefore|thus|hence|accordingly),"),
    ("apply_preference", r"(therefore|thus|hence|applying|putting|combining|following|based on)\b"),
    ("apply_preference", r"given (this|that|these|the|their)\b"),
    ("analyze_query", r"(now[,:]? |turning to |looking at )*(the|this) (new|current|query|target)\b"),
    ("analyze_query", r"(now[,:]? |turning to )*(the|this) (description|review|article|abstract|tweet|plot|movie|text) "
     r"(here |itself )?(is|has|mentions|describes|says|talks|features|speaks|praises|complains|covers)\b"),
)  # fmt: skip
# What tells a step's kind anywhere in it, asked after the openings.
_ANYWHERE = (
    ("contrast_typical", r"\b(than|unlike|whereas|from) (most|the average|an average|the typical|a typical|others)\b"),
    ("weigh_conflict", r"\b(contradict|conflict|outlier|exception|inconsisten|more recent|recency|outweigh)"),
    ("identify_patterns", r"\b(patterns?|in common|consistently|repeatedly|recurring|in each case)\b"),
    ("identify_patterns", r"\bacross (these|all|their|his|her|the)\b"),
    ("identify_patterns", r"\b(both|all|each|most) (of )?(these|them|their)\b"),
    ("infer_preference", r"\b(user|author|person|reviewer|reader|writer|they|he|she) (seems to |clearly |probably )*"
     r"(prefer|like|value|favou?r|care|enjoy|dislike|want|love|hate|judge|is (strict|lenient|generous|harsh))"),
    ("infer_preference", r"\b(preferences?|tastes?|rule|habits? of|style is)\b"),
    ("examine_examples", r"<[0-9]+>|\b(entry|example|item) (number )?#?[0-9]+"),
    ("examine_examples", r"\b(first|second|third|last) (entry|example|review|title|tweet|movie|article)\b"),
    ("examine_examples", r"\b(past|previous|earlier|history)\b"),
    ("analyze_query", r"\b(query|new (movie|review|article|paper|abstract|tweet|item))\b"),
)  # fmt: skip
_OPENING_PATTERNS = tuple((tag, re.compile(r"\s*(?:" + pattern + ")", re.IGNORECASE)) for tag, pattern in _OPENINGS)
_ANYWHERE_PATTERNS = tuple((tag, re.compile(pattern, re.IGNORECASE)) for tag, pattern in _ANYWHERE)


@final
class RulesTagger(Tagger):
    """Exact on scripted chains; a fair guess, offline and free, on others."""

    def tag(self, prompt: Prompt, steps: Sequence[str]) -> list[str]:
        return [self._tag(step, is_last=position == len(steps) - 1) for position, step in enumerate(steps)]

    def _tag(self, step: str, *, is_last: bool) -> str:
        for tag, cues in CUES.items():
            if step.lstrip().startswith(cues):
                return tag
        if _EXAMINES.match(step):
            return "examine_examples"
        for tag, pattern in _OPENING_PATTERNS:
            if pattern.match(step):
                return tag
        for tag, pattern in _ANYWHERE_PATTERNS:
            if pattern.search(step):
                # Several entries named for one regularity are a pattern, one entry is an example.
                several = tag == "examine_examples" and len(cited_entries(step)) > 1
                return "identify_patterns" if several else tag
        return "apply_preference" if is_last else "infer_preference"
