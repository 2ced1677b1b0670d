"""Rollouts written by hand, and a policy of a few words that can be trained in seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tagpr.chains.tags import TagVocabulary, parse
from tagpr.lm.backbone import Backbone, fresh_tiny
from tagpr.lm.generation.base import Completion
from tagpr.rl.rollouts import RlPrompt, RolloutBatch
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Prompt, Record

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = ["4", "calm", "[UNK]"]  # so few that random weights write a readable rating now and then
TAGS = TagVocabulary(names=("examine_examples", "identify_patterns", "infer_preference", "apply_preference"))
NO_TAGS = TagVocabulary(names=())


def word_tokenizer() -> PreTrainedTokenizerBase:
    inner = Tokenizer(models.WordLevel({token: i for i, token in enumerate([*SPECIAL, *WORDS])}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("isolated")])
    inner.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="[UNK]",
        extra_special_tokens=["<|im_start|>"],
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


@dataclass(frozen=True, kw_only=True)
class TinyBackbone(Backbone):
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return word_tokenizer()

    def policy(self) -> PreTrainedModel:
        return fresh_tiny(
            self.tokenizer(),
            hidden_size=16,
            intermediate_size=32,
            num_layers=2,
            num_heads=2,
            num_kv_heads=1,
            head_dim=8,
            max_positions=64,
            init_std=0.05,
            seed=7,
            attention=self.attention,
        )


def make_record(number: int, *, split: str = "train", purpose: str = "rl", gold: str | None = "4") -> Record:
    return Record(
        record_id=f"{split}{number}",
        user_id=f"{split}-u{number // 2}",
        task="S3",
        split=split,
        purpose=purpose,
        question="",
        query=("calm " * (number % 3 + 1)).strip(),
        gold=gold,
        profile=(ProfileEntry(entry_id="e", input="loud", response="2"),),
        retrieved=(0,),
    )


def make_rollouts(
    groups: Sequence[Sequence[str]],
    *,
    golds: Sequence[str | None],
    vocabulary: TagVocabulary = TAGS,
    thinking: bool = True,
    truncated: Callable[[int, int], bool] = lambda b, g: False,
) -> RolloutBatch:
    """Completions given as text, one token per character, each with log-prob -1."""
    task = ALL_TASKS["S3"]
    prompts = []
    for number, gold in enumerate(golds):
        record = make_record(number, gold=gold)
        prompt = Prompt(record=record, text="", history=record.profile, thinking=thinking, num_cut=0, num_dropped=0)
        prompts.append(RlPrompt(prompt=prompt, token_ids=[1] * (number + 2), task=task, gold=gold))
    completions = [
        [
            Completion(
                token_ids=tuple(range(3, 3 + len(text))),
                logprobs=(-1.0,) * len(text),
                text=text,
                truncated=truncated(b, g),
            )
            for g, text in enumerate(group)
        ]
        for b, group in enumerate(groups)
    ]
    parsed = [[parse(text, vocabulary, thinking, is_valid=task.is_valid) for text in group] for group in groups]
    return RolloutBatch(prompts=prompts, completions=completions, parsed=parsed, vocabulary=vocabulary)


@pytest.fixture
def rollouts_of() -> Callable[..., RolloutBatch]:
    return make_rollouts


@pytest.fixture
def record_of() -> Callable[..., Record]:
    return make_record


@pytest.fixture
def tags() -> TagVocabulary:
    return TAGS


@pytest.fixture
def no_tags() -> TagVocabulary:
    return NO_TAGS


@pytest.fixture
def backbone() -> TinyBackbone:
    return TinyBackbone(dtype="float32", attention="two_part")
