"""A causal language model of transformers as a teacher: it is asked in prose, and this machine generates."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.chains.asking import question_text, read_reply
from tagpr.chains.teachers.base import RawChain, Teacher
from tagpr.errors import UserError
from tagpr.lm.backbone import PretrainedBackbone
from tagpr.lm.generation.base import RolloutEngine, Sampling, decoded
from tagpr.markup import THINK_OPEN
from tagpr.storage import read_json, write_json
from tagpr.types import Prompt

TRUNCATED, UNREADABLE, TOKENS = "teacher_truncated", "teacher_unreadable", "teacher_generated_tokens"
_TAIL = 16  # tokens of a prompt's end in which a chat template may open a thinking block


class UnreadableWarning(UserWarning):
    """No reply of a teacher's first batch could be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One completion, as it is kept."""

    text: str
    num_tokens: int
    truncated: bool  # it did not end by itself


@final
class PretrainedTeacher(Teacher):
    """Samples replies with a rollout engine and reads them.

    A reply's random numbers are those of (seed, record, sample index), whatever else is asked; what else stands in its
    batch moves its logits by rounding at most. What cannot be read is counted and not asked again: the same seed would
    give the same reply.

    Args:
        path: a local folder, or a model id of the Hugging Face hub.
        dtype: of the weights, see Backbone.
        attention: see Backbone.
        thinking: what the chat template is told of `enable_thinking`. Hidden thinking is generated, paid for, and left
            out of the chains.
        temperature: 0 is greedy: all samples of a prompt are alike.
        max_new_tokens: of a reply, its hidden thinking included.
        batch_tokens: key-value slots of a batch, prompts * (longest prompt + samples * max_new_tokens); replies are
            kept batch by batch, so a kill loses one at most.
        engine: partial of a RolloutEngine that takes the tokenizer.
    """

    name = "hf"

    def __init__(
        self,
        *,
        path: str,
        dtype: str,
        attention: str,
        thinking: bool,
        temperature: float,
        top_p: float,
        top_k: int,
        max_new_tokens: int,
        batch_tokens: int,
        engine: Callable[..., RolloutEngine],
    ) -> None:
        try:
            self.sampling = Sampling(temperature=temperature, top_p=top_p, top_k=top_k, max_new_tokens=max_new_tokens)
        except ValueError as error:
            raise UserError(f"teacher: {error}") from None
        if batch_tokens < 1:
            raise UserError(f"teacher.batch_tokens={batch_tokens}, expected 1 or more.")
        self.backbone = PretrainedBackbone(path=path, dtype=dtype, attention=attention)
        self.thinking = thinking
        self.batch_tokens = batch_tokens
        self.engine = engine
        self._spent: Counter[str] = Counter()

    def chains(self, prompt: Prompt, *, num_samples: int, seed: int) -> list[RawChain]:
        """As many of the `num_samples` as can be read."""
        asked = self._token_ids(prompt)
        (replies,) = self._replies([asked], [_stream(prompt, seed)], num_samples)
        return [chain for reply in replies if (chain := self._chain(reply, prompt, asked)) is not None]

    def write(
        self, prompts: Sequence[Prompt], *, num_samples: int, seed: int, kept: Path, on_done: Callable[[], None]
    ) -> list[list[RawChain | None]]:
        """See Teacher. A stop takes effect when the batch in work is done and kept.

        Raises:
            UserError: a question and its reply do not fit into the model's context; nothing has been generated then.
        """
        asked = [self._token_ids(prompt) for prompt in prompts]
        found: list[list[RawChain | None]] = [[] for _ in prompts]
        for number, batch in enumerate(self._batches(asked, num_samples)):
            questions = [asked[position] for position in batch]
            streams = [_stream(prompts[position], seed) for position in batch]
            file, request = kept / f"batch_{number:05d}.json", self._request(questions, streams, num_samples)
            replies = _kept_replies(file, request)
            if replies is None:
                self._check_fits_context(max(map(len, asked)))
                replies = self._replies(questions, streams, num_samples)
                write_json(file, {"request": request, "replies": [[asdict(one) for one in own] for own in replies]})
            for position, own in zip(batch, replies, strict=True):
                found[position] = [self._chain(one, prompts[position], asked[position]) for one in own]
                on_done()
            if number == 0:
                _warn_of_nothing([found[position] for position in batch], cut_off=self._spent[TRUNCATED])
        return found

    def spent(self) -> dict[str, int]:
        """Tokens generated, hidden thinking included, and replies that gave no chain."""
        return {name: self._spent[name] for name in (TOKENS, TRUNCATED, UNREADABLE)}

    # --- asking ------------------------------------------------------------------------------------------------------

    @cached_property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        return self.backbone.tokenizer()

    @cached_property
    def _rollouts(self) -> RolloutEngine:
        return self.engine(tokenizer=self._tokenizer)

    @cached_property
    def _model(self) -> PreTrainedModel:
        return self._rollouts.place(self.backbone.policy())

    def _token_ids(self, prompt: Prompt) -> list[int]:
        """The question as the teacher reads it, by its own tokenizer and chat template."""
        tokenizer: Any = self._tokenizer
        return tokenizer.apply_chat_template(
            [{"role": "user", "content": question_text(prompt)}],
            add_generation_prompt=True,
            enable_thinking=self.thinking,
            tokenize=True,
            return_dict=False,
        )

    def _batches(self, asked: Sequence[Sequence[int]], num_samples: int) -> list[list[int]]:
        """Positions in batches, longest first, counted as TorchEngine counts: one of ours is one of its own."""
        order = sorted(range(len(asked)), key=lambda position: (-len(asked[position]), position))
        batches: list[list[int]] = []
        while order:
            slots = len(asked[order[0]]) + num_samples * self.sampling.max_new_tokens
            fit = max(1, self.batch_tokens // slots)
            batches.append(order[:fit])
            order = order[fit:]
        return batches

    def _check_fits_context(self, longest: int) -> None:
        context, reply = self._model.config.max_position_embeddings, self.sampling.max_new_tokens
        if longest + reply > context:
            raise UserError(
                f"The longest question to the teacher has {longest} tokens and its reply may have "
                f"teacher.max_new_tokens={reply}, but {self.backbone.path} reads {context}. Lower "
                f"teacher.max_new_tokens, show less of the history (retrieval.k, prompt.history_tokens; in all by "
                f"{longest + reply - context} tokens or more), or take a teacher with a longer context."
            )

    def _replies(
        self, questions: Sequence[Sequence[int]], streams: Sequence[int], num_samples: int
    ) -> list[list[Reply]]:
        groups = self._rollouts.generate(
            self._model, questions, num_samples=num_samples, sampling=self.sampling, seed=streams
        )
        return [
            [Reply(text=one.text, num_tokens=len(one.token_ids), truncated=one.truncated) for one in group]
            for group in groups
        ]

    def _request(self, questions: Sequence[Sequence[int]], streams: Sequence[int], num_samples: int) -> str:
        """Stands for what a batch asks: kept replies to anything else do not count."""
        asked = [self.backbone.path, self.thinking, asdict(self.sampling), questions, streams, num_samples]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    # --- reading -----------------------------------------------------------------------------------------------------

    def _chain(self, reply: Reply, prompt: Prompt, asked: Sequence[int]) -> RawChain | None:
        self._spent[TOKENS] += reply.num_tokens
        if reply.truncated:
            self._spent[TRUNCATED] += 1
            return None
        # A template may open the thinking block itself; without its mark, thinking that never closes would be a chain.
        opened = decoded(self._tokenizer, asked[-_TAIL:]).rstrip().endswith(THINK_OPEN)
        chain = read_reply(f"{THINK_OPEN}{reply.text}" if opened else reply.text, prompt)
        self._spent[UNREADABLE] += chain is None
        return chain


def _stream(prompt: Prompt, seed: int) -> int:
    """The seed of a record's replies; unrelated for neighbouring seeds."""
    named = f"{seed}/{prompt.record.task}/{prompt.record.record_id}"
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:8], "big")


def _warn_of_nothing(first: Sequence[Sequence[RawChain | None]], *, cut_off: int) -> None:
    """Say it where a first batch gave nothing: the rest may take hours."""
    chains = [one for own in first for one in own]
    if chains and not any(chains):
        warnings.warn(
            f"None of the teacher's first {len(chains)} replies could be read, {cut_off} of them were cut off at "
            "teacher.max_new_tokens. If that is too short, or the model does not do as asked, stop and change it.",
            UnreadableWarning,
            stacklevel=3,
        )


def _kept_replies(file: Path, request: str) -> list[list[Reply]] | None:
    """The replies to this request; None where there are none, or the file is torn."""
    try:
        held = read_json(file)
        return [[Reply(**one) for one in own] for own in held["replies"]] if held["request"] == request else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
