import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.data.simulated.grammar import (
    FRAMES,
    HELD_OUT_FRAMES,
    Item,
    Title,
    read_keywords,
    read_kind,
    read_meanings,
    read_title,
    split_words,
)
from tagpr.data.simulated.items import draw_item, item_facts
from tagpr.data.simulated.lexicon import ASPECTS, ENDINGS, JOINERS, KEYWORDS, OPENERS
from tagpr.data.simulated.observer import read_facts

ALL_FRAMES = [(task, frame) for frames in (FRAMES, HELD_OUT_FRAMES) for task in frames for frame in frames[task]]


@pytest.mark.parametrize("task, frame", ALL_FRAMES)
def test_every_paraphrase_says_the_same(task, frame):
    words = {
        "S2": ("snug", "pier", "dice"),
        "S3": ("bland", "devoted", "filthy"),
        "S5": ("kites", "bees"),
    }[task]
    kind = "survey" if task == "S5" else "cafe"
    text = Item(task=task, kind=kind, words=words, frame=frame).text
    assert read_kind(task, text) == kind
    if task == "S5":
        assert read_keywords(text) == words
    else:
        assert {aspect: word for aspect, (word, _) in read_meanings(task, text).items()} == dict(
            zip(ASPECTS[task], words, strict=True)
        )


def test_meanings_by_hand():
    text = "near the dunes there is a hushed lodge full of poems"
    assert read_meanings("S2", text) == {
        "mood": ("hushed", "quiet"),
        "place": ("dunes", "seaside"),
        "theme": ("poems", "books"),
    }
    text = "a cafe with burnt food, helpful staff and a tidy room"
    assert read_facts("S3", text) == {"food": "1", "staff": "4", "room": "3"}


def test_held_out_paraphrases_use_no_new_words_and_are_new():
    known = {word for frames in FRAMES.values() for frame in frames for word in split_words(frame)}
    for task, frames in FRAMES.items():
        assert {word for frame in HELD_OUT_FRAMES[task] for word in split_words(frame)} <= known
        assert not set(frames) & set(HELD_OUT_FRAMES[task])


@given(st.integers(0, 10**6), st.sampled_from(["S2", "S3", "S5"]))
def test_a_random_item_reads_back_to_its_facts(seed, task):
    item = draw_item(task, held_out_frames=0.5, rng=random.Random(seed))
    assert read_facts(task, item.text) == item_facts(item)
    assert 7 <= len(split_words(item.text)) <= 16
    if task == "S3":
        assert len(set(item_facts(item).values())) == 3


@given(
    st.sampled_from(OPENERS),
    st.sampled_from(JOINERS),
    st.sampled_from(ENDINGS),
    st.lists(st.sampled_from(KEYWORDS), min_size=2, max_size=2, unique=True),
)
def test_a_title_reads_back(opener, joiner, ending, keywords):
    title = Title(opener, joiner, ending)
    assert read_title(title.write(tuple(keywords))) == title


@pytest.mark.parametrize(
    "text", ["", "kites and bees", "exploring kites and bees", "Notes on kites.", "exploring and."]
)
def test_other_texts_are_no_title(text):
    assert read_title(text) is None
