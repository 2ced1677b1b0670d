"""The shipped base: its files are whole, load as any Hugging Face folder does, its tokenizer keeps the fixed forms."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

import tagpr.lm
from tagpr.chains.tags import TAG_TOKENS, open_tag
from tagpr.data.simulated import lexicon
from tagpr.data.simulated.reasoning import ANSWER_STARTS
from tagpr.data.simulated.style import STYLE_WORDS
from tagpr.markup import ARROW, THINK_CLOSE, THINK_OPEN, entry_marker
from tagpr.tasks import ALL_TASKS

BASE = Path(tagpr.lm.__file__).parent / "tiny_base"
MAX_BYTES = 8 * 2**20
MARKS = [THINK_OPEN, THINK_CLOSE, ARROW, *TAG_TOKENS, *(entry_marker(k) for k in range(1, 33))]
WORLD_WORDS = [
    *(word for table in lexicon.MEANINGS.values() for word in table),
    *lexicon.TAG_LABELS,
    *(word for parts in STYLE_WORDS.values() for words in parts.values() for word in words if word.isalpha()),
    *lexicon.KEYWORDS,
    *lexicon.STUDY_KINDS,
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(BASE)


def test_weights_are_the_ones_that_the_hash_names() -> None:
    digest, name = (BASE / "SHA256").read_text().split()
    assert name == "model.safetensors"
    assert hashlib.sha256((BASE / name).read_bytes()).hexdigest() == digest
    assert digest in (BASE / "CARD.md").read_text()


def test_weights_fit_in_the_package() -> None:
    assert (BASE / "model.safetensors").stat().st_size <= MAX_BYTES


def test_model_loads_and_agrees_with_the_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    model = AutoModelForCausalLM.from_pretrained(BASE)
    assert type(model).__name__ == "Qwen3ForCausalLM"
    assert model.dtype == torch.float32
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.max_position_embeddings == 2048
    assert 0.9e6 < sum(p.numel() for p in model.parameters()) < 1.1e6
    end, pad = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    assert (model.config.eos_token_id, model.config.pad_token_id) == (end, pad)
    assert (model.generation_config.eos_token_id, model.generation_config.pad_token_id) == (end, pad)
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (end, pad)


def test_row_of_the_pad_token_is_not_zero(tokenizer: PreTrainedTokenizerBase) -> None:
    # A zero row through RMSNorm multiplies gradients by 1 / sqrt(eps).
    rows = AutoModelForCausalLM.from_pretrained(BASE).get_input_embeddings().weight
    assert rows[tokenizer.pad_token_id].abs().max() > 1e-3


@pytest.mark.parametrize(
    ("thinking", "opening"),
    [(True, "<|im_start|>assistant\n"), (False, "<|im_start|>assistant\n<think></think>")],
)
def test_template(tokenizer: PreTrainedTokenizerBase, thinking: bool, opening: str) -> None:
    messages = [{"role": "user", "content": "tag :\n? a calm cafe =>"}]
    rendered = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=thinking
    )
    assert rendered == "<|im_start|>user\ntag :\n? a calm cafe =><|im_end|>\n" + opening


def test_template_thinks_by_default_and_closes_a_finished_turn(tokenizer: PreTrainedTokenizerBase) -> None:
    question = {"role": "user", "content": "a"}
    assert tokenizer.apply_chat_template([question], tokenize=False, add_generation_prompt=True).endswith("assistant\n")
    turns = [question, {"role": "assistant", "content": "<think>b</think>c"}]
    assert (
        tokenizer.apply_chat_template(turns, tokenize=False)
        == "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<think>b</think>c<|im_end|>\n"
    )


@pytest.mark.parametrize("mark", MARKS)
def test_mark_is_one_token_inside_text(tokenizer: PreTrainedTokenizerBase, mark: str) -> None:
    before, after = tokenizer("cosy").input_ids, tokenizer("calm").input_ids
    (number,) = tokenizer(mark).input_ids
    assert tokenizer("cosy" + mark + "calm").input_ids == [*before, number, *after]


def test_arrow_with_its_space_is_one_token(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.tokenize("a => b") == ["a", " =>", "Ġb"]


def test_marks_survive_decoding_without_special_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    text = f"<think>{open_tag('examine_examples')}<2> quiet</examine_examples></think>quiet"
    ids = tokenizer(text + "<|im_end|>").input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back(text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_words_of_the_world_are_single_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    pieces = {word: len(tokenizer(" " + word).input_ids) for word in WORLD_WORDS}
    assert sum(number == 1 for number in pieces.values()) >= 0.95 * len(pieces)
    assert max(pieces.values()) <= 4


def test_answers_begin_with_one_token(tokenizer: PreTrainedTokenizerBase) -> None:
    assert [word for word in ANSWER_STARTS if len(tokenizer(word).input_ids) > 1] == []


@pytest.mark.parametrize("task", ALL_TASKS.values(), ids=lambda task: task.name)
def test_official_questions_are_of_sane_length(tokenizer: PreTrainedTokenizerBase, task) -> None:
    query = 'a [1]: "b" [2]: "c"' if task.name == "LaMP_1" else "a"
    assert len(tokenizer(task.write_question(query)).input_ids) <= 120
