"""N6: a wrong answer with a surface cue that looks personal or thorough, so that the cue never pays.

Cues are those that reward models are known to fall for: speaking of oneself, a phrase pasted from the person's history,
padding. A cue stands in the rejected side alone, and never in one that holds it already.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from tagpr.data.retrieval import is_own_entry
from tagpr.markup import escape
from tagpr.prmu.pairs.base import N1, N1_LABEL, N4, N5, N6, Made, hash_share, make_pair
from tagpr.tasks import ALL_TASKS
from tagpr.types import PreferencePair, Record

# Whose rejected side is wrong for the person, the surest first.
WRONG = (N1, N4, N1_LABEL, N5)
PASTED_WORDS = 4
PADDED_WORDS = 4
SELF_MENTIONS = (
    "as i always say",
    "in my own words",
    "this is so me",
    "just as i like it",
    "as you know me",
    "like my earlier ones",
)
FILLERS = ("and so on and so forth", "to say it once more", "all in all and all told", "as was said before")

_WORD = re.compile(r"\w+")


def cued_pairs(records: Sequence[Record], pairs: Iterable[PreferencePair]) -> Made:
    """N6: the gold over a wrong answer of an earlier pair with a cue added; at most one per record.

    In text tasks the cue takes the place of as many words as it has where the wrong answer has more, so that it does
    not only make it longer. All choices are hashes of the question.

    Args:
        pairs: of the other types, which the wrong answers are taken from.
    """
    wrong: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for pair in pairs:
        if pair.negative_type in WRONG:
            wrong[pair.record_id][pair.negative_type].append(pair.rejected)
    blocks, dropped, kinds = [], Counter[str](), Counter[str]()
    for record in records:
        by_type = wrong.get(record.record_id)
        if record.gold is None or not by_type:
            continue
        answers = next(by_type[kind] for kind in WRONG if kind in by_type)
        answers = [answer for answer in answers if escape(answer) != escape(record.gold)]
        made = _cued(record, answers) if answers else None
        if made is None:
            dropped["no_cue"] += 1
            continue
        rejected, kind = made
        blocks.append([make_pair(record, rejected, N6)])
        kinds[kind] += 1
    return Made(blocks=blocks, dropped=dropped, kinds=kinds)


def _cued(record: Record, answers: Sequence[str]) -> tuple[str, str] | None:
    """(answer with its cue, kind of cue), of the first kind by hash whose cue the gold and the answer lack."""
    answer = escape(answers[int(hash_share("wrong", record.record_id) * len(answers))])
    gold = escape(record.gold or "")
    for kind in sorted(CUES, key=lambda kind: hash_share("cue", record.record_id, kind)):
        cue = CUES[kind](record, answer, hash_share("phrase", record.record_id, kind))
        if cue and not holds(gold, cue) and not holds(answer, cue):
            in_front = hash_share("place", record.record_id) < 0.5
            return with_cue(answer, cue, in_front=in_front, replace=ALL_TASKS[record.task].kind == "text"), kind
    return None


def with_cue(answer: str, cue: str, *, in_front: bool, replace: bool) -> str:
    """The answer with the cue before or behind it, in the place of equally many words if `replace` and it has more."""
    words = answer.split()
    spare = len(cue.split()) if replace and len(words) > len(cue.split()) else 0
    kept = words[spare:] if in_front else words[: len(words) - spare]
    return " ".join([cue, *kept] if in_front else [*kept, cue])


def holds(text: str, cue: str) -> bool:
    """Whether the cue's words stand in the text in a row, case and punctuation aside."""
    words, wanted = _WORD.findall(text.casefold()), _WORD.findall(cue.casefold())
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))


def _self_mention(record: Record, answer: str, chance: float) -> str:
    return SELF_MENTIONS[int(chance * len(SELF_MENTIONS))]


def _pasted(record: Record, answer: str, chance: float) -> str:
    """A run of words of a past text of the person: their own where it is long enough, else what they answered to."""
    entries = [entry for entry in record.profile if not is_own_entry(entry, record)]
    if not entries:
        return ""
    entry = entries[int(chance * len(entries))]
    said, given = escape(entry.response).split(), escape(entry.input).split()
    words = said if len(said) >= PASTED_WORDS else given
    if len(words) < PASTED_WORDS:
        return ""
    start = int(chance * 997 % 1 * (len(words) - PASTED_WORDS + 1))
    return " ".join(words[start : start + PASTED_WORDS])


def _padding(record: Record, answer: str, chance: float) -> str:
    """A filler, or the answer's own last words twice more."""
    if chance < 0.5:
        return FILLERS[int(chance * 2 * len(FILLERS))]
    tail = answer.split()[-PADDED_WORDS // 2 :]
    return " ".join(tail * 2)


CUES: dict[str, Callable[[Record, str, float], str]] = {
    "self_mention": _self_mention,
    "pasted": _pasted,
    "padding": _padding,
}
