"""LaMP's own prompt: retrieved entries in fixed frames before the official question, each cut to its share of a budget.

Source: github.com/LaMP-Benchmark/LaMP, LaMP/prompts/prompts.py, whose arithmetic is followed token for token, its
frames that are measured in other words than they are written included. Ours: data text is as it stands, save that a
token of the chat template in it is broken up; the text of an entry that has no room for even the tokenizer's own
special tokens counts as not fitting (the official code then leaves it uncut).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from tagpr.data.prompts import MeasuredStyle
from tagpr.data.ruler import Cut, Ruler
from tagpr.errors import UserError
from tagpr.types import ProfileEntry, Prompt, Record

# Tenths of the budget that the question may claim, tried in this order until every entry fits.
QUESTION_TENTHS = (6, 5, 4, 3, 2, 1, 0)
# Tokens that the official arithmetic reserves between two entries, and before the question.
JOIN_TOKENS = 2
LINK_TOKENS = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """How one task writes an entry. `{text}` is what is cut, `{response}` the user's own side.

    Args:
        written: the entry in the prompt.
        measured: the words whose tokens are set aside for the frame; "": two tokens.
        link: stands between the last entry and the question; "": the entries go into the question, behind `title`.
        reserved: words of the link whose tokens are set aside.
        cuts_response: the text that is cut is the response.
    """

    written: str
    measured: str
    link: str
    reserved: str = ""
    cuts_response: bool = False


FRAMES = {
    "LaMP_1": Frame(written='"{text}"', measured="", link="", cuts_response=True),
    "LaMP_2": Frame(
        written='the tag for the movie: "{text}" is "{response}" ',
        measured='the tag for the movie: " " is "{response}" ',
        link=". ",
    ),
    "LaMP_2N": Frame(
        written='the category for the article: "{text}" is "{response}" ',
        measured='the category for the article: " " is "{response}" ',
        link=". ",
    ),
    "LaMP_3": Frame(
        written='{response} is the score for "{text}" ', measured='{response} is the score for " " ', link=". "
    ),
    "LaMP_4": Frame(
        written='"{response}" is the title for "{text}" ', measured='"{response}" is the title for " " ', link=". "
    ),
    "LaMP_5": Frame(
        written='"{response}" is a title for "{text}" ',
        measured='"{response}" is a title " " ',
        link=". Following the given patterns ",
        reserved="Following the given patterns",
    ),
    "LaMP_7": Frame(
        written='"{text}" ',
        measured='"" ',
        link=" are written by a person. Following the given patterns ",
        reserved="are written by user. Following the given patterns",
        cuts_response=True,
    ),
}


@final
@dataclass(frozen=True, kw_only=True)
class OfficialStyle(MeasuredStyle):
    """The prompt of LaMP's scripts, as a user message.

    Args:
        max_input_tokens: L, tokens of the whole message, the tokenizer's own special tokens included.
    """

    max_input_tokens: int

    def __post_init__(self) -> None:
        if self.max_input_tokens < 1:
            raise UserError(f"prompt.max_input_tokens={self.max_input_tokens}, expected 1 or more.")

    def budgets(self) -> dict[str, int]:
        return {"max_input_tokens": self.max_input_tokens}

    def write(self, record: Record, ruler: Ruler) -> Prompt:
        """Entries in rank order, all or none of them: none where even the whole budget is too small for their frames.

        Raises:
            UserError: a task that LaMP does not have.
        """
        if record.task not in FRAMES:
            raise UserError(
                f"prompt=lamp_official: LaMP has no prompt for {record.task}, only for {', '.join(FRAMES)}. Set "
                "prompt=compact or prompt=chat."
            )
        frame = FRAMES[record.task]
        question = ruler.defuse(record.question)
        raw = [record.profile[position] for position in record.retrieved]
        entries = [replace(e, input=ruler.defuse(e.input), response=ruler.defuse(e.response)) for e in raw]
        texts = [entry.response if frame.cuts_response else entry.input for entry in entries]
        cuts = self._fit(frame, entries, texts, question, ruler)
        message = _join(frame, entries, cuts, question) if cuts else question
        shown = [_as_shown(entry, cut.text, frame) for entry, cut in zip(entries, cuts, strict=False)]
        return Prompt(
            record=record,
            text=ruler.first(message, self.max_input_tokens),
            history=tuple(shown),
            thinking=self.thinking,
            num_cut=sum(cut.is_shorter for cut in cuts),
            num_dropped=len(entries) - len(shown),
        )

    def _fit(
        self, frame: Frame, entries: Sequence[ProfileEntry], texts: Sequence[str], question: str, ruler: Ruler
    ) -> list[Cut]:
        """The texts as cut; [] where they do not fit even if the question claims nothing, or have no place in it."""
        if not frame.link and "title" not in question:
            return []
        asked = ruler.count(question, self.max_input_tokens)
        heads = [
            ruler.count(frame.measured.format(response=entry.response), None) if frame.measured else JOIN_TOKENS
            for entry in entries
        ]
        reserved = JOIN_TOKENS * (len(entries) - 1)
        if frame.link:
            reserved += LINK_TOKENS + (ruler.count(frame.reserved, None) if frame.reserved else 0)
        for tenths in QUESTION_TENTHS if entries else ():
            room = self.max_input_tokens - min(asked, tenths * self.max_input_tokens // 10)
            cuts = share_out(texts, heads, (room - reserved) // len(entries), ruler)
            if cuts:
                return cuts
        return []


def share_out(texts: Sequence[str], heads: Sequence[int], share: int, ruler: Ruler) -> list[Cut]:
    """Each text cut to `share` tokens less its frame's, what one leaves over going to those behind it; [] where one of
    them would have fewer than none."""
    cuts: list[Cut] = []
    saved = 0
    for text, head in zip(texts, heads, strict=True):
        room = share + saved - head
        if room < ruler.num_special:
            return []
        cuts.append(ruler.cut(text, room))
        saved += share - cuts[-1].num_tokens - head
    return cuts


def _join(frame: Frame, entries: Sequence[ProfileEntry], cuts: Sequence[Cut], question: str) -> str:
    written = [frame.written.format(text=cut.text, response=e.response) for e, cut in zip(entries, cuts, strict=True)]
    items = ", and ".join(written)
    if frame.link:
        return f"{items}{frame.link}{question}"
    before, title, after = question.partition("title")
    return f"{before}{title}, and {items}{after}"


def _as_shown(entry: ProfileEntry, cut: str, frame: Frame) -> ProfileEntry:
    return replace(entry, input="", response=cut) if frame.cuts_response else replace(entry, input=cut)
