"""What a model reads: the user's retrieved entries, as many and as long as the token budget lets in, and the question.

Data text is escaped, so that nobody's review can hold a tag, an entry number or a chat token of ours.
LaMP's own prompt, which has its own arithmetic, is in official_prompt.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from tagpr.data.ruler import Ruler, shorten
from tagpr.errors import UserError
from tagpr.markup import ARROW, entry_marker, escape
from tagpr.tasks import ALL_TASKS, Task, task_named
from tagpr.types import ProfileEntry, Prompt, Record

# Fewer tokens of an entry's input say nothing about it: an entry that would keep less is not shown.
MIN_INPUT_TOKENS = 8
CACHED_TEXTS = 20_000
ORDERS = ("ranked", "time")


# --- styles ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PromptStyle(ABC):
    """How a prompt is worded, and how many tokens its parts may have.

    Args:
        thinking: whether the model is asked to think before it answers.
    """

    thinking: bool

    @abstractmethod
    def budgets(self) -> dict[str, int]:
        """The settings that bound the tokens of a prompt's data: their sum is the most there can be."""


@dataclass(frozen=True, kw_only=True)
class MeasuredStyle(PromptStyle):
    """A style with token arithmetic of its own: it writes the whole user message, ruler in hand."""

    @abstractmethod
    def write(self, record: Record, ruler: Ruler) -> Prompt:
        """The record's prompt, its text within the budgets' sum."""


@dataclass(frozen=True, kw_only=True)
class AskingStyle(PromptStyle):
    """A style made of parts that PromptBuilder fits: lines of history and a question.

    Args:
        query_tokens: the question; a longer one is cut at its end.
    """

    query_tokens: int

    def __post_init__(self) -> None:
        if self.query_tokens < 1:
            raise UserError(f"prompt.query_tokens={self.query_tokens}, expected 1 or more.")

    def budgets(self) -> dict[str, int]:
        return {"query_tokens": self.query_tokens}

    @abstractmethod
    def question(self, record: Record) -> str:
        """The part of the record that is asked, escaped."""

    @abstractmethod
    def render(self, task: Task, lines: Sequence[str], question: str) -> str:
        """The whole user message."""


@dataclass(frozen=True, kw_only=True)
class HistoryStyle(AskingStyle):
    """A prompt that shows the user's retrieved entries.

    Args:
        history_tokens: the history's lines together.
        entry_tokens: one line of the history.
        order: `ranked` (best first) or `time` (oldest first).
    """

    history_tokens: int
    entry_tokens: int
    order: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in ORDERS:
            raise UserError(f"prompt.order={self.order!r}, expected one of {', '.join(ORDERS)}.")
        if min(self.history_tokens, self.entry_tokens) < 1:
            raise UserError(
                f"prompt.history_tokens={self.history_tokens} and prompt.entry_tokens={self.entry_tokens}, expected 1 "
                "or more each. For prompts without history set prompt=question or retrieval=none."
            )

    def budgets(self) -> dict[str, int]:
        return {"history_tokens": self.history_tokens, **super().budgets()}

    def line(self, entry: ProfileEntry, number: int) -> str:
        """One entry of the history: `<1> input => response`."""
        shown = f"{entry_marker(number)} {entry.input} " if entry.input else f"{entry_marker(number)} "
        return f"{shown}{ARROW} {entry.response}\n"


@final
@dataclass(frozen=True, kw_only=True)
class CompactStyle(HistoryStyle):
    """For small models: the task's cue, the history, the bare query."""

    def question(self, record: Record) -> str:
        return escape(record.query)

    def render(self, task: Task, lines: Sequence[str], question: str) -> str:
        return f"{task.cue} :\n{''.join(lines)}? {question} {ARROW}"


@final
@dataclass(frozen=True, kw_only=True)
class ChatStyle(HistoryStyle):
    """For models that read prose: what the person did before, then the official question in full."""

    def question(self, record: Record) -> str:
        return escape(record.question)

    def render(self, task: Task, lines: Sequence[str], question: str) -> str:
        if not lines:
            return question
        return (
            f"Earlier items of one person, each with that person's own answer behind {ARROW}\n{''.join(lines)}\n"
            f"Answer the next question as this person would.\n{question}"
        )


@final
@dataclass(frozen=True, kw_only=True)
class QuestionStyle(AskingStyle):
    """The official question alone, whatever was retrieved: a person who is unknown."""

    def question(self, record: Record) -> str:
        return escape(record.question)

    def render(self, task: Task, lines: Sequence[str], question: str) -> str:
        return question


# --- fitting ---------------------------------------------------------------------------------------------------------


def fair_shares(needs: Sequence[int], room: int) -> list[int]:
    """`room` tokens divided so that nobody gets more than they need and what one leaves over goes to the others.

    The largest smallest share (max-min fairness); the odd tokens go to the earlier ones.
    """
    shares = [0] * len(needs)
    left = len(needs)
    for position in sorted(range(len(needs)), key=lambda i: (needs[i], -i)):
        shares[position] = min(needs[position], room // left)
        room -= shares[position]
        left -= 1
    for position, need in enumerate(needs):
        extra = min(need - shares[position], room)
        shares[position] += extra
        room -= extra
    return shares


class PromptBuilder:
    """Writes the prompt of a record.

    Args:
        style: wording and budget.
        tokenizer: any Hugging Face tokenizer of the fast kind, with a chat template.
    """

    def __init__(self, *, style: PromptStyle, tokenizer: Any) -> None:
        if not tokenizer.is_fast:
            raise UserError(
                f"The tokenizer {type(tokenizer).__name__} does not tell which characters a token covers. Take one "
                "with a tokenizer.json."
            )
        self.style = style
        self.tokenizer = tokenizer
        self._ruler = Ruler(tokenizer)
        self._token_ends: dict[tuple[str, int], tuple[int, ...]] = {}

    def build(self, record: Record) -> Prompt:
        """The record with the entries that fit; entries are cut in their input alone, and dropped lowest rank first.

        `history` holds the entries as shown: escaped, cut, and without an input where the task shows none.
        """
        style = self.style
        if isinstance(style, MeasuredStyle):
            return style.write(record, self._ruler)
        assert isinstance(style, AskingStyle)
        task = task_named(record.task)
        question, _ = self._cut(style.question(record), style.query_tokens, style.query_tokens)
        history: tuple[ProfileEntry, ...] = ()
        lines: list[str] = []
        num_cut = num_dropped = 0
        if isinstance(style, HistoryStyle):
            kept, num_cut = self._fit([(i, record.profile[i]) for i in record.retrieved], task, style)
            num_dropped = len(record.retrieved) - len(kept)
            history = tuple(entry for _, entry in (sorted(kept, key=_position) if style.order == "time" else kept))
            lines = [style.line(entry, number) for number, entry in enumerate(history, start=1)]
        return Prompt(
            record=record,
            text=style.render(task, lines, question),
            history=history,
            thinking=style.thinking,
            num_cut=num_cut,
            num_dropped=num_dropped,
        )

    def token_ids(self, prompt: Prompt) -> list[int]:
        """The prompt as the model reads it: chat template and generation prompt, thinking as the prompt says."""
        return self._chat(prompt.text, thinking=prompt.thinking)

    def max_tokens(self) -> int:
        """Upper bound on the length of `token_ids`: the parts' budgets, the wording of any task, the chat template."""
        style = self.style
        texts = [""]
        if isinstance(style, AskingStyle):
            empty = ProfileEntry(entry_id="", input="", response="")
            lines = [style.line(empty, 1)] if isinstance(style, HistoryStyle) else []
            texts = [style.render(task, lines, "") for task in ALL_TASKS.values()]
        wording = max(len(self._chat(text, thinking=style.thinking)) for text in texts)
        return wording + sum(style.budgets().values())

    def _chat(self, text: str, *, thinking: bool) -> list[int]:
        return self.tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            add_generation_prompt=True,
            enable_thinking=thinking,
            tokenize=True,
            return_dict=False,
        )

    def _fit(
        self, ranked: Sequence[tuple[int, ProfileEntry]], task: Task, style: HistoryStyle
    ) -> tuple[list[tuple[int, ProfileEntry]], int]:
        """Entries that fit, in rank order, their inputs cut to a fair share; and how many were cut."""
        limit = style.entry_tokens
        kept: list[tuple[int, ProfileEntry]] = []
        frames: list[int] = []
        needs: list[int] = []
        room = style.history_tokens
        for position, raw in ranked:
            if len(raw.response) > len(shorten(raw.response, limit)):
                continue
            entry = replace(raw, input=escape(shorten(task.shown_input(raw), limit)), response=escape(raw.response))
            # The last entry's number is the longest, so that a line's cost is an upper bound in any order.
            frame_text = style.line(replace(entry, input=""), len(ranked))
            frame = len(self.tokenizer(frame_text, add_special_tokens=False)["input_ids"])
            need = self._num_tokens(entry.input, limit)
            least = frame + min(MIN_INPUT_TOKENS, need)
            if least > limit:
                continue
            if least > room:
                break
            room -= least
            kept.append((position, entry))
            frames.append(frame)
            needs.append(need)
        caps = [min(need, limit - frame) for need, frame in zip(needs, frames, strict=True)]
        shares = fair_shares(caps, style.history_tokens - sum(frames))
        num_cut = 0
        for i, ((position, entry), share) in enumerate(zip(kept, shares, strict=True)):
            text, was_cut = self._cut(entry.input, share, limit)
            num_cut += was_cut
            kept[i] = (position, replace(entry, input=text))
        return kept, num_cut

    def _cut(self, text: str, max_tokens: int, limit: int) -> tuple[str, bool]:
        """The text's first `max_tokens` <= limit tokens, characters whole; and whether anything is missing."""
        ends = self._ends(text, limit)
        if len(ends) <= max_tokens:
            short = shorten(text, limit)
            return short, len(short) < len(text)
        # The beginning of a text may take more tokens alone than it had inside, where a word or a character is torn.
        for count in range(max_tokens, 0, -1):
            cut = text[: ends[count - 1]].rstrip()
            if len(self._tokenise(cut)) <= max_tokens:
                return cut, True
        return "", True

    def _num_tokens(self, text: str, limit: int) -> int:
        """Number of tokens; limit + 1 where there are more than `limit`."""
        return len(self._ends(text, limit))

    def _ends(self, text: str, limit: int) -> tuple[int, ...]:
        """The character behind each of the first limit + 1 tokens; a text is tokenised once for each limit."""
        key = (text, limit)
        ends = self._token_ends.get(key)
        if ends is None:
            if len(self._token_ends) >= CACHED_TEXTS:
                self._token_ends.clear()
            ends = self._token_ends[key] = self._tokenise(shorten(text, limit))[: limit + 1]
        return ends

    def _tokenise(self, text: str) -> tuple[int, ...]:
        """The character behind each token of a text that stands behind a space, as inputs and questions do."""
        if not text:
            return ()
        encoded = self.tokenizer(f" {text}", add_special_tokens=False, return_offsets_mapping=True)
        return tuple(end - 1 for _, end in encoded["offset_mapping"])


def _position(item: tuple[int, ProfileEntry]) -> int:
    return item[0]


def check_fits_context(builder: PromptBuilder, *, context_tokens: int, completion_tokens: int) -> None:
    """Raises UserError where the longest prompt and a whole completion do not fit into the model's context."""
    longest = builder.max_tokens()
    if longest + completion_tokens > context_tokens:
        budgets = ", ".join(f"prompt.{name}={tokens}" for name, tokens in builder.style.budgets().items())
        raise UserError(
            f"A prompt may have {longest} tokens ({budgets}, the rest wording) and its completion {completion_tokens}, "
            f"but the model reads {context_tokens}. Lower them by {longest + completion_tokens - context_tokens} or "
            "more, or take a model with a longer context."
        )
