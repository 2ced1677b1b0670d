"""The table of families, worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.data.simulated.grammar import Facts
from tagpr.data.simulated.logic import (
    FAMILIES,
    FAMILY_PRIOR,
    LOGIC_TASKS,
    RULES,
    Rule,
    answers,
    encode,
    possible_codes,
    read_answer,
    rule_prior,
    typical_rule,
    write_answer,
)


def visit(food, staff, room, **decoys) -> Facts:
    return Facts(
        aspects=({"food": str(food), "staff": str(staff), "room": str(room)},), decoys=({"kind": "cafe", **decoys},)
    )


def venue(*labels: str, **decoys) -> Facts:
    """S2: labels in order of mention."""
    aspect = {"cosy": "mood", "eerie": "mood", "city": "place", "forest": "place", "books": "theme", "games": "theme"}
    return Facts(aspects=({aspect[label]: label for label in labels},), decoys=({"kind": "cafe", **decoys},))


def choice(first, second, new=(None, None), **situation) -> Facts:
    return Facts(
        aspects=tuple(
            dict(zip(("food", "staff", "room"), map(str, levels), strict=True)) for levels in (first, second)
        ),
        decoys=tuple({"kind": "cafe", **situation} | ({"visit": said} if said else {}) for said in new),
    )


def says(task: str, rule: Rule, facts: Facts, older: bool = False) -> str:
    columns = encode(task, [facts], [older])
    code = answers(columns, [RULES[task].index(rule)])[0, 0]
    return write_answer(task, int(code), facts)


SCORES = [
    (("additive", "food", "staff", ()), visit(5, 2, 1), "4"),  # 12 / 3
    (("additive", "food", "staff", ()), visit(5, 1, 1), "4"),  # 11 / 3 = 3.67
    (("additive", "food", "staff", ()), visit(1, 5, 1), "2"),  # 7 / 3 = 2.33
    (("lexicographic", "staff", "room", ()), visit(1, 4, 2), "4"),
    (("lexicographic", "staff", "room", ()), visit(1, 3, 2), "2"),
    (("veto", "food", "staff", (2,)), visit(5, 3, 1), "5"),
    (("veto", "food", "staff", (2,)), visit(5, 2, 1), "1"),
    (("veto", "food", "staff", (1,)), visit(5, 2, 1), "5"),
    (("threshold", "room", "", (3, 0)), visit(1, 1, 3), "4"),
    (("threshold", "room", "", (4, 0)), visit(1, 1, 3), "2"),
    (("threshold", "room", "", (4, -1)), visit(1, 1, 3), "1"),
    (("threshold", "room", "", (3, 1)), visit(1, 1, 5), "5"),
    (("context_switch", "food", "room", ()), visit(2, 3, 4, day="weekend"), "4"),
    (("context_switch", "food", "room", ()), visit(2, 3, 4, day="weekday"), "2"),
    (("context_switch", "food", "room", ()), visit(2, 3, 4), "2"),
    (("novelty", "food", "", (1,)), visit(3, 1, 1, visit="new"), "4"),
    (("novelty", "food", "", (2,)), visit(3, 1, 1, visit="usual"), "1"),
    (("novelty", "food", "", (2,)), visit(4, 1, 1, visit="new"), "5"),
    (("novelty", "food", "", (2,)), visit(4, 1, 1), "4"),
    (("contrarian", "staff", "", ()), visit(3, 5, 3), "1"),
]
TAGS = [
    (("additive", "mood", "place", ()), venue("cosy", "city", "books"), "cosy"),
    (("additive", "mood", "place", ()), venue("city", "cosy", "books"), "city"),  # 3 > 2
    (("additive", "mood", "place", ()), venue("books", "city", "cosy"), "cosy"),
    (("additive", "mood", "place", ()), venue("books", "city"), "city"),
    (("lexicographic", "place", "theme", ()), venue("cosy", "books", "city"), "city"),
    (("lexicographic", "place", "theme", ()), venue("cosy", "books"), "books"),
    (("veto", "mood", "theme", ("eerie",)), venue("eerie", "books", "city"), "books"),
    (("veto", "mood", "theme", ("eerie",)), venue("cosy", "books", "city"), "cosy"),
    (("veto", "mood", "theme", ("eerie",)), venue("eerie", "city"), "eerie"),  # nothing to turn to
    (("threshold", "mood", "theme", (2,)), venue("cosy", "games", day="weekend"), "cosy"),
    (("threshold", "mood", "theme", (2,)), venue("cosy", "games", day="weekend", season="winter"), "games"),
    (("threshold", "mood", "theme", (3,)), venue("cosy", "games", day="weekend", season="winter"), "cosy"),
    (("context_switch", "place", "mood", ()), venue("cosy", "forest", day="weekend"), "cosy"),
    (("context_switch", "place", "mood", ()), venue("cosy", "forest"), "forest"),
    (("context_switch", "place", "mood", ()), venue("games", "forest", day="weekend"), "forest"),
    (("novelty", "place", "mood", ()), venue("cosy", "forest", visit="usual"), "cosy"),
    (("novelty", "place", "mood", ()), venue("cosy", "forest", visit="new"), "forest"),
    (("contrarian", "mood", "theme", ()), venue("cosy", "books", "city"), "books"),
    (("contrarian", "mood", "theme", ()), venue("games", "city", "eerie"), "eerie"),
    (("contrarian", "mood", "theme", ()), venue("city", "eerie"), "eerie"),
]
CHOICES = [
    (("additive", "food", "staff", ()), choice((4, 1, 1), (2, 4, 2)), "[1]"),  # 9 > 8
    (("additive", "food", "staff", ()), choice((3, 1, 1), (2, 4, 2)), "[2]"),  # 7 < 8
    (("additive", "food", "staff", ()), choice((3, 2, 1), (2, 4, 2)), "[1]"),  # equal: food decides
    (("lexicographic", "food", "staff", ()), choice((4, 1, 1), (2, 4, 2)), "[1]"),
    (("lexicographic", "food", "staff", ()), choice((4, 1, 1), (3, 4, 2)), "[2]"),  # nearly equal food
    (("veto", "food", "room", (1,)), choice((5, 3, 1), (2, 2, 3)), "[2]"),
    (("veto", "food", "room", (1,)), choice((5, 3, 2), (2, 2, 3)), "[1]"),
    (("veto", "food", "room", (2,)), choice((5, 3, 1), (4, 2, 2)), "[1]"),  # both out: food
    (("threshold", "staff", "", (3, "[1]")), choice((1, 3, 1), (2, 5, 2)), "[1]"),
    (("threshold", "staff", "", (4, "[1]")), choice((1, 3, 1), (2, 1, 2)), "[2]"),
    (("threshold", "staff", "", (3, "[2]")), choice((1, 5, 1), (2, 3, 2)), "[2]"),
    (("threshold", "staff", "", (4, "[2]")), choice((1, 5, 1), (2, 3, 2)), "[1]"),
    (("context_switch", "food", "room", ()), choice((5, 1, 1), (2, 2, 2), day="weekend"), "[2]"),
    (("context_switch", "food", "room", ()), choice((5, 1, 1), (2, 2, 2), day="weekday"), "[1]"),
    (("novelty", "food", "", (1,)), choice((4, 1, 1), (3, 2, 2), ("usual", "new")), "[2]"),  # 3 < 4
    (("novelty", "food", "", (1,)), choice((4, 1, 1), (2, 2, 2), ("usual", "new")), "[1]"),  # 3 = 3: food
    (("novelty", "food", "", (2,)), choice((4, 1, 1), (2, 2, 2), ("usual", "new")), "[2]"),
    (("contrarian", "room", "", ()), choice((4, 1, 1), (2, 2, 2)), "[1]"),
]


@pytest.mark.parametrize(
    "task, rule, facts, answer",
    [(task, *case) for task, cases in (("S3", SCORES), ("S2", TAGS), ("S1", CHOICES)) for case in cases],
)
def test_families_by_hand(task, rule, facts, answer):
    assert says(task, Rule(*rule), facts) == answer


@pytest.mark.parametrize(
    "task, facts, older, newer",
    [
        ("S3", visit(1, 5, 3), "1", "5"),
        ("S1", choice((4, 1, 1), (2, 2, 2)), "[1]", "[2]"),
    ],
)
def test_a_drifter_changed_half_way(task, facts, older, newer):
    rule = Rule("drifter", "food", "staff", ())
    assert says(task, rule, facts, older=True) == older
    assert says(task, rule, facts, older=False) == newer


def test_a_drifting_tagger():
    rule = Rule("drifter", "mood", "theme", ())
    assert says("S2", rule, venue("cosy", "books", "city"), older=True) == "cosy"
    assert says("S2", rule, venue("cosy", "books", "city")) == "books"
    assert says("S2", rule, venue("cosy", "city")) == "cosy"


def test_the_rule_spaces_are_finite_and_without_doubles():
    # additive, lexicographic, context_switch, drifter: 6 pairs each.
    # S1: veto 12, threshold 12, novelty 6, contrarian 3. S2: veto 30, threshold 12, novelty 6, contrarian 3.
    # S3: veto 12, threshold 18, novelty 6, contrarian 3.
    assert {task: len(RULES[task]) for task in LOGIC_TASKS} == {"S1": 57, "S2": 75, "S3": 63}
    for task in LOGIC_TASKS:
        assert len(set(RULES[task])) == len(RULES[task])
        assert {rule.family for rule in RULES[task]} == set(FAMILIES)


def test_population_by_hand():
    assert sum(FAMILY_PRIOR.values()) == pytest.approx(1.0)
    for task in LOGIC_TASKS:
        assert rule_prior(task, FAMILIES).sum() == pytest.approx(1.0)
    everybody = dict(zip(RULES["S3"], rule_prior("S3", FAMILIES), strict=True))
    assert everybody[Rule("lexicographic", "food", "staff", ())] == pytest.approx(0.20 * 0.46 * 0.31 / 0.54)
    assert everybody[Rule("veto", "room", "food", (1,))] == pytest.approx(0.15 * 0.23 * 0.46 / 0.77 / 2)
    assert everybody[Rule("contrarian", "staff", "", ())] == pytest.approx(0.10 * 0.31)
    tags = dict(zip(RULES["S2"], rule_prior("S2", ("contrarian", "veto")), strict=True))
    both_orders = 0.46 * 0.31 / 0.54 + 0.31 * 0.46 / 0.69
    assert tags[Rule("contrarian", "mood", "place", ())] == pytest.approx(0.10 / 0.25 * both_orders)
    assert tags[Rule("additive", "mood", "place", ())] == 0.0
    assert typical_rule("S2", FAMILIES) == Rule("lexicographic", "mood", "place", ())
    assert typical_rule("S3", ("contrarian",)) == Rule("contrarian", "food", "", ())


def test_what_a_rule_looks_at():
    assert Rule("context_switch", "food", "room", ()).looks_at("S3") == ("food", "room", "day")
    assert Rule("novelty", "food", "", (1,)).looks_at("S1") == ("food", "visit")
    assert Rule("threshold", "mood", "place", (2,)).looks_at("S2") == ("mood", "place", "number")
    assert Rule("threshold", "food", "", (3, 0)).looks_at("S3") == ("food",)


def test_answers_are_written_and_read():
    facts = venue("cosy", "books")
    assert possible_codes("S2", facts) == (0, 2)
    assert write_answer("S2", 2, facts) == "books"
    assert read_answer("S2", "books", facts) == 2
    assert read_answer("S2", "city", facts) == -1
    assert read_answer("S3", "6", facts) == -1
    assert read_answer("S1", "[2]", facts) == 2


def test_an_item_that_says_too_little_is_named():
    with pytest.raises(ValueError, match="an item of S3 says only"):
        encode("S3", [Facts(aspects=({"food": "1"},), decoys=({},))], [False])


@given(
    st.lists(st.integers(1, 5), min_size=3, max_size=3), st.sampled_from(["weekday", "weekend", None]), st.booleans()
)
def test_every_rule_gives_a_possible_answer(levels, day, older):
    decoys = {"day": day} if day else {}
    codes = answers(encode("S3", [visit(*levels, **decoys)], [older]))
    assert codes.shape == (1, 63)
    assert ((codes >= 1) & (codes <= 5)).all()
    several = answers(encode("S3", [visit(*levels, **decoys)] * 2, [older, older]))
    np.testing.assert_array_equal(several, np.repeat(codes, 2, axis=0))
