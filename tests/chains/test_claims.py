"""What chains claim, and whether it is so."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.chains.claims import (
    Claims,
    application_follows,
    examined_truly,
    knows,
    pattern_holds,
    preference_is_true,
    query_read_truly,
    read_claims,
    reword,
    true_rule,
)
from tagpr.chains.tags import Span
from tagpr.data.simulated.logic import RULES, Rule
from tagpr.types import ProfileEntry

SHOWN = tuple(
    ProfileEntry(entry_id=str(number), input=text, response=score)
    for number, (text, score) in enumerate(
        [
            ("the new cafe on a weekday had soggy food, devoted staff and bright room", "2"),
            ("the usual club on a weekend had plain food, rude staff and bright room", "4"),
            ("the new hall on a weekday had superb food, slow staff and filthy room", "5"),
            ("the usual hotel on a weekend had rotten food, helpful staff and comfy room", "3"),
        ]
    )
)
TITLES = tuple(
    ProfileEntry(entry_id=str(number), input="", response=title)
    for number, title in enumerate(
        ["judging owls with tides!", "judging bees with kites!", "mapping trains with wolves."]
    )
)
QUERY = "the new lodge on a weekend had decent food, friendly staff and splendid room"
RULE = Rule("lexicographic", "food", "room", ())


def spans(*pairs: tuple[str, str]) -> list[Span]:
    return [Span(tag=tag, text=text, start=0, end=len(text)) for tag, text in pairs]


def test_claims_of_a_chain():
    chain = spans(
        ("examine_examples", "<1> 2 food soggy 2 same food <3> 5 food superb 5 same food"),
        ("identify_patterns", "pattern : food <1> <3> room if food 3 <2>"),
        ("infer_preference", "user : food , staff if food 3"),
        ("infer_preference", "user :  food , room if food 3"),
        ("analyze_query", "query : <4> food decent 3"),
        ("apply_preference", "so : 5"),
    )
    assert read_claims("S3", chain) == Claims(rule=RULE.as_json(), cited=(1, 3, 2), applied="5")
    empty = Claims(rule=None, cited=(), applied=None)
    assert read_claims("S3", spans(("infer_preference", "user : good food"), ("apply_preference", "5"))) == empty
    assert read_claims("S3", []) == empty
    title = spans(("infer_preference", "user : judging with!"), ("apply_preference", "so : judging owls with bees!"))
    assert read_claims("S5", title) == Claims(
        rule={"opening": 3, "connective": 1, "punctuation": 1}, cited=(), applied="judging owls with bees!"
    )
    assert read_claims("S5", spans(("infer_preference", "user : judging!"))).rule is None


def test_tasks_that_are_known():
    assert all(knows(task) for task in ("S1", "S2", "S3", "S4", "S5", "S7"))
    assert not knows("LaMP_3")


def test_examined_entries():
    assert examined_truly("S3", "<1> 2 food soggy 2 same food older <3> 5 food superb 5 same food newer", SHOWN)
    assert not examined_truly(
        "S3", "<1> 2 food soggy 2 same food <5> 5 food superb 5 same food", SHOWN
    )  # no such entry
    assert not examined_truly("S3", "<1> 2 food soggy 2 same food <3> 5 food superb 5 older", SHOWN)
    assert not examined_truly("S3", "2 food soggy 2 same food", SHOWN)  # cites nothing
    assert examined_truly("S5", "<1> judging owls with tides! <3> mapping trains with wolves.", TITLES)
    assert not examined_truly("S5", "<1> judging owls with tides.", TITLES)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("pattern : food <1> <3>", True),
        ("pattern : food <1> <3> room if food 3 <2>", True),
        ("pattern : food if older <1> <2>", False),  # the second was given its room's level
        ("pattern : food <1> <3> room if food 3 <4>", False),  # the fourth's food is no 3
        ("pattern : food <1> room <2>", True),
        ("pattern : food <1>", False),  # one entry is no regularity
        ("pattern : food <1> <9>", False),
        ("pattern : food and room <1> <3>", False),  # no clause
        ("pattern : food", False),
        ("pattern : mostly <1> <3> food", False),  # says more than is checked
        ("pattern : <1> 2 <2> 4 vary", True),  # food alone, room alone
        ("pattern : <1> 2 <3> 5 vary", False),  # food explains both
        ("pattern : <1> 2 vary", False),
    ],
)
def test_patterns_of_scores(text, holds):
    assert pattern_holds("S3", text, SHOWN) == holds


def test_a_pattern_of_a_single_shown_entry_and_of_manners():
    assert pattern_holds("S3", "pattern : food <1>", SHOWN[:1])
    assert pattern_holds("S5", "pattern : <1> <2> judging with!", TITLES)
    assert not pattern_holds("S5", "pattern : <1> <3> judging with!", TITLES)
    assert not pattern_holds("S5", "pattern : <1> <2> judging!", TITLES)
    assert not pattern_holds("S5", "pattern : <1> judging <2> judging vary", TITLES)
    assert not pattern_holds("S5", "pattern : <1> judging <3> mapping vary", TITLES)  # both join with `with`
    other = replace(TITLES[2], response="mapping trains and wolves.")
    assert pattern_holds("S5", "pattern : <1> judging <3> mapping vary", (*TITLES[:2], other))


def test_preference_and_application():
    truth = {"rule": RULE.as_json()}
    assert preference_is_true("S3", "user : food , room if food 3", truth)
    assert not preference_is_true("S3", "user : food , staff if food 3", truth)
    style = {"style": {"opening": 3, "connective": 1, "punctuation": 1}}
    assert preference_is_true("S5", "user : judging with!", style)
    assert true_rule(style) == style["style"]
    assert application_follows("S3", RULE.as_json(), "5", QUERY)
    assert not application_follows("S3", RULE.as_json(), "3", QUERY)
    # What follows from a false rule follows all the same.
    assert application_follows("S3", Rule("contrarian", "staff", "", ()).as_json(), "2", QUERY)
    assert not application_follows("S3", None, "5", QUERY)
    assert not application_follows("S3", RULE.as_json(), "5", "a plain sentence")
    study = "we compare gardens and pearls in a short memoir"
    assert application_follows("S5", style["style"], "judging gardens with pearls!", study)
    assert not application_follows("S5", style["style"], "judging gardens with pearls.", study)
    # The question is never of the older half.
    assert application_follows("S3", Rule("drifter", "food", "staff", ()).as_json(), "4", QUERY)


def test_rewording_keeps_the_content():
    assert reword("<1> 2 food soggy 2 same staff rude 1") == "<1> 2 food 2 soggy same staff 1 rude"
    assert reword("<1> seaside place pier seaside same place") == "<1> seaside place seaside pier same place"
    turned = reword("pattern : food <1> <3> room if food 3 <2>")
    assert turned == "pattern : room if food 3 <2> food <1> <3>"
    assert pattern_holds("S3", turned, SHOWN)
    assert reword("user : food , room if food 3") == "user : room if food 3 , food"
    assert preference_is_true("S3", reword("user : food , room if food 3"), {"rule": RULE.as_json()})
    assert preference_is_true("S3", "user food , room if food 3", {"rule": RULE.as_json()})  # the cue's mark left out


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("pattern : food <1> <3>", "pattern : food <3> <1>"),
        ("<1> 2 food soggy 2 <2> 4 room bright 4", "<2> 4 room 4 bright <1> 2 food 2 soggy"),
        ("pattern : <1> 2 <3> 4 vary typical : food", "pattern : <3> 4 <1> 2 vary typical : food"),
        ("user : food , room if food 3 but : <2> 4", "user : room if food 3 , food but : <2> 4"),
        ("<1> food <2>", "<1> food <2>"),  # turned, what is said of the first would be said of both
        ("mostly < 5", "mostly < 5"),
        ("", ""),
    ],
)
def test_rewording_step_by_step(text, same):
    assert reword(text) == same


def test_a_span_of_several_steps_claims_what_its_own_step_says():
    """With fewer tags than nine the steps of tags that are not in use stand in the span before them."""
    chain = spans(
        ("examine_examples", "<1> 2 food soggy 2 same food <3> 5 food superb 5 same food pattern : food <1> <3>"),
        ("infer_preference", "user : food , room if food 3 but : <2> 4 query : food decent 3 room splendid 5"),
        ("apply_preference", "so : 5 check : 5"),
    )
    assert read_claims("S3", chain) == Claims(rule=RULE.as_json(), cited=(1, 3), applied="5")
    assert examined_truly("S3", chain[0].text, SHOWN)
    assert preference_is_true("S3", chain[1].text, {"rule": RULE.as_json()})
    assert pattern_holds("S3", "pattern : <1> 2 <2> 4 vary typical : food", SHOWN)
    assert not pattern_holds("S3", "pattern : food <1> <2> typical : <1> vary", SHOWN)
    assert query_read_truly("S3", "query : food decent 3 so : 4", QUERY)


def test_readings_of_the_question():
    assert query_read_truly("S3", "query : food decent 3 room splendid 5", QUERY)
    assert not query_read_truly("S3", "query : food decent 3 room splendid 4", QUERY)
    assert query_read_truly("S5", "query : gardens pearls", "we compare gardens and pearls in a short memoir")
    assert not query_read_truly("S5", "query : gardens owls", "we compare gardens and pearls in a short memoir")


@pytest.mark.parametrize("task", RULES)
def test_every_rule_is_read_back(task):
    from tagpr.data.simulated.clauses import rule_text

    for rule in RULES[task]:
        assert preference_is_true(task, f"user : {rule_text(task, rule)}", {"rule": rule.as_json()})


WORDS = (
    *(
        "<1>",
        "<2>",
        "<4>",
        "<9>",
        "[1]",
        "3",
        ",",
        ":",
        "!",
        "if",
        "vary",
        "pattern",
        "user",
        "so",
        "query",
        "same",
        "flip",
    ),
    *("food", "room", "mood", "soggy", "cosy", "weekend", "toward", "judging", "with", "first", "things", "no"),
)


@pytest.mark.parametrize("task", ["S1", "S2", "S3", "S4", "S5", "S7"])
@given(text=st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join) | st.text(max_size=30))
def test_no_text_of_a_policy_breaks_the_reader(task, text):
    shown = TITLES if task in ("S4", "S5", "S7") else SHOWN
    claims = read_claims(
        task, spans(("infer_preference", text), ("apply_preference", text), ("examine_examples", text))
    )
    assert set(claims.cited) <= set(range(10000))
    for query in (QUERY, text):
        assert application_follows(task, claims.rule, claims.applied, query) in (True, False)
        assert query_read_truly(task, text, query) in (True, False)
    for check in (examined_truly, pattern_holds):
        assert check(task, text, shown) in (True, False)
        assert not check(task, text, ())
    assert isinstance(reword(text), str)
