from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagpr.chains.tags import TAGS, ParsedCompletion, Span, TagVocabulary, parse, render_chain
from tagpr.rl.rewards.tag import (
    TagReward,
    body_quality,
    boilerplate_flags,
    citation_grounding,
    repeated_share,
    tag_coverage,
    tag_order,
    tag_reward,
)
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Prompt, Record

SIX = TagVocabulary(
    names=(
        "examine_examples",
        "identify_patterns",
        "infer_preference",
        "analyze_query",
        "apply_preference",
        "verify_fit",
    )
)
NINE = TagVocabulary(names=tuple(TAGS))
TASK = ALL_TASKS["LaMP_2"]
HISTORY = (
    ("a hacker finds that the city around him is only simulated", "dystopia"),
    ("two brothers open a bakery and fall for the same nurse", "comedy"),
    ("in a ruined city children hunt for the last working radio", "dystopia"),
    ("a clown inherits a submarine and sells tickets to rich strangers", "comedy"),
)
OTHER_HISTORY = (
    ("wolves follow a sledge through seven winters", "classic"),
    ("an abbot hides letters from the king's falconer", "classic"),
)


def prompt_of(history: tuple[tuple[str, str], ...] = HISTORY, user_id: str = "u") -> Prompt:
    entries = tuple(ProfileEntry(entry_id=str(n), input=text, response=tag) for n, (text, tag) in enumerate(history))
    record = Record(
        record_id=user_id,
        user_id=user_id,
        task="LaMP_2",
        split="train",
        purpose="sft",
        question="",
        query="a courier crosses a flooded city to deliver one radio",
        gold="dystopia",
        profile=entries,
        retrieved=tuple(range(len(entries))),
    )
    return Prompt(record=record, text="", history=entries, thinking=True, num_cut=0, num_dropped=0)


GOOD_STEPS = {
    "examine_examples": "<1> simulated city => dystopia ; <2> bakery , nurse => comedy ; <3> ruined city => dystopia",
    "identify_patterns": "pattern : <1> <3> city => dystopia , <2> <4> strangers , bakery , tickets => comedy",
    "infer_preference": "user : ruined or simulated city means dystopia",
    "analyze_query": "query : flooded city , radio",
    "apply_preference": "so : flooded city => dystopia",
}


def reward(
    completion: str, prompt: Prompt | None = None, *, vocabulary: TagVocabulary = SIX, boilerplate: bool = False
) -> TagReward:
    parsed = parse(completion, vocabulary, True, TASK.is_valid)
    prompt = prompt or prompt_of()
    return tag_reward(
        parsed, prompt, task=TASK, vocabulary=vocabulary, min_words=2, max_words=60, boilerplate=boilerplate
    )


def chain(steps: dict[str, str], answer: str = "dystopia") -> str:
    return render_chain(list(steps.values()), list(steps), answer)


def test_a_good_chain_earns_nearly_all() -> None:
    assert reward(chain(GOOD_STEPS)).total == pytest.approx(1.0)


def test_a_hollow_chain_scores_low() -> None:
    hollow = {
        tag: f"{cue} : the user prefers what the examples show" for tag, cue in zip(GOOD_STEPS, "abcde", strict=True)
    }
    hollow = {tag: text[4:] for tag, text in hollow.items()}
    result = reward(chain(hollow))
    # all five tags in order, no content word, nothing cited; four of five bodies repeat the first
    assert (result.coverage, result.order, result.body, result.grounding) == (1.0, 1.0, 0.0, 0.0)
    assert result.total == pytest.approx(0.30 + 0.25 - 0.3 * 4 / 5)


def test_twenty_times_a_tag_scores_nothing() -> None:
    spans = [f"<1> simulated city => dystopia {number}" for number in range(20)]
    result = reward(render_chain(spans, ["examine_examples"] * 20, "dystopia"))
    assert result.extra_spans == pytest.approx(1.7)
    assert result.total == 0.0


def test_verbatim_paste_scores_low() -> None:
    pasted = {
        tag: f"<{k}> {HISTORY[k - 1][0]} {HISTORY[k - 1][1]}"
        for tag, k in zip(GOOD_STEPS, (1, 2, 3, 4, 1), strict=True)
    }
    result = reward(chain(pasted))
    assert result.copying == pytest.approx(0.5 * 0.7)  # every word is copied; .3 is free
    assert result.total <= 0.65


def test_invented_citations_score_low() -> None:
    invented = {
        tag: text.replace("<1>", "<7>").replace("<2>", "<8>").replace("<3>", "<9>").replace("<4>", "<10>")
        for tag, text in GOOD_STEPS.items()
    }
    result = reward(chain(invented))
    assert result.grounding == 0.0
    assert result.total == pytest.approx(0.75)


def test_another_users_citations_score_low() -> None:
    result = reward(chain(GOOD_STEPS), prompt_of(OTHER_HISTORY * 2, "v"))
    assert result.grounding == 0.0
    assert result.total == pytest.approx(0.75)


def test_a_boilerplate_chain_for_two_users_is_flagged_and_pays() -> None:
    steps = {tag: "so the city means dystopia " + tag[:3] for tag in GOOD_STEPS}
    parsed = [parse(chain(steps), SIX, True)] * 3
    prompts = [prompt_of(), prompt_of(OTHER_HISTORY, "v"), prompt_of()]
    flags = boilerplate_flags(parsed, prompts, [TASK] * 3)
    assert flags == [True, True, True]
    assert reward(chain(steps), boilerplate=True).total == pytest.approx(reward(chain(steps)).total - 0.2)
    assert boilerplate_flags(parsed[::2], prompts[::2], [TASK] * 2) == [False, False]  # the same user twice


def test_same_words_about_same_evidence_are_no_boilerplate() -> None:
    parsed = [parse(chain(GOOD_STEPS), SIX, True)] * 2
    assert boilerplate_flags(parsed, [prompt_of(), prompt_of(HISTORY, "v")], [TASK] * 2) == [False, False]


def test_tags_injected_through_history_text_close_no_span_and_count_as_text() -> None:
    injected = "</examine_examples><apply_preference>so : dystopia"
    prompt = prompt_of((("a hacker " + injected, "dystopia"), *HISTORY[1:]))
    repeated = chain(GOOD_STEPS | {"examine_examples": f"<1> {injected}"})
    assert reward(repeated, prompt).total == 0.0  # pasted raw, it breaks the markup and shuts the gate
    escaped = chain(GOOD_STEPS | {"examine_examples": "<1> hacker ‹/examine_examples>‹apply_preference>so : dystopia"})
    assert reward(escaped, prompt).total == 0.0  # ill-formed markup inside a span shuts the gate


def test_the_gate_multiplies_the_whole() -> None:
    assert reward(chain(GOOD_STEPS).replace("</apply_preference>", "")).total == 0.0
    assert reward(chain(GOOD_STEPS), vocabulary=TagVocabulary(names=())).total == 0.0


def spans_of(*tags: str) -> tuple[Span, ...]:
    return tuple(Span(tag=tag, text="x", start=0, end=1) for tag in tags)


@pytest.mark.parametrize(
    ("tags", "order"),
    [
        (("examine_examples", "analyze_query"), 1.0),  # no rule applies
        (("examine_examples", "identify_patterns", "infer_preference", "apply_preference"), 1.0),
        (("apply_preference", "infer_preference", "identify_patterns", "examine_examples"), 0.0),
        (("identify_patterns", "examine_examples", "infer_preference"), 1 / 2),
        (("examine_examples", "identify_patterns", "infer_preference", "apply_preference", "analyze_query"), 3 / 4),
        (("apply_preference",), 0.0),  # its forerunner is missing
        ((), 1.0),
    ],
)
def test_order_counts_violated_rules(tags: tuple[str, ...], order: float) -> None:
    assert tag_order(spans_of(*tags), SIX) == pytest.approx(order)


def test_restating_the_task_must_come_first() -> None:
    assert tag_order(spans_of("restate_task", "examine_examples"), NINE) == 1.0
    assert tag_order(spans_of("examine_examples", "restate_task"), NINE) == 0.0


def test_coverage_knows_what_the_kind_of_task_requires() -> None:
    spans = spans_of("examine_examples", "identify_patterns", "infer_preference", "apply_preference", "analyze_query")
    assert tag_coverage(spans, SIX, kind="label") == 1.0
    assert tag_coverage(spans, SIX, kind="text") == 4 / 5
    assert tag_coverage((), SIX, kind="label") == 0.0
    assert tag_coverage((), TagVocabulary(names=("contrast_typical",)), kind="label") == 1.0


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("so : dark comedy", 1.0),
        ("dark", 0.0),
        ("dark " * 61, 0.0),
        ("go dark " * 8, 0.0),
        ("so the user prefers", 0.0),
    ],
)
def test_body_wants_a_sane_length_little_repetition_and_content(text: str, share: float) -> None:
    vocabulary = TagVocabulary(names=("examine_examples", "contrast_typical"))
    spans = (Span(tag="examine_examples", text=text, start=0, end=len(text)), *spans_of("contrast_typical"))
    assert body_quality(spans, vocabulary, kind="label", min_words=2, max_words=60) == share
    assert body_quality((), vocabulary, kind="label", min_words=2, max_words=60) == 0.0


@pytest.mark.parametrize(
    ("text", "entries", "grounding"),
    [
        ("<1> red fox <2> blue owl", ("red fox runs", "blue owl"), 1.0),
        (
            "<1> red fox <2> blue owl",
            ("red fox runs", "green owls"),
            1 / 2 * 1 / 2,
        ),  # half the share, one distinct of two
        ("<1> red fox <1> zebra", ("red fox runs", "blue owl"), 1 / 2),  # one distinct of two
        ("<1> red fox", ("red fox runs",), 1.0),  # a history of one asks for one
        ("<1> red fox <3> red fox", ("red fox runs",), 1 / 2),
        ("<1> red fox <2> blue owl . both <1> <2> run", ("red fox", "blue owl"), 1.0),  # named again without content
        ("<0> red fox", ("red fox runs",), 0.0),
        ("red fox", ("red fox runs",), 0.0),
        ("red fox", (), 1.0),
        ("<1> red fox", (), 0.0),
    ],
)
def test_grounding(text: str, entries: tuple[str, ...], grounding: float) -> None:
    spans = (Span(tag="examine_examples", text=text, start=0, end=len(text)),)
    assert citation_grounding(spans, entries) == pytest.approx(grounding)


def test_repeated_share() -> None:
    texts = ("red fox runs home", "red fox runs home", "blue owl sleeps here")
    assert repeated_share([Span(tag="verify_fit", text=text, start=0, end=1) for text in texts]) == pytest.approx(1 / 3)
    assert repeated_share(()) == 0.0


bodies = st.sampled_from([*GOOD_STEPS.values(), "", "so", "<9> zebra", "<1> <2> city", HISTORY[0][0], "dark " * 70])
any_chain = st.lists(st.tuples(st.sampled_from(SIX.names), bodies), max_size=14)


@settings(max_examples=200)
@given(any_chain, st.booleans())
def test_every_part_stays_in_its_range(steps: list[tuple[str, str]], boilerplate: bool) -> None:
    result = reward(
        render_chain([text for _, text in steps], [tag for tag, _ in steps], "comedy"), boilerplate=boilerplate
    )
    assert 0.0 <= result.total <= 1.0
    assert all(0.0 <= part <= 1.0 for part in (result.coverage, result.order, result.body, result.grounding))
    parts = result.extra_spans + result.duplicates + result.copying + result.boilerplate
    assert result.penalty == pytest.approx(parts)


@pytest.mark.parametrize(
    ("part", "worst", "steps"),
    [
        ("coverage", 0.0, {"verify_fit": "check : <1> city"}),
        ("order", 0.0, {"apply_preference": "so : <1> city"}),
        ("body", 0.0, dict.fromkeys(GOOD_STEPS, "so")),
        ("grounding", 0.0, dict.fromkeys(GOOD_STEPS, "<9> city")),
        ("total", 0.0, {"apply_preference": "so", "examine_examples": "so"}),
    ],
)
def test_every_term_reaches_its_minimum(part: str, worst: float, steps: dict[str, str]) -> None:
    assert getattr(reward(chain(steps)), part) == pytest.approx(worst)


def test_parsed_completion_without_spans_is_safe() -> None:
    empty = ParsedCompletion(answer="", chain="", spans=(), g_answer=False, g_tags=False)
    assert boilerplate_flags([empty, empty], [prompt_of(), prompt_of(OTHER_HISTORY, "v")], [TASK] * 2) == [False, False]
