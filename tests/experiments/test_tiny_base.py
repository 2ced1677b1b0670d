"""The tiny base's recipe: its tokenizer is the shipped one, its drills keep to what the card says."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, Qwen3ForCausalLM

import tagpr.lm
from experiments.tiny_base import corpus
from experiments.tiny_base.material import DESCRIBED, MEANINGS, WORLD_MEANINGS, world_item
from experiments.tiny_base.muon import Muon, orthogonalise
from experiments.tiny_base.tokenizer import quoted_words, train_bpe, world_words
from experiments.tiny_base.train import collate, probe, repeats
from tagpr.chains.tags import has_tag_text
from tagpr.data.simulated import frames, items, lexicon
from tagpr.data.simulated.reasoning import ANSWER_STARTS, CHAIN_CUES, CHAIN_WORDS
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


def any_of(*decoys: str) -> str:
    tables = (lexicon.DECOYS, lexicon.HELD_OUT_DECOYS)
    return "|".join(w for table in tables for decoy in decoys for words in table.get(decoy, {}).values() for w in words)


DAY = rf"on a (?:(?:{any_of('weather')}) )?(?:{any_of('day')}|day)"
SITUATION = re.compile(rf",? ?\b(?:{DAY}|in (?:{any_of('season')})|with (?:{any_of('company')}))\b")
VENUE = rf"(?:(?:{any_of('visit')})\\ )?(?:{any_of('kind')})"
MOOD = "|".join(word for word, (_, kind) in WORLD_MEANINGS.items() if kind == "mood")


def patterns(*tables: Iterable[str]) -> set[re.Pattern[str]]:
    """Patterns of texts from which the situation was taken; what varies is one word, a venue one or two."""
    found = set()
    for frame in (frame for table in tables for frame in table):
        bare = " ".join(frame.replace("{when}", "").replace(" ,", ",").split()).removeprefix(", ")
        literal = re.escape(bare).replace(r"\{venue\}", VENUE).replace(r"\{mood\}", f"(?:{MOOD})")
        found.add(re.compile(re.sub(r"\\\{\w+\\\}", r"\\w+", literal)))
    return found


def bare_texts(examples: Iterable[corpus.Example]) -> list[str]:
    """Every text of the drills' prompts, options of a choice one by one, without its situation."""
    texts = []
    for line in "\n".join(example.prompt for example in examples).splitlines():
        line = re.sub(r"^(<\d+>|\?) ", "", line)
        texts += re.findall(r'"(.*?)"', line) or [line.split(" => ")[0]]
    return [" ".join(SITUATION.sub("", text).replace(" ,", ",").split()).removeprefix(", ") for text in texts]


def test_drills_hold_no_held_out_pattern() -> None:
    train = patterns(*(frames.TAG_FRAMES | frames.STUDY_FRAMES).values(), frames.SCORE_FRAMES, frames.OPTION_FRAMES)
    held_out = patterns(
        *(frames.HELD_OUT_TAG_FRAMES | frames.HELD_OUT_STUDY_FRAMES).values(),
        frames.HELD_OUT_SCORE_FRAMES,
        frames.HELD_OUT_OPTION_FRAMES,
    )
    texts = bare_texts(drill_examples())
    met = {pattern.pattern for pattern in train if any(pattern.fullmatch(text) for text in texts)}
    assert len(met) > 0.6 * len(train)  # or this test would read nothing
    assert [p.pattern for p in held_out if any(p.fullmatch(text) for text in texts)] == []


def test_drills_hold_no_held_out_pair_of_values() -> None:
    rng = random.Random(5)
    for task in DESCRIBED:
        for _ in range(300):
            _, words = world_item(rng, task)
            said = {MEANINGS[word][1]: MEANINGS[word][0] for word in words}
            assert not items.has_held_out_pair(task, said)


def test_every_word_of_world_and_chains_is_one_token() -> None:
    shipped = Tokenizer.from_file(str(BASE / "tokenizer.json"))
    inside = [" " + word for word in (*world_words(), *CHAIN_WORDS)]
    begins = [*ANSWER_STARTS, *CHAIN_CUES, *quoted_words()]
    assert [word for word in (*inside, *begins) if len(shipped.encode(word).ids) > 1] == []


@pytest.mark.parametrize(
    ("one", "other", "flips", "ways", "how"),
    [(4, 4, True, True, "same"), (4, 2, True, True, "flip"), (4, 2, False, True, "up"), (1, 3, False, True, "down"),
     (1, 4, True, True, ""), (4, 2, False, False, "")],
)  # fmt: skip
def test_how_a_number_stands_to_a_level(one: int, other: int, flips: bool, ways: bool, how: str) -> None:
    assert corpus.relation(one, other, flips=flips, ways=ways) == how


def test_look_tells_the_word_of_an_attribute_in_an_entry() -> None:
    rng = random.Random(8)
    for _ in range(300):
        example = corpus.look(rng)
        lines = {line.split()[0]: line.rpartition(" => ")[0] for line in example.prompt.splitlines() if line[0] == "<"}
        thinking = example.completion.removeprefix(THINK_OPEN).partition(THINK_CLOSE)[0]
        for number, said in re.findall(r"(<\d+>) ([^<]+)", thinking):
            facts = said.split()
            for kind, word, name in zip(facts[::3], facts[1::3], facts[2::3], strict=False):
                assert word in re.findall(r"\w+", lines[number])
                assert MEANINGS[word] == (name, kind)


def test_thinking_is_closed_where_it_is_on_and_absent_where_it_is_off() -> None:
    for example in drill_examples():
        marks = (example.completion.count(THINK_OPEN), example.completion.count(THINK_CLOSE))
        assert marks == ((1, 1) if example.thinking else (0, 0)), example


def test_no_drill_relates_the_worlds_labels_to_its_descriptions() -> None:
    # In a list of descriptions, a response is as likely to be another item's label as its own.
    rng = random.Random(11)
    own = other = 0
    for _ in range(2_000):
        prompt = rng.choice((corpus.find_world, corpus.look, corpus.pick))(rng).prompt
        lines = [line.rpartition(" => ") for line in prompt.splitlines() if line.startswith("<")]
        for position, (text, _, response) in enumerate(lines):
            neighbour = lines[(position + 1) % len(lines)][0]
            own += any(MEANINGS[word][0] == response for word in text.split() if word in MEANINGS)
            other += any(MEANINGS[word][0] == response for word in neighbour.split() if word in MEANINGS)
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
