from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.chains.overlap import content_words, copied_share, jaccard, ngrams, shingles, words
from tagpr.chains.tags import split_at_citations

TWELVE = "one two three four five six seven eight nine ten eleven twelve"


def test_words_are_lower_case_and_know_no_citations() -> None:
    assert words("<3> Don't stop... now!") == ("don't", "stop", "...", "now", "!")


def test_content_words_leave_out_function_words_template_and_structure() -> None:
    assert content_words("so : the user likes dark => Comedy !") == {"likes", "dark", "comedy", "!"}
    assert content_words("check : so <1> <2>") == frozenset()


def test_ngrams_and_shingles_of_short_texts() -> None:
    assert ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert ngrams(["a"], 2) == []
    assert shingles("red fox") == {("red", "fox")}


def test_jaccard() -> None:
    assert jaccard("abc", "bcd") == 2 / 4
    assert jaccard("", "") == 1.0


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (TWELVE, 1.0),
        (TWELVE.removesuffix(" twelve"), 0.0),  # eleven words: a quotation
        (f"x y {TWELVE} z w", 12 / 16),
        (f"{TWELVE} {TWELVE}", 1.0),
        ("", 0.0),
    ],
)
def test_only_runs_of_twelve_words_are_copied(text: str, share: float) -> None:
    assert copied_share(text, ["zero " + TWELVE, "other"], run_length=12) == pytest.approx(share)


def test_a_run_must_come_from_one_source() -> None:
    assert (
        copied_share(TWELVE, ["one two three four five six", "seven eight nine ten eleven twelve"], run_length=12) == 0
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no number", []),
        ("<1> dark => comedy <2> bright", [(1, "  dark => comedy "), (2, " bright")]),
        ("pattern : dark <1> <3>", [(1, "pattern : dark "), (3, "pattern : dark ")]),
        ("<1> and <4> both praise pacing", [(1, "  both praise pacing"), (4, "  both praise pacing")]),
        ("<1> dark , <2>", [(1, "  dark , "), (2, "  dark , ")]),
        ("noir <1> ; western <2>", [(1, "noir   ; western "), (2, "noir   ; western ")]),
    ],
)
def test_what_is_said_beside_a_citation(text: str, said: list[tuple[int, str]]) -> None:
    assert split_at_citations(text) == said


@given(st.text())
def test_shares_stay_in_their_range(text: str) -> None:
    assert 0.0 <= copied_share(text, [text[3:], "a"], run_length=2) <= 1.0
    assert [number for number, _ in split_at_citations(text)] == []
