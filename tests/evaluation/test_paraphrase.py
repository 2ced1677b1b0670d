"""The same said otherwise."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.chains.tags import TAGS, cited_entries
from tagpr.evaluation.paraphrase import paraphrase


@pytest.mark.parametrize(
    "task, tag, text, expected",
    [
        ("S2", "examine_examples", "<1> science theme magnets science <3> music mood snug cosy no place",
         "<3> music mood cosy snug no place <1> science theme science magnets"),
        ("S3", "examine_examples", "<1> 2 food soggy 2 same", "<1> 2 food 2 soggy same"),
        ("S1", "examine_examples", "<1> [2] food 2 4 same", None),
        ("S5", "examine_examples", "<1> watching owls and bees~ <2> judging tides and kites!",
         "<2> judging tides and kites! <1> watching owls and bees~"),
        # every clause stays with the entries that show it
        ("S2", "identify_patterns", "pattern : theme <1> <3> mood if no theme <2>",
         "pattern mood if no theme <2> theme <1> <3>"),
        ("S2", "identify_patterns", "pattern : theme <1> <3>", "pattern theme <3> <1>"),
        ("S5", "identify_patterns", "pattern : <1> <3> watching versus~", "pattern <3> <1> watching versus~"),
        ("S2", "identify_patterns", "pattern : <1> science <3> music vary", "pattern <3> music <1> science vary"),
        ("S3", "infer_preference", "user : food flip", "user food flip"),
        ("S3", "infer_preference", "user : food , room if food 3", "user room if food 3 , food"),
        # with fewer tags a span holds several steps, each of which is turned by itself
        ("S3", "examine_examples", "<1> 2 food soggy 2 <2> 4 pattern : food <1> <2>",
         "<2> 4 <1> 2 food 2 soggy pattern : food <2> <1>"),
        ("S3", "apply_preference", "so : 4", "so 4"),
        ("LaMP_3", "infer_preference", "user : 4 2 of 3 , mean 4.0", "user mean 4.0 , 4 2 of 3"),
        # what is said of both cannot be told from what is said of the second alone
        ("LaMP_3", "identify_patterns", "<1> a b <2> c <3> d e", None),
        ("LaMP_3", "examine_examples", "<1> good film => 5 <2> bad => 1", "<2> bad => 1 <1> good film => 5"),
        ("LaMP_2", "infer_preference", "Music matters most. Plots come second.",
         "Plots come second. Music matters most."),
        ("LaMP_2", "infer_preference", "Music matters most. It comes first.", None),
        ("LaMP_2", "weigh_conflict", "However the last entry differs", "Yet the last entry differs"),
        ("LaMP_2", "weigh_conflict", "nothing here", None),
        ("S2", "infer_preference", "theme", None),
    ],
)  # fmt: skip
def test_rules_by_hand(task, tag, text, expected):
    assert paraphrase(task, tag, text) == expected


@given(
    st.sampled_from(["S1", "S2", "S3", "S5", "LaMP_3"]),
    st.sampled_from(list(TAGS)),
    st.text(alphabet="ab <>12:,.", max_size=40),
)
def test_no_word_and_no_citation_is_lost_or_made_up(task, tag, text):
    new = paraphrase(task, tag, text)
    if new is not None:
        assert new != text
        assert sorted(cited_entries(new)) == sorted(cited_entries(text))
        assert sorted(re.findall(r"[ab]+", new)) == sorted(re.findall(r"[ab]+", text))
