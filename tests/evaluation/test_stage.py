"""What the evaluate stage makes of answers. (The whole stage runs in tests/pipeline.)"""

import json
import math
from dataclasses import replace

import pytest

from tagpr.chains.tags import TagVocabulary
from tagpr.evaluation.predict import read_completion
from tagpr.evaluation.references import references
from tagpr.evaluation.shown import shown_history
from tagpr.evaluation.stage import _write_lamp_form, shown_positions, spread, task_scores
from tagpr.lm.generation.base import Completion
from tagpr.types import ProfileEntry, Prompt, Record


def prompt_of(task, gold, *, user="u", record_id="r", responses=("4", "2"), shown=1, thinking=False):
    profile = tuple(ProfileEntry(entry_id=str(i), input="abc", response=said) for i, said in enumerate(responses))
    record = Record(
        record_id=record_id, user_id=user, task=task, split="test", purpose="test", question="", query="", gold=gold,
        profile=profile, retrieved=tuple(range(len(profile))),
    )  # fmt: skip
    return Prompt(
        record=record, text="", history=profile[:shown], thinking=thinking, num_cut=1, num_dropped=len(profile) - shown
    )


def read(prompt, text, *, names=()):
    completion = Completion(token_ids=(), logprobs=(), text=text, truncated=False)
    return read_completion(prompt, completion, tags=TagVocabulary(names=names), decoding="greedy", sample_index=0)


def test_the_strict_answer_stands_outside_the_thinking_and_tags_do_not_matter_to_it():
    prompt = prompt_of("LaMP_3", "5", thinking=True)
    names = ["examine_examples", "identify_patterns"]
    untidy = read(prompt, "<think><identify_patterns>no end</think>5", names=names)
    assert (untidy.answer.strip(), untidy.parsed, untidy.score) == ("5", True, 1.0)


def test_an_unreadable_answer_gets_the_official_fallback_and_is_counted():
    strict = read(prompt_of("LaMP_3", "4"), "perhaps 3")
    assert (strict.parsed, strict.score) == (False, 0.25)  # gold 4 -> read as 1
    assert (strict.lenient_answer, strict.lenient_score) == ("3", 0.75)


def test_without_gold_there_is_an_answer_and_no_score():
    prediction = read(prompt_of("LaMP_3", None), "4")
    assert (prediction.answer, prediction.parsed) == ("4", True)
    assert math.isnan(prediction.score)
    assert math.isnan(prediction.lenient_score)


def test_scores_per_task_by_hand():
    ratings = [prompt_of("LaMP_3", gold, user=user, record_id=f"r{user}{gold}") for gold, user in
               (("5", "ann"), ("1", "ann"), (None, "bob"))]  # fmt: skip
    label = prompt_of("LaMP_2", "comedy", user="cat", responses=("comedy",), shown=1)
    prompts = [*ratings, label]
    predictions = [read(p, text) for p, text in zip(prompts, ("4", "I think 2", "3", "comedy"), strict=True)]
    beside = [one for prompt in prompts for one in references(prompt, {"LaMP_3": "5"}, {})]
    scores = task_scores(predictions, beside, prompts)
    assert list(scores) == ["LaMP_2", "LaMP_3"]
    rating = scores["LaMP_3"]
    assert (rating["n"], rating["people"]) == (3, 2)
    assert rating["parse_failures"] == pytest.approx(1 / 3)
    # strict: |4-5| = 1; unreadable with gold 1 -> 5, error 4.   lenient: 1 and |2-1| = 1
    assert rating["metrics"] == pytest.approx({"mae": 2.5, "rmse": (17 / 2) ** 0.5})
    assert rating["lenient_metrics"] == pytest.approx({"mae": 1.0, "rmse": 1.0})
    assert rating["score"] == pytest.approx((0.75 + 0.0) / 2)
    assert rating["lenient_score"] == pytest.approx(0.75)
    # always 5: errors 0 and 4; the profile's mean of 4 and 2: errors 2 and 2
    assert rating["references"]["population_mode"]["metrics"]["mae"] == 2.0
    assert rating["references"]["profile_mean"] == {"score": 0.5, "metrics": {"mae": 2.0, "rmse": 2.0}}
    # one of two entries of four characters each
    assert rating["history"] == {
        "entries_in_profile": 2, "entries_retrieved": 2, "entries_shown": 1, "entries_cut": 1, "entries_dropped": 1,
        "characters_shown": 0.5,
    }  # fmt: skip
    assert scores["LaMP_2"]["metrics"]["accuracy"] == 1.0


def test_a_task_whose_golds_are_all_withheld_has_counts_and_no_metrics():
    prompt = prompt_of("LaMP_3", None)
    scores = task_scores([read(prompt, "nothing")], references(prompt, {"LaMP_3": "5"}, {}), [prompt])
    assert scores["LaMP_3"]["parse_failures"] == 1.0
    assert "metrics" not in scores["LaMP_3"]


def test_spread_keeps_order_and_takes_even_steps():
    records = [prompt_of("LaMP_3", "4", record_id=str(i)).record for i in range(10)]
    assert [r.record_id for r in spread(records, 4)] == ["0", "2", "5", "7"]
    assert spread(records, 10) == records
    assert spread(records, 99) == records


def test_spread_gives_every_task_its_share_where_steps_would_fall_on_one():
    # each person has two questions of each of three tasks, one behind the other: every sixth record is of one task
    records = [
        prompt_of(task, "4", user=f"u{person}", record_id=f"{task}-{person}-{number}").record
        for person in range(10)
        for task in ("LaMP_3", "LaMP_4", "LaMP_5")
        for number in range(2)
    ]
    chosen = spread(records, 10)
    assert sorted(records.index(one) for one in chosen) == [records.index(one) for one in chosen]
    assert [sum(one.task == task for one in chosen) for task in ("LaMP_3", "LaMP_4", "LaMP_5")] == [4, 3, 3]
    assert len({one.user_id for one in chosen}) > 3


def test_positions_of_the_entries_that_a_prompt_shows():
    prompt = prompt_of("LaMP_3", "4", responses=("5", "4", "3"), shown=2)
    assert shown_positions(prompt) == [0, 1]
    assert shown_positions(replace(prompt, history=prompt.history[::-1])) == [1, 0]


def test_several_samples_are_averaged_per_question_and_metrics_per_sample():
    prompts = [prompt_of("LaMP_3", gold, user=user, record_id=user) for gold, user in (("5", "ann"), ("1", "bob"))]
    answers = {"ann": ("5", "1"), "bob": ("1", "1")}
    predictions = [
        replace(read(prompt, text), sample_index=index)
        for prompt in prompts
        for index, text in enumerate(answers[prompt.record.user_id])
    ]
    rating = task_scores(predictions, [], prompts)["LaMP_3"]
    assert (rating["n"], rating["people"]) == (2, 2)
    # first samples: errors 0 and 0; second: 4 and 0, RMSE sqrt(8). One pool of four would have RMSE 2.
    assert rating["metrics"] == pytest.approx({"mae": (0 + 2) / 2, "rmse": (0 + 8**0.5) / 2})
    assert rating["score"] == pytest.approx(((1 + 0) / 2 + 1) / 2)
    # ann's samples score 1 and 0: best 1, standard deviation sqrt(1/2); bob's 1 and 1
    assert rating["samples"] == pytest.approx({"mean": 0.75, "best_of_n": 1.0, "spread": 0.5**0.5 / 2})
    assert "samples" not in task_scores(predictions[::2], [], prompts)["LaMP_3"]


def test_lamps_form_carries_the_first_sample(tmp_path):
    prompt = prompt_of("LaMP_3", "5", record_id="17")
    answers = [replace(read(prompt, text), sample_index=i) for i, text in enumerate(("4", "2"))]
    _write_lamp_form(tmp_path, "LaMP_3", answers)
    assert json.loads((tmp_path / "LaMP_3.json").read_text()) == {
        "task": "LaMP_3", "golds": [{"id": "17", "output": "4"}],
    }  # fmt: skip


def test_what_a_prompt_showed_is_counted():
    one = shown_history(prompt_of("LaMP_3", "5", responses=("4", "2", "1"), shown=1))
    counts = (one.entries_in_profile, one.entries_retrieved, one.entries_shown, one.entries_cut, one.entries_dropped)
    assert counts == (3, 3, 1, 1, 2)
