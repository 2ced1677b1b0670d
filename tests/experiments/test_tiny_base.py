"""The tiny base's recipe: its tokenizer is the shipped one, its drills keep to what the card says."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, Qwen3ForCausalLM

import tagpr.lm
from experiments.tiny_base import corpus
from experiments.tiny_base.muon import Muon, orthogonalise
from experiments.tiny_base.tokenizer import train_bpe
from experiments.tiny_base.train import collate, probe, repeats
from tagpr.chains.tags import has_tag_text
from tagpr.data.simulated.grammar import HELD_OUT_FRAMES
from tagpr.markup import THINK_CLOSE, THINK_OPEN

BASE = Path(tagpr.lm.__file__).parent / "tiny_base"


def drill_examples() -> list[corpus.Example]:
    rng = random.Random(3)
    return [drill(rng) for drill in corpus.DRILLS for _ in range(40)]


def test_shipped_tokenizer_is_what_the_command_writes() -> None:
    shipped = Tokenizer.from_file(str(BASE / "tokenizer.json"))
    assert train_bpe().get_vocab() == shipped.get_vocab()


def test_drills_hold_no_tags() -> None:
    for example in drill_examples():
        for text in (example.prompt, example.completion.replace(THINK_OPEN, "").replace(THINK_CLOSE, "")):
            assert not has_tag_text(text), text


def test_drills_hold_no_held_out_paraphrase() -> None:
    frames = [
        re.compile(re.sub(r"\\\{\w+\\\}", r"\\w+", re.escape(frame)) + r"(?= =>|$)", re.MULTILINE)
        for frames in HELD_OUT_FRAMES.values()
        for frame in frames
    ]
    text = "\n".join(re.sub(r"^(<\d+>|\?) ", "", line) for e in drill_examples() for line in e.prompt.splitlines())
    assert [frame.pattern for frame in frames if frame.search("\n" + text)] == []


def test_thinking_is_closed_where_it_is_on_and_absent_where_it_is_off() -> None:
    for example in drill_examples():
        marks = (example.completion.count(THINK_OPEN), example.completion.count(THINK_CLOSE))
        assert marks == ((1, 1) if example.thinking else (0, 0)), example


def test_no_drill_relates_the_worlds_labels_to_its_descriptions() -> None:
    # In a list of descriptions, a response is as likely to be another item's label as its own.
    rng = random.Random(11)
    own = other = 0
    for _ in range(1_000):
        prompt = corpus.find_world(rng).prompt
        lines = [line.rpartition(" => ") for line in prompt.splitlines() if line.startswith("<")]
        for position, (text, _, response) in enumerate(lines):
            neighbour = lines[(position + 1) % len(lines)][0]
            own += any(corpus.MEANINGS[word][0] == response for word in text.split() if word in corpus.MEANINGS)
            other += any(corpus.MEANINGS[word][0] == response for word in neighbour.split() if word in corpus.MEANINGS)
    assert own == pytest.approx(other, rel=0.15)


def test_repeats_know_the_second_copy_but_its_first_token_and_the_seam() -> None:
    ids, known = repeats(torch.Generator().manual_seed(0), torch.arange(100, 110), tokens=24, length=4)
    assert ids.shape == known.shape == (3, 8)
    for row, mask in zip(ids.tolist(), known.tolist(), strict=True):
        first, second = row[:4], row[4:]
        assert sorted(first) == sorted(second)
        shift = first.index(second[0])
        assert second == first[shift:] + first[:shift]
        assert mask[:5] == [False] * 5
        assert [position for position in range(5, 8) if not mask[position]] == ([8 - shift] if shift else [])


def test_collate_marks_completions() -> None:
    ids, known = collate([([5, 6, 7], 1), ([8, 9], 1)], pad=0)
    assert ids.tolist() == [[5, 6, 7], [8, 9, 0]]
    assert known.tolist() == [[False, True, True], [False, True, False]]


def test_orthogonalise_brings_singular_values_near_one() -> None:
    matrices = torch.randn(2, 8, 24, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(matrices))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_muon_moves_tall_and_wide_matrices_alike() -> None:
    wide = torch.nn.Parameter(torch.zeros(2, 3))
    tall = torch.nn.Parameter(torch.zeros(3, 2))
    wide.grad = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    tall.grad = wide.grad.T.clone()
    Muon([wide, tall], momentum=0.0).step(lr=0.1)
    assert torch.allclose(wide, tall.T)
    # lr * 0.2 * sqrt(3) times a matrix with singular values near 1, against the gradient
    assert wide[0, 0].item() == pytest.approx(-0.1 * 0.2 * 3**0.5, rel=0.4)


def test_shipped_base_has_the_skills_of_its_card() -> None:
    accuracy = probe(Qwen3ForCausalLM.from_pretrained(BASE).eval(), AutoTokenizer.from_pretrained(BASE), 16)
    assert min(accuracy[name] for name in ("copy", "most", "find", "find_world", "form", "keywords")) > 0.8
