"""Lines of evidence: what they say, when, and how a false one is found out."""

import pytest

from tagpr.data.simulated.evidence import columns_for, entry_line, line_is_true, query_is_true, query_line, read_entry
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
        ("S1", CHOICE, ["veto"], "<7> [2] food 2 4 same staff 1 2 same room 4 3 flip"),
        (
            "S1",
            CHOICE,
            FAMILIES,
            "<7> [2] food 2 4 same staff 1 2 same room 4 3 flip weekday [1] new newer",
        ),
        ("S2", VENUE, ["context_switch"], "<7> cosy snug mood weekday"),
        (
            "S2",
            VENUE,
            FAMILIES,
            "<7> cosy snug mood after place seaside before theme games things 4 weekday usual newer",
        ),
        ("S3", VISIT, ["lexicographic"], "<7> 4 food soggy 2 staff rude 1 room bright 4 same"),
        ("S3", VISIT, ["contrarian"], "<7> 4 food soggy 2 flip staff rude 1 room bright 4 same"),
        ("S3", VISIT, ["additive"], "<7> 4 food soggy 2 up staff rude 1 room bright 4 same"),
        ("S3", VISIT, FAMILIES, "<7> 4 food soggy 2 flip staff rude 1 room bright 4 same weekend new newer"),
    ],
)
def test_lines_by_hand(task, entry, families, line):
    reading = read_entry(task, 7, entry, older=False)
    assert reading is not None
    assert entry_line(task, reading, columns_for(task, families)) == line
    assert line_is_true(task, line.removeprefix("<7> "), entry, older=False)


@pytest.mark.parametrize(
    ("task", "entry", "line"),
    [
        ("S3", VISIT, "3 food soggy 2 staff rude 1 room bright 4 up"),  # another score
        ("S3", VISIT, "4 food soggy 3 staff rude 1 room bright 4 same"),  # another level
        ("S3", VISIT, "4 food bland 2 staff rude 1 room bright 4 same"),  # a word of the level that is not there
        ("S3", VISIT, "4 food soggy 2 same"),
        ("S3", VISIT, "4 room bright 4 same weekday"),
        ("S3", VISIT, "4 room bright 4 same older"),
        ("S3", VISIT, "4"),  # says nothing
        ("S2", VENUE, "cosy snug place"),
        ("S2", VENUE, "cosy snug mood before place seaside"),
        ("S2", VENUE, "cosy snug mood things 3"),
        ("S1", CHOICE, "[2] food 2 4 flip"),
        ("S1", CHOICE, "[2] food 4 2 same"),
        ("S1", CHOICE, "[2] food 2 4 same [2] new"),
    ],
)
def test_false_lines_are_found_out(task, entry, line):
    assert not line_is_true(task, line, entry, older=False)


def test_part_of_a_line_is_true_too():
    assert line_is_true("S3", "4 room bright 4 same new", VISIT, older=False)
    assert line_is_true("S3", "4 food soggy 2", VISIT, older=True)


def test_entries_that_cannot_be_read():
    cut = ProfileEntry(entry_id="1", input="the new cafe on a saturday had soggy food, rude", response="4")
    foreign = ProfileEntry(entry_id="1", input=VENUE.input, response="grand")  # a label that the text does not hold
    assert read_entry("S3", 1, cut, older=True) is None
    assert read_entry("S2", 1, foreign, older=True) is None
    assert not line_is_true("S3", "4 food soggy 2", cut, older=True)


def test_what_is_said_of_a_question():
    assert query_is_true("S3", "food soggy 2 weekend", VISIT.input)
    assert not query_is_true("S3", "food soggy 3", VISIT.input)
    assert not query_is_true("S3", "", VISIT.input)
    assert query_is_true("S2", "place pier seaside first things 4 usual newer", VENUE.input)
    assert not query_is_true("S2", "mood snug cosy first", VENUE.input)
    assert query_is_true("S1", "room 4 3 [1] [1] new", CHOICE.input)
    assert not query_is_true("S1", "room 4 3 [2]", CHOICE.input)
    assert not query_is_true("S1", "room 4 3 [1]", "a plain sentence")


def test_query_lines_hold_what_the_rule_touches():
    assert query_line("S2", VENUE.input, Rule("additive", "mood", "place", ())) == (
        "place pier seaside first mood snug cosy"
    )
    assert query_line("S2", VENUE.input, Rule("additive", "mood", "theme", ())) == "mood snug cosy theme chess games"
    assert query_line("S2", VENUE.input, Rule("threshold", "mood", "theme", (2,))) == (
        "mood snug cosy theme chess games things 4"
    )
    assert query_line("S3", VISIT.input, Rule("novelty", "staff", "", (1,))) == "staff rude 1 new"
    assert query_line("S1", CHOICE.input, Rule("contrarian", "food", "", ())) == "food 2 4 [2]"
