"""The probes on live rollouts: each cheat scores below the chain that it was made from."""

from __future__ import annotations

import pytest

from tagpr.chains.tags import TagVocabulary, parse
from tagpr.rl.rewards.probes import PROBES, REWRITTEN, UNSEEN, probe_scores
from tagpr.rl.rewards.tag_score import TagScore
from tagpr.rl.rollouts import RlPrompt, RolloutBatch
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Prompt, Record

VOCABULARY = TagVocabulary(
    names=("examine_examples", "identify_patterns", "infer_preference", "analyze_query", "apply_preference")
)
HISTORIES = {
    "ann": (
        ("a hacker finds that the city around him is only simulated by tired machines at night", "dystopia"),
        ("two brothers open a bakery and fall for the same nurse in the same cold week", "comedy"),
        ("in a ruined city children hunt for the last working radio under the broken bridge", "dystopia"),
    ),
    "bob": (
        ("wolves follow a sledge through seven winters and three abandoned coastal villages", "classic"),
        ("an abbot hides letters from the king's falconer behind the altar of his chapel", "classic"),
    ),
}
GOOD = (
    "<think><examine_examples><1> simulated city => dystopia ; <2> bakery , nurse => comedy ; <3> ruined city => "
    "dystopia</examine_examples><identify_patterns>pattern : <1> <3> city => dystopia</identify_patterns>"
    "<infer_preference>user : ruined or simulated city means dystopia</infer_preference>"
    "<analyze_query>query : flooded city , radio</analyze_query>"
    "<apply_preference>so : flooded city => dystopia</apply_preference></think>dystopia"
)


def prompt_of(user: str) -> RlPrompt:
    entries = tuple(ProfileEntry(entry_id=text, input=text, response=tag) for text, tag in HISTORIES[user])
    record = Record(
        record_id=user, user_id=user, task="LaMP_2", split="train", purpose="rl", question="",
        query="a courier crosses a flooded city to deliver one radio", gold="dystopia", profile=entries,
        retrieved=tuple(range(len(entries))),
    )  # fmt: skip
    prompt = Prompt(record=record, text="", history=entries, thinking=True, num_cut=0, num_dropped=0)
    return RlPrompt(prompt=prompt, token_ids=[1], task=ALL_TASKS["LaMP_2"], gold="dystopia")


def scores(texts: list[str], users: list[str], *, most: int = 4) -> dict[str, float]:
    parsed = [parse(text, VOCABULARY, True) for text in texts]
    return probe_scores(
        parsed, [prompt_of(user) for user in users], vocabulary=VOCABULARY, most=most, min_words=3, max_words=120
    )


def test_every_probe_scores_below_the_chain_it_was_made_from() -> None:
    found = scores([GOOD, "<think>broken"], ["ann", "bob"])
    assert set(found) == {"own", *PROBES}
    assert found["own"] >= 0.95
    assert all(found[name] <= 0.75 for name in PROBES if name not in UNSEEN), found
    # By hand: .30 coverage + .25 order - .3 * 4/5 repeated bodies; nothing at all behind a shut gate.
    assert found["hollow"] == pytest.approx(0.30 + 0.25 - 0.24)
    assert found["injected"] == found["many"] == 0.0
    assert found["boilerplate"] == pytest.approx(found["another_user"] - 0.2)


def test_what_the_reward_does_not_see_is_known() -> None:
    """Published, not mended: lies that hold a word of the entry, and a script behind one span of evidence."""
    found = scores([GOOD], ["ann"])
    assert {name: found[name] for name in UNSEEN} == {name: pytest.approx(1.0) for name in UNSEEN}


def test_untrue_says_of_each_entry_what_was_said_of_the_next() -> None:
    texts = ["<1> simulated city => dystopia ; <2> bakery => comedy", "so : dystopia", "pattern : <7>"]
    turned, tags = REWRITTEN["untrue"](texts, ["examine_examples"] * 3, prompt_of("ann"))
    # `around` and `bakery` come first in the alphabet among the entries' words; there is no seventh entry.
    assert turned == [
        "<1> around bakery => comedy <2> bakery simulated city => dystopia ;",
        "so : dystopia",
        "pattern : <7>",
    ]
    assert tags == ["examine_examples"] * 3


def test_script_keeps_the_first_span_with_evidence_alone() -> None:
    turned, _ = REWRITTEN["script"](
        ["a task", "<1> city", "<2> city", "so : x"], ["restate_task"] * 4, prompt_of("ann")
    )
    other, _ = REWRITTEN["script"](
        ["a task", "<2> abbot", "<1> wolves", "so : y"], ["restate_task"] * 4, prompt_of("bob")
    )
    assert (turned[1], other[1]) == ("<1> city", "<2> abbot")
    assert [turned[place] for place in (0, 2, 3)] == [other[place] for place in (0, 2, 3)]
    assert len(set(turned)) == 4


def test_only_chains_in_order_are_probed_and_no_more_than_asked_for() -> None:
    assert scores(["<think>broken", "no"], ["ann", "bob"]) == {}
    assert scores([GOOD, GOOD], ["ann", "bob"], most=0) == {}
    assert scores([GOOD, GOOD.replace("<3>", "<9>")], ["ann", "bob"], most=1) == scores([GOOD], ["ann", "bob"][:1]) | {
        name: scores([GOOD, "<think>broken"], ["ann", "bob"])[name] for name in ("another_user", "boilerplate")
    }


def test_one_person_has_nobody_to_borrow_from() -> None:
    assert set(scores([GOOD], ["ann"])) == {"own", *PROBES} - {"another_user", "boilerplate"}


def test_the_tag_term_reports_them(rollouts_of) -> None:
    rollouts = RolloutBatch(
        prompts=[prompt_of("ann"), prompt_of("bob")],
        completions=[[None] * 2] * 2,  # pyright: ignore
        parsed=[[parse(GOOD, VOCABULARY, True)] * 2] * 2,
        vocabulary=VOCABULARY,
    )
    term = TagScore(min_words=3, max_words=120, probed=1)
    term(rollouts)
    assert term.metrics()["probe_hollow"] == pytest.approx(0.31)
    silent = TagScore(min_words=3, max_words=120, probed=0)
    silent(rollouts)
    assert not [name for name in silent.metrics() if name.startswith("probe")]
