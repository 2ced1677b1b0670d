"""What every rollout engine takes and gives."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.lm.backbone import special_ids


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How completions are drawn. Filled from config: temperature 0 is greedy; top_p 1 and top_k 0 cut nothing."""

    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    stop: tuple[str, ...] = ()  # a completion ends with the token that completes one of these

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.top_k < 0 or self.max_new_tokens < 1:
            raise ValueError(
                f"sampling is {self}, expected temperature >= 0 (0 = greedy), 0 < top_p <= 1 (1 = off), top_k >= 0 "
                "(0 = off), max_new_tokens >= 1."
            )
        if isinstance(self.stop, str) or not all(self.stop):
            raise ValueError(f"sampling.stop is {self.stop!r}, expected strings of at least one character each.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One completion of one prompt. Filled by an engine."""

    token_ids: tuple[int, ...]  # with the end-of-text token where there is one; never a pad token
    logprobs: tuple[float, ...]  # natural log, of the distribution that was sampled; under greedy: at temperature 1
    text: str  # decoded, markup kept, without the end-of-text token, up to the first stop string, which is left out
    truncated: bool  # no end-of-text token and no stop string within max_new_tokens
    policy_logprobs: tuple[float, ...] | None = None  # before top-k and top-p; None: nothing was cut, so `logprobs`


class RolloutEngine(ABC):
    """Draws completions from a policy.

    Config gives an engine's settings; the stage adds the policy's tokenizer: `engine = engine(tokenizer=tokenizer)`
    (`_partial_`).

    Args:
        device: of policies that are asked and not trained, see `place`.
    """

    def __init__(self, *, device: str) -> None:
        self.device = device

    def place(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model, moved to this engine's device: for stages that only ask it. One in training is where its trainer
        has put it, and `generate` takes every model where it finds it."""
        return model.to(self.device)  # pyright: ignore[reportArgumentType]

    @abstractmethod
    def generate(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        *,
        num_samples: int,
        sampling: Sampling,
        seed: int | Sequence[int],
        on_done: Callable[[int], None] | None = None,
        positions: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        """`num_samples` completions of each prompt, from the model's weights as they are now.

        Each (prompt position, sample index) has its own random stream derived from `seed`, whatever else is in the
        batch; with one seed per prompt, each (seed, sample index), wherever in the batch the prompt stands. The model's
        training mode is put back afterwards; nothing carries a gradient.

        Args:
            prompts: token ids, without padding.
            seed: one for all prompts, or one for each.
            on_done: called with the number of completions finished since its last call; the sum is len(prompts) *
                num_samples.
            positions: place of each prompt in the whole request, where this is a share of it: together the shares draw
                what the whole would.
        Returns:
            [prompt][sample], in the order given.
        """

    def weights_digest(self, model: PreTrainedModel) -> str:
        """Stands for the trainable weights that `generate` samples with now; other weights, another digest.

        An engine that keeps weights of its own (in another process, or merged) answers for those.
        """
        sums = [one.detach().double().sum() for one in model.parameters() if one.requires_grad]
        return hashlib.sha256(torch.stack(sums).cpu().numpy().tobytes()).hexdigest() if sums else ""


def eos_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens that end a completion: the tokenizer's end-of-text and those that the model declares, except padding."""
    own, pad = special_ids(tokenizer)
    declared = model.generation_config.eos_token_id if model.generation_config is not None else None
    listed = [] if declared is None else [declared] if isinstance(declared, int) else list(declared)
    return frozenset({own} | ({*listed} - {pad}))


def finish(
    token_ids: Sequence[int],
    logprobs: Sequence[float],
    ends: frozenset[int],
    tokenizer: PreTrainedTokenizerBase,
    *,
    policy_logprobs: Sequence[float] | None = None,
    stop: Sequence[str] = (),
) -> Completion:
    """A drawn token list as a Completion; what ends it, if anything, is its last token."""
    ended = bool(token_ids) and token_ids[-1] in ends
    text = decoded(tokenizer, token_ids[:-1] if ended else token_ids)
    at = first_stop(text, stop)
    return Completion(
        token_ids=tuple(token_ids),
        logprobs=tuple(logprobs),
        text=text if at is None else text[:at],
        truncated=not ended and at is None,
        policy_logprobs=None if policy_logprobs is None else tuple(policy_logprobs),
    )


def decoded(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Where the first stop string begins; None: nowhere."""
    found = [at for at in (text.find(one) for one in stop) if at >= 0]
    return min(found) if found else None
