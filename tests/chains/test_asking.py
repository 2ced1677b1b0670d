"""How a language model's reply becomes a raw chain."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.chains.asking import question_text, read_reply
from tagpr.chains.assemble import write_completion
from tagpr.chains.tags import TagVocabulary, parse
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Prompt, Record

CITATION = 'a title [1]: "one" [2]: "two"'
HISTORY = (("a weak hinge", "2"), ("a warm <b>novel</b>", "5"))


@pytest.fixture
def rating(prompt_of: Callable[..., Prompt]) -> Prompt:
    return prompt_of("LaMP_3", HISTORY, "this lamp has a weak hinge", "2")


def test_the_teacher_sees_what_the_policy_sees_and_nothing_else(rating: Prompt) -> None:
    text = question_text(rating)
    assert "<1> a weak hinge => 2\n<2> a warm <b>novel</b> => 5\n" in text  # as shown: the builder has escaped them
    assert "this lamp has a weak hinge" in text
    assert rating.record.user_id not in text.split()


def test_a_person_without_history_is_said_to_have_none(prompt_of: Callable[..., Prompt]) -> None:
    assert "(nothing is known of this person)" in question_text(prompt_of("LaMP_3", (), "a lamp", "2"))


REPLY = """Sure, here is my reasoning.

- Item <1> gives a weak hinge a **2**.
2. Both <1> and <2> follow the <em>quality</em>.
Step 3: So a weak hinge gets a low score.

**Answer:** 2"""


def test_lines_become_steps(rating: Prompt) -> None:
    chain = read_reply(REPLY, rating)
    assert chain is not None
    assert chain.steps == (
        "Sure, here is my reasoning.",
        "Item <1> gives a weak hinge a 2.",
        "Both <1> and <2> follow the ‹em>quality‹/em>.",
        "So a weak hinge gets a low score.",
    )
    assert (chain.answer, chain.habitual) == ("2", False)


def test_hidden_thinking_is_left_out_and_cut_off_thinking_is_no_chain(rating: Prompt) -> None:
    hidden = read_reply(f"<think>Answer: 5, or so\n- no</think>\n{REPLY}", rating)
    assert hidden == read_reply(REPLY, rating)
    assert read_reply("<think>so I look at\n- this\nAnswer: 2", rating) is None


def test_a_paragraph_is_divided_at_its_sentences(rating: Prompt) -> None:
    chain = read_reply("Item <1> is low. <2> is high. So it is low.\nAnswer: 2", rating)
    assert chain is not None
    assert chain.steps == ("Item <1> is low.", "<2> is high.", "So it is low.")


def test_the_last_answer_counts(rating: Prompt) -> None:
    chain = read_reply("- one\nAnswer: 5\n- but wait\nFinal answer: 2 (a low score)", rating)
    assert chain is not None
    assert chain.answer == "2"
    assert chain.steps == ("one", "Answer: 5", "but wait")


@pytest.mark.parametrize(
    "reply", ["", "- a step without an answer", "Answer: 2", "- step\nAnswer:", "- step\nAnswer: soon"]
)
def test_what_is_no_chain(reply: str, rating: Prompt) -> None:
    assert read_reply(reply, rating) is None


def test_texts_and_labels_are_read_as_their_task_reads_them(prompt_of: Callable[..., Prompt]) -> None:
    title = read_reply('- short\nAnswer: "A Lamp of Brass"', prompt_of("LaMP_5", (), "abstract", "x"))
    assert title is not None
    assert title.answer == "A Lamp of Brass"
    label = read_reply("- fits\nAnswer: I would say [2].", prompt_of("LaMP_1", (), CITATION, "[2]"))
    assert label is not None
    assert label.answer == "[2]"


@given(st.text(), st.text(), st.sampled_from(sorted(ALL_TASKS)))
def test_whatever_a_model_says_makes_a_readable_completion_or_none(reasoning: str, answer: str, task: str) -> None:
    record = Record(
        record_id="r", user_id="u", task=task, split="train", purpose="sft", question="q", query="q", gold=None,
        profile=(ProfileEntry(entry_id="0", input="a", response="b"),), retrieved=(0,),
    )  # fmt: skip
    prompt = Prompt(record=record, text="", history=record.profile, thinking=True, num_cut=0, num_dropped=0)
    chain = read_reply(f"- {reasoning}\nAnswer: {answer}", prompt)
    if chain is not None:
        assert all(step.strip() for step in chain.steps)
        vocabulary = TagVocabulary(names=["infer_preference"])
        completion = write_completion(chain.steps, ["infer_preference"] * len(chain.steps), chain.answer, vocabulary)
        assert parse(completion, vocabulary, True).g_answer
