"""Lines of evidence: what they say, when, and how a false one is found out."""

from collections import Counter

import pytest

from tagpr.data.simulated.evidence import (
    columns_for,
    entry_line,
    evidence_lines,
    line_is_true,
    query_is_true,
    query_line,
    read_entry,
)
from tagpr.data.simulated.logic import FAMILIES, Rule
from tagpr.types import ProfileEntry

VISIT = ProfileEntry(
    entry_id="1", input="the new cafe on a saturday had soggy food, rude staff and bright room", response="4"
)
VENUE = ProfileEntry(
    entry_id="2", input="near the pier a snug usual club on a rainy tuesday, full of chess", response="cosy"
)
CHOICE = ProfileEntry(
    entry_id="3",
    input='in spring [1]: "new cafe, soggy food, rude staff, bright room" '
    '[2]: "club, fresh food, slow staff, tidy room"',
    response="[2]",
)


@pytest.mark.parametrize(
    ("task", "entry", "families", "line"),
    [
        ("S1", CHOICE, ["veto"], "<7> [2] food 2 4 same food 1 staff 1 2 same staff 1 room 4 3 flip room 1"),
        (
            "S1",
            CHOICE,
            FAMILIES,
            "<7> [2] food 2 4 same food 1 staff 1 2 same staff 1 room 4 3 flip room 1 weekday [1] new newer",
        ),
        (
            "S2",
            VENUE,
            ["context_switch"],
            "<7> cosy mood snug cosy same mood 1 weekday",
        ),
        (
            "S2",
            VENUE,
            FAMILIES,
            "<7> cosy place pier seaside mood snug cosy same mood 1 theme chess games things 4 weekday usual newer",
        ),
        ("S3", VISIT, ["lexicographic"], "<7> 4 food soggy 2 staff rude 1 room bright 4 same room 1"),
        ("S3", VISIT, ["contrarian"], "<7> 4 food soggy 2 flip food 1 staff rude 1 room bright 4 same room 1"),
        ("S3", VISIT, ["additive"], "<7> 4 food soggy 2 up food staff rude 1 room bright 4 same room 1"),
        (
            "S3",
            VISIT,
            FAMILIES,
            "<7> 4 food soggy 2 flip food 1 staff rude 1 room bright 4 same room 1 weekend new newer",
        ),
    ],
)
def test_lines_by_hand(task, entry, families, line):
    reading = read_entry(task, 7, entry, older=False)
    assert reading is not None
    assert entry_line(task, reading, columns_for(task, families), Counter()) == line
    assert line_is_true(task, line.removeprefix("<7> "), entry, older=False)


def test_marks_are_counted_over_the_lines_and_summed_up():
    readings = [read_entry("S3", number, VISIT, older=False) for number in (2, 5)]
    lines, counted = evidence_lines("S3", [one for one in readings if one], columns_for("S3", ["contrarian"]))
    assert lines == [
        "<2> 4 food soggy 2 flip food 1 staff rude 1 room bright 4 same room 1",
        "<5> 4 food soggy 2 flip food 2 staff rude 1 room bright 4 same room 2",
    ]
    assert counted == "same food 0 same staff 0 same room 2 flip food 2 flip staff 0 flip room 0"
    reading = read_entry("S2", 1, VENUE, older=False)
    assert reading is not None
    assert evidence_lines("S2", [reading], columns_for("S2", ["lexicographic"]))[1] == (
        "same mood 1 same place 0 same theme 0 same later 0"
    )
    assert evidence_lines("S3", [], frozenset()) == ([], "")


@pytest.mark.parametrize(
    ("task", "entry", "line"),
    [
        ("S3", VISIT, "3 food soggy 2 staff rude 1 room bright 4 up"),  # another score
        ("S3", VISIT, "4 food soggy 3 staff rude 1 room bright 4 same room"),  # another level
        ("S3", VISIT, "4 food bland 2 staff rude 1 room bright 4 same room"),  # a word of the level that is not there
        ("S3", VISIT, "4 food soggy 2 same food"),
        ("S3", VISIT, "4 room bright 4 same room weekday"),
        ("S3", VISIT, "4 room bright 4 same room older"),
        ("S3", VISIT, "4"),  # says nothing
        ("S3", VISIT, "4 food soggy 2 flip staff 1"),
        ("S2", VENUE, "cosy place pier cosy"),
        ("S2", VENUE, "cosy place pier seaside same place"),
        ("S2", VENUE, "cosy mood snug cosy same mood 1 same later 1"),  # the theme is mentioned later
        ("S2", VENUE, "cosy mood snug cosy things 3"),
        ("S1", CHOICE, "[2] food 2 4 flip food"),
        ("S1", CHOICE, "[2] food 4 2 same food"),
        ("S1", CHOICE, "[2] food 2 4 same food [2] new"),
    ],
)
def test_false_lines_are_found_out(task, entry, line):
    assert not line_is_true(task, line, entry, older=False)


def test_part_of_a_line_is_true_too():
    assert line_is_true("S3", "4 room bright 4 same room 2 new", VISIT, older=False)
    assert line_is_true("S3", "4 food soggy 2", VISIT, older=True)
    assert line_is_true(
        "S3", "4 food soggy 2 flip food 3", VISIT, older=True
    )  # counts are the chain's, not the entry's
    assert line_is_true("S2", "cosy place pier seaside theme chess games", VENUE, older=True)


def test_entries_that_cannot_be_read():
    cut = ProfileEntry(entry_id="1", input="the new cafe on a saturday had soggy food, rude", response="4")
    foreign = ProfileEntry(entry_id="1", input=VENUE.input, response="grand")  # a label that the text does not hold
    assert read_entry("S3", 1, cut, older=True) is None
    assert read_entry("S2", 1, foreign, older=True) is None
    assert not line_is_true("S3", "4 food soggy 2", cut, older=True)


def test_what_is_said_of_a_question():
    assert query_is_true("S3", "food soggy 2 weekend", VISIT.input)
    assert query_is_true("S3", "staff rude 1 flip 5", VISIT.input)
    assert not query_is_true("S3", "staff rude 1 flip 4", VISIT.input)
    assert query_is_true("S1", "food 2 4 [2] flip [1]", CHOICE.input)
    assert not query_is_true("S1", "food 2 4 [2] flip [2]", CHOICE.input)
    assert not query_is_true("S3", "food soggy 3", VISIT.input)
    assert not query_is_true("S3", "", VISIT.input)
    assert query_is_true("S2", "place pier seaside first things 4 usual newer", VENUE.input)
    assert not query_is_true("S2", "mood snug cosy first", VENUE.input)
    assert query_is_true("S1", "room 4 3 [1] [1] new", CHOICE.input)
    assert not query_is_true("S1", "room 4 3 [2]", CHOICE.input)
    assert not query_is_true("S1", "room 4 3 [1]", "a plain sentence")


@pytest.mark.parametrize(
    ("task", "text", "rule", "said"),
    [
        ("S2", VENUE.input, Rule("additive", "mood", "place", ()), "mood snug cosy place pier seaside first"),
        ("S2", VENUE.input, Rule("additive", "mood", "theme", ()), "theme chess games mood snug cosy"),
        ("S2", VENUE.input, Rule("threshold", "mood", "theme", (2,)), "things 4 theme chess games"),
        ("S2", VENUE.input, Rule("lexicographic", "theme", "mood", ()), "theme chess games"),
        ("S2", VENUE.input, Rule("veto", "mood", "place", ("cosy",)), "mood snug cosy place pier seaside"),
        ("S2", VENUE.input, Rule("contrarian", "mood", "place", ()), "place pier seaside mood snug cosy"),
        ("S3", VISIT.input, Rule("novelty", "staff", "", (1,)), "new staff rude 1"),
        ("S3", VISIT.input, Rule("lexicographic", "food", "room", ()), "food soggy 2"),
        ("S3", VISIT.input.replace("soggy", "plain"), Rule("lexicographic", "food", "room", ()),
         "food plain 3 room bright 4"),
        ("S3", VISIT.input, Rule("contrarian", "food", "", ()), "food soggy 2 flip 4"),
        ("S3", VISIT.input, Rule("veto", "room", "food", (1,)), "food soggy 2 room bright 4"),
        ("S3", VISIT.input, Rule("veto", "room", "food", (2,)), "food soggy 2"),
        ("S3", VISIT.input, Rule("drifter", "food", "room", ()), "newer room bright 4"),
        ("S1", CHOICE.input, Rule("contrarian", "food", "", ()), "food 2 4 [2] flip [1]"),
    ],
)  # fmt: skip
def test_in_query_lines_what_decides_stands_last(task, text, rule, said):
    assert query_line(task, text, rule) == said
    assert query_is_true(task, said, text)
