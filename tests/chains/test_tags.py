from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagpr.chains.tags import TAGS, OrderRule, TagVocabulary, cited_entries, parse, render_chain
from tagpr.errors import UserError

NINE = TagVocabulary(names=tuple(TAGS))
NONE = TagVocabulary(names=())
GOOD = "<think><examine_examples><1> dark</examine_examples><apply_preference>so : x</apply_preference></think>comedy"

plain_text = st.text(alphabet=st.characters(blacklist_characters="<>", blacklist_categories=("Cs",)), max_size=30)
step = st.builds(lambda number, text: f"<{number}> a{text}", st.integers(1, 32), plain_text)
tagged_steps = st.lists(st.tuples(st.sampled_from(list(TAGS)), step), min_size=1, max_size=8)
answer_text = plain_text.map(lambda text: f"a{text}".strip())


@given(tagged=tagged_steps, answer=answer_text)
def test_parse_reads_back_what_render_wrote(tagged: list[tuple[str, str]], answer: str) -> None:
    tags, steps = [tag for tag, _ in tagged], [text for _, text in tagged]
    completion = render_chain(steps, tags, answer)
    parsed = parse(completion, NINE, True)
    assert [(span.tag, span.text) for span in parsed.spans] == tagged
    assert all(completion[span.start : span.end] == span.text for span in parsed.spans)
    assert all(
        completion[span.outer_start : span.outer_end] == f"<{span.tag}>{span.text}</{span.tag}>"
        for span in parsed.spans
    )
    assert (parsed.answer, parsed.g_answer, parsed.g_tags, parsed.problems) == (answer, True, True, ())


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["<think>", "</think>", "<examine_examples>", "</examine_examples>", "<foo>", "<", "</", "<1>", "<|x|>"]
            ),
            st.text(max_size=5),
        ),
        max_size=12,
    ).map("".join),
    st.booleans(),
    st.sampled_from([NINE, NONE]),
)
def test_parse_never_raises_and_reports_a_problem_where_a_gate_is_shut(
    text: str, thinking: bool, vocabulary: TagVocabulary
) -> None:
    parsed = parse(text, vocabulary, thinking)
    assert (parsed.g_tags is None) == (not thinking or not len(vocabulary))
    assert bool(parsed.problems) == (not parsed.g_answer or parsed.g_tags is False)
    assert all(text[span.start : span.end] == span.text for span in parsed.spans)


@pytest.mark.parametrize(
    ("completion", "problem", "g_answer", "g_tags"),
    [
        (GOOD.replace("<think>", ""), "no_thinking", False, False),
        (GOOD.replace("</think>", ""), "unclosed_thinking", False, False),
        (GOOD.replace("<think>", "<think><think>"), "repeated_thinking", False, False),
        ("hm " + GOOD, "text_before_thinking", False, False),
        (GOOD.removesuffix("comedy"), "no_answer", False, True),
        (GOOD.removesuffix("comedy") + "tragedy", "invalid_answer", False, True),
        (GOOD + "</apply_preference>", "tag_in_answer", False, False),
        (GOOD + "</think>", "tag_in_answer", False, False),
        (GOOD + "<|im_start|>", "tag_in_answer", False, False),
        (GOOD.replace("</examine_examples>", ""), "nested_tag", True, False),
        (GOOD.replace("</apply_preference>", ""), "unclosed_tag", True, False),
        (GOOD.replace("<apply_preference>", ""), "stray_close", True, False),
        (GOOD.replace("<1> dark", "<1> <verify_fit>dark</verify_fit>"), "nested_tag", True, False),
        (GOOD.replace("examine_examples", "examine_example"), "unknown_tag", True, False),
        (GOOD.replace("<examine_examples>", "<Examine_Examples>"), "unknown_tag", True, False),
        (GOOD.replace("<examine_examples>", "<examine_examples >"), "unknown_tag", True, False),
        (GOOD.replace("dark", "<b>dark</b>"), "unknown_tag", True, False),
        (GOOD.replace("dark", "dark </examine"), "broken_tag", True, False),
        (GOOD.replace("dark", "dark <|im_end|>"), "broken_tag", True, False),
        (GOOD.replace("</think>", "words that stand outside</think>"), "uncovered_text", True, False),
        ("<think></think>comedy", "empty_chain", True, False),
        ("<think><examine_examples> </examine_examples></think>comedy", "empty_chain", True, False),
    ],
)
def test_every_mutation_shuts_its_gate(completion: str, problem: str, g_answer: bool, g_tags: bool) -> None:
    parsed = parse(completion, NINE, True, lambda answer: answer != "tragedy")
    assert problem in parsed.problems
    assert (parsed.g_answer, parsed.g_tags) == (g_answer, g_tags)


def test_the_good_chain_opens_both_gates() -> None:
    parsed = parse(GOOD, NINE, True, lambda answer: answer == "comedy")
    assert (parsed.g_answer, parsed.g_tags, parsed.answer) == (True, True, "comedy")


def test_coverage_bound_is_ninety_percent_without_white_space_and_tags() -> None:
    inside = "<examine_examples>" + "ab " * 9 + "</examine_examples>"  # 18 characters
    assert parse(f"<think>{inside}\n xy </think>a", NINE, True).g_tags  # 18 of 20
    assert not parse(f"<think>{inside}\n xyz </think>a", NINE, True).g_tags  # 18 of 21


@pytest.mark.parametrize("completion", [GOOD, "<think>one step\nand <1> another</think>comedy"])
def test_without_tags_only_the_answer_gate_exists(completion: str) -> None:
    parsed = parse(completion, NONE, True)
    assert (parsed.g_answer, parsed.g_tags, parsed.spans, parsed.answer) == (True, None, (), "comedy")


@pytest.mark.parametrize(("completion", "g_answer"), [("comedy\n", True), ("", False), (GOOD, False)])
def test_a_direct_answer_needs_no_thinking_block(completion: str, g_answer: bool) -> None:
    parsed = parse(completion, NINE, False)
    assert (parsed.g_answer, parsed.g_tags) == (g_answer, None)


def test_what_stands_outside_is_the_answer_even_where_the_gate_is_shut() -> None:
    assert parse(" comedy", NINE, True).answer == "comedy"
    assert parse("<think>comedy", NINE, True).answer == ""
    assert parse("a</think>comedy", NINE, True).answer == "comedy"


def test_rules_hold_between_the_tags_in_use_and_bridge_the_others() -> None:
    three = TagVocabulary(names=("examine_examples", "infer_preference", "apply_preference"))
    assert three.rules == (
        OrderRule(earlier="examine_examples", later="infer_preference", only_if_present=False),
        OrderRule(earlier="infer_preference", later="apply_preference", only_if_present=False),
    )
    assert three.required("text") == three.names
    assert OrderRule(earlier="analyze_query", later="apply_preference", only_if_present=True) in NINE.rules
    assert OrderRule(earlier=None, later="restate_task", only_if_present=False) in NINE.rules


def test_required_tags_follow_the_kind_of_task() -> None:
    everywhere = {"examine_examples", "identify_patterns", "infer_preference", "apply_preference"}
    assert set(NINE.required("rating")) == set(NINE.required("label")) == everywhere | {"analyze_query"}
    assert set(NINE.required("text")) == everywhere | {"verify_fit"}
    assert NONE.required("text") == ()


@pytest.mark.parametrize("names", [["examine_example"], ["verify_fit", "verify_fit"]])
def test_unknown_or_repeated_tags_are_refused(names: list[str]) -> None:
    with pytest.raises(UserError, match="examine_examples"):
        TagVocabulary(names=names)


def test_citations_are_numbers_in_angle_brackets_each_once() -> None:
    assert cited_entries("<2> like <10> and <2>, not ‹3> nor [4] nor <5") == (2, 10)


def test_untagged_chain_has_one_step_a_line_and_tags_must_match_steps() -> None:
    assert render_chain(["a", "b"], None, "c") == "<think>a\nb</think>c"
    with pytest.raises(ValueError, match="2 steps and 1 tags"):
        render_chain(["a", "b"], ["verify_fit"], "c")
