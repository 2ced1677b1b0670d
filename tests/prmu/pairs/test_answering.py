"""Whose history is lent for N2. What is sampled under it, tests of the stage see."""

from dataclasses import replace

import pytest

from tagpr.data.prompts import CompactStyle, PromptBuilder
from tagpr.data.retrieval import BM25Retriever
from tagpr.prmu.pairs.answering import Lending


@pytest.fixture
def lending(tokenizer):
    style = CompactStyle(query_tokens=32, history_tokens=200, entry_tokens=40, order="ranked", thinking=False)

    def make(records):
        return Lending(
            records, builder=PromptBuilder(style=style, tokenizer=tokenizer), retriever=BM25Retriever(k=2),
            candidates=2, length_band=0.25, seed=0,
        )  # fmt: skip

    return make


def shown(record):
    return replace(record, retrieved=tuple(range(len(record.profile))))


def test_who_was_asked_the_same_and_answered_otherwise_lends_first(make_record, lending):
    own = shown(make_record("r", "u", gold="quiet"))
    near = make_record("n", "near", query="a pier and a mill")
    agrees = make_record("a", "agrees", gold="quiet", history=(("some yard", "city"), ("old farm", "city")))
    differs = make_record("d", "differs", gold="cosy", history=(("some yard", "city"), ("old farm", "city")))
    prompt, lender = lending([own, near, agrees, differs]).prompt(own)
    assert lender is differs
    assert [entry.response for entry in prompt.history] == ["city", "city"]
    assert (prompt.record.query, prompt.record.gold, prompt.record.user_id) == (own.query, "quiet", "u")


def test_else_the_nearest_in_topic_of_about_the_size(make_record, lending):
    own = shown(make_record("r", "u"))
    near = make_record("n", "near", query="elsewhere", history=(("a pier at sea", "city"), ("a big mill", "city")))
    single = make_record("s", "single", query="elsewhere", history=(("a pier and a mill", "city"),))
    far = make_record("f", "far", query="elsewhere", history=(("some yard", "city"), ("old farm", "city")))
    # Of the two nearest, one has a single entry.
    assert lending([own, far, single, near]).prompt(own)[1] is near


def test_nobody_lends_without_others_or_without_a_history_to_stand_in_for(make_record, lending):
    own = shown(make_record("r", "u"))
    sibling, other_task = make_record("r2", "u", query="x"), make_record("t", "v", task="S3", gold="4")
    assert lending([own, sibling, other_task]).prompt(own) is None
    bare = make_record("b", "w")
    assert lending([own, bare]).prompt(bare) is None
