import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.data.simulated import frames
from tagpr.data.simulated.grammar import (
    read_facts,
    read_keywords,
    read_kind,
    read_meanings,
    read_mentions,
    split_words,
    write_choice,
    write_situation,
    write_text,
)
from tagpr.data.simulated.items import ItemDials, draw_item, has_held_out_pair
from tagpr.data.simulated.lexicon import ASPECTS, DECOYS, HELD_OUT_WORDS, KEYWORDS, WORDS

TASKS = ("S1", "S2", "S3", "S4", "S5", "S7")
DIALS = ItemDials(
    held_out_frames=0.5,
    held_out_words=0.5,
    held_out_pairs=True,
    all_mentioned=0.5,
    min_decoys=2,
    max_decoys=4,
    weather_strength=0.5,
    broken=False,
)
TRAIN = ItemDials(
    held_out_frames=0.0,
    held_out_words=0.0,
    held_out_pairs=False,
    all_mentioned=0.6,
    min_decoys=2,
    max_decoys=4,
    weather_strength=0.5,
    broken=False,
)
SCORE_PATTERNS = (*frames.SCORE_FRAMES, *frames.HELD_OUT_SCORE_FRAMES)
TAG_PATTERNS = [
    (order, pattern)
    for table in (frames.TAG_FRAMES, frames.HELD_OUT_TAG_FRAMES)
    for order, patterns in table.items()
    for pattern in patterns
]


def fields(pattern: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(pattern) if name}


def literal_words(table) -> set[str]:
    patterns = [p for ps in table.values() for p in ps] if isinstance(table, dict) else table
    return {w for p in patterns for part in string.Formatter().parse(p) for w in split_words(part[0]) if w.isalpha()}


@pytest.mark.parametrize("order, pattern", TAG_PATTERNS)
@pytest.mark.parametrize("situation", ["", "with friends on a rainy tuesday"])
def test_every_tag_pattern_reads_back_in_its_order(order, pattern, situation):
    words = {"mood": "snug", "place": "pier", "theme": "dice"}
    text = write_text(pattern, {a: words[a] for a in order}, {"visit": "new", "kind": "cafe"}, situation)
    facts = read_facts("S2", text)
    labels = {"mood": "cosy", "place": "seaside", "theme": "games"}
    assert list(facts.aspects[0].items()) == [(aspect, labels[aspect]) for aspect in order]
    said = {"company": "friends", "weather": "rainy", "day": "weekday"} if situation else {}
    assert facts.decoys[0] == {"visit": "new", "kind": "cafe"} | said
    assert text == text.strip(" ,")
    assert "  " not in text
    assert " ," not in text


@pytest.mark.parametrize("pattern", SCORE_PATTERNS)
def test_every_score_pattern_reads_back_in_its_order(pattern):
    text = write_text(pattern, {"staff": "rude", "room": "airy", "food": "plain"}, {"kind": "club"}, "in autumn")
    facts = read_facts("S3", text)
    assert list(facts.aspects[0].items()) == [("staff", "1"), ("room", "4"), ("food", "3")]
    assert facts.decoys[0] == {"kind": "club", "season": "autumn"}


@pytest.mark.parametrize("pattern", [*frames.OPTION_FRAMES, *frames.HELD_OUT_OPTION_FRAMES])
def test_every_choice_reads_back_with_its_situation_in_both_options(pattern):
    options = [
        write_text(pattern, {"food": food, "room": "dim", "staff": "slow"}, {"visit": visit, "kind": kind}, "")
        for food, visit, kind in (("stale", "usual", "hall"), ("tasty", "modern", "cafe"))
    ]
    facts = read_facts("S1", write_choice("on a sunny holiday", options))
    assert facts.aspects == ({"food": "2", "room": "2", "staff": "2"}, {"food": "4", "room": "2", "staff": "2"})
    situation = {"weather": "sunny", "day": "weekend"}
    assert facts.decoys == (
        situation | {"visit": "usual", "kind": "hall"},
        situation | {"visit": "new", "kind": "cafe"},
    )


@pytest.mark.parametrize(
    "known, new",
    [
        (frames.TAG_FRAMES, frames.HELD_OUT_TAG_FRAMES),
        (frames.SCORE_FRAMES, frames.HELD_OUT_SCORE_FRAMES),
        (frames.OPTION_FRAMES, frames.HELD_OUT_OPTION_FRAMES),
        *((frames.STUDY_FRAMES[t], frames.HELD_OUT_STUDY_FRAMES[t]) for t in frames.STUDY_FRAMES),
    ],
)
def test_held_out_patterns_are_new_half_of_all_and_need_no_new_words(known, new):
    everywhere = literal_words(frames.TAG_FRAMES) | literal_words(frames.SCORE_FRAMES)
    everywhere |= literal_words(frames.STUDY_FRAMES) | {"with", "on", "in"}
    assert literal_words(new) <= everywhere

    def flat(table):
        return [p for ps in table.values() for p in ps] if isinstance(table, dict) else list(table)

    assert not set(flat(known)) & set(flat(new))
    assert len(flat(known)) == len(flat(new))


def test_meanings_by_hand():
    text = "near the dunes with friends there is a hushed usual lodge with poems"
    assert read_meanings("S2", text) == {
        "place": ("dunes", "seaside"),
        "mood": ("hushed", "quiet"),
        "theme": ("poems", "books"),
    }
    assert [(m.word, m.aspect) for m in read_mentions("S2", text)] == [
        ("dunes", "place"),
        ("friends", "company"),
        ("hushed", "mood"),
        ("usual", "visit"),
        ("lodge", "kind"),
        ("poems", "theme"),
    ]
    assert read_kind("S2", text) == "lodge"
    assert read_keywords("a survey of owls and bees and owls") == ("owls", "bees")
    assert split_words("odd kites...!") == ["odd", "kites", "...", "!"]


def test_a_situation_by_hand():
    assert write_situation({}, random.Random(0)) == ""
    assert write_situation({"weather": "windy"}, random.Random(0)) == "on a windy day"
    assert write_situation({"weather": "windy", "day": "sunday"}, random.Random(0)) == "on a windy sunday"
    phrases = {write_situation({"season": "spring", "company": "family"}, random.Random(s)) for s in range(20)}
    assert phrases == {"in spring with family", "with family in spring"}


@given(st.integers(0, 10**6), st.data())
def test_what_was_written_is_read(seed, data):
    """Any words of any attributes in any pattern."""
    rng = random.Random(seed)
    task = data.draw(st.sampled_from(["S2", "S3"]))
    order, pattern = rng.choice(TAG_PATTERNS) if task == "S2" else (tuple(ASPECTS["S3"]), rng.choice(SCORE_PATTERNS))
    if task == "S3":
        order = tuple(rng.sample(order, 3))
    values = {aspect: rng.choice(list(WORDS[aspect])) for aspect in order}
    decoys = {"kind": "hotel"} | {d: rng.choice(list(DECOYS[d])) for d in rng.sample(sorted(DECOYS), 2) if d != "kind"}

    def word(attribute, value):
        tables = [WORDS, HELD_OUT_WORDS] if attribute in HELD_OUT_WORDS else [WORDS]
        return rng.choice(rng.choice(tables)[attribute][value])

    written = {decoy: word(decoy, value) for decoy, value in decoys.items()}
    situation = write_situation({d: w for d, w in written.items() if d not in ("kind", "visit")}, rng)
    facts = read_facts(task, write_text(pattern, {a: word(a, v) for a, v in values.items()}, written, situation))
    assert list(facts.aspects[0].items()) == list(values.items())
    assert facts.decoys[0] == decoys


@given(st.integers(0, 10**6), st.sampled_from(TASKS))
def test_a_random_item_says_what_its_task_needs(seed, task):
    item = draw_item(task, DIALS, random.Random(seed))
    assert item == draw_item(task, DIALS, random.Random(seed))
    words = [word for word in split_words(item.text) if word.isalpha()]
    if task in ("S4", "S5", "S7"):
        assert len(read_keywords(item.text)) == 2
        assert read_kind(task, item.text)
        return
    facts = read_facts(task, item.text)
    assert item.held_out_pair == any(has_held_out_pair(task, option) for option in facts.aspects)
    if task == "S2":
        assert len(facts.aspects[0]) in (2, 3)
    else:
        assert all(len(option) == 3 for option in facts.aspects)
    if task == "S1":
        assert len(words) <= 28
        assert all(facts.aspects[0][a] != facts.aspects[1][a] for a in ASPECTS["S1"])
        assert facts.decoys[0]["kind"] != facts.decoys[1]["kind"]
        assert set(facts.decoys[0]) - {"kind", "visit"}
    else:
        assert 6 <= len(words) <= 21
        assert 2 <= len(facts.decoys[0]) <= 4
    new = {w for values in HELD_OUT_WORDS.values() for ws in values.values() for w in ws}
    meant = {m.word for m in read_mentions(task, item.text) if m.aspect in HELD_OUT_WORDS}
    assert meant <= new if item.held_out_words else not meant & new


@given(st.integers(0, 10**6), st.sampled_from(["S1", "S2", "S3"]))
def test_train_texts_hold_nothing_held_out(seed, task):
    item = draw_item(task, TRAIN, random.Random(seed))
    assert (item.held_out_frame, item.held_out_words, item.held_out_pair) == (False, False, False)


@given(st.integers(0, 10**6))
def test_keywords_come_in_the_order_read(seed):
    text = draw_item("S5", DIALS, random.Random(seed)).text
    first, second = read_keywords(text)
    assert {first, second} <= set(KEYWORDS)
    assert text.index(first) < text.index(second)
