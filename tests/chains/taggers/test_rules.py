from __future__ import annotations

from collections.abc import Callable

import pytest

from tagpr.chains.taggers.rules import CUES, RulesTagger
from tagpr.chains.tags import TAGS
from tagpr.types import Prompt

# Written for this test before the rules met them; the bar is 80 %.
ENGLISH = (
    ("restate_task", "I need to choose one tag for this movie from the given list."),
    ("restate_task", "The task is to write a headline for the article, in one line."),
    ("restate_task", "We are asked for a score between 1 and 5, as a bare number."),
    ("examine_examples", "In entry <2> the user gave 5 to a slow film about a lighthouse keeper."),
    ("examine_examples", "Looking at the history, <4> is titled 'Notes on lichens' for a field study."),
    ("examine_examples", "Their second review complains about the battery and gives 2."),
    ("examine_examples", "Example 3 is a heist story tagged as comedy."),
    ("identify_patterns", "Both <1> and <3> praise careful pacing and got high scores."),
    ("identify_patterns", "A pattern emerges: every title opens with a gerund."),
    ("identify_patterns", "Across these reviews, durability is mentioned whenever the score is below 3."),
    ("identify_patterns", "The tweets <1>, <2> and <5> all end with three dots."),
    ("infer_preference", "This suggests that the user values durability over looks."),
    ("infer_preference", "So far the author clearly prefers short titles with a colon."),
    ("infer_preference", "The reviewer is generous with books and strict with gadgets."),
    ("infer_preference", "Their taste leans towards dark endings."),
    ("analyze_query", "The new review mentions a broken hinge after two weeks."),
    ("analyze_query", "Now the query: a documentary about glaciers, told by a child."),
    ("analyze_query", "This article describes a merger of two airlines."),
    ("analyze_query", "The description here has a detective, a storm and an old hotel."),
    ("contrast_typical", "Most people would call this a thriller."),
    ("contrast_typical", "Unlike typical reviewers, this one does not reward a low price."),
    ("contrast_typical", "They rate one point lower than the average user."),
    ("weigh_conflict", "However, <6> contradicts this: a sturdy device with only 2 stars."),
    ("weigh_conflict", "The last entry is more recent, and it outweighs the older ones."),
    ("weigh_conflict", "Although one romance was liked, it looks like an outlier."),
    ("apply_preference", "Therefore the hinge alone should pull the score down to 2."),
    ("apply_preference", "Given these habits, the title would start with 'Mapping'."),
    ("apply_preference", "Applying the rule to the glaciers gives 'thought-provoking'."),
    ("verify_fit", "Let me double-check: the tag is in the list and fits the rule."),
    ("verify_fit", "This draft matches their length and ends with three dots."),
    ("verify_fit", "Checking the form, it is a single number from 1 to 5."),
)


def test_agreement_on_english_steps_is_at_least_eighty_percent(prompt_of: Callable[..., Prompt]) -> None:
    assert {tag for tag, _ in ENGLISH} == set(TAGS)
    tagged = RulesTagger().tag(prompt_of("LaMP_2", []), [step for _, step in ENGLISH] + ["done"])
    missed = [(tag, found, step) for (tag, step), found in zip(ENGLISH, tagged[:-1], strict=True) if tag != found]
    assert len(missed) <= 0.2 * len(ENGLISH), missed


@pytest.mark.parametrize(("tag", "cue"), [(tag, cue) for tag, cues in CUES.items() for cue in cues])
def test_scripted_cues_decide_alone(prompt_of: Callable[..., Prompt], tag: str, cue: str) -> None:
    assert RulesTagger().tag(prompt_of("LaMP_2", []), [f"{cue} <1> however the user prefers, therefore check"]) == [tag]


def test_number_first_examines_and_a_bare_last_step_applies(
    prompt_of: Callable[..., Prompt],
) -> None:
    steps = ["<1> the pattern so far", "dark", "dark"]
    assert RulesTagger().tag(prompt_of("LaMP_2", []), steps) == [
        "examine_examples",
        "infer_preference",
        "apply_preference",
    ]
