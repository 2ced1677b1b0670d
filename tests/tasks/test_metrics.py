import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from tagpr.tasks.metrics import (
    accuracy_and_macro_f1,
    mae_and_rmse,
    mean_rouge,
    parse_rating,
    rating_or_fallback,
    rouge_1_and_l,
)

LABELS = ("red", "green", "dark red", "blue")


def test_macro_f1_counts_classes_that_nobody_used_as_zero():
    answers = ["red", "red", "green", "Red", " green "]
    golds = ["red", "green", "green", "red", "green"]
    # hits: red 1, green 2. red: predicted 2, true 2 -> 2*1/4 = .5; green: predicted 2, true 3 -> 2*2/5 = .8;
    # dark red and blue: 0. "Red" is no label, " green " is one after stripping.
    accuracy, f1 = accuracy_and_macro_f1(answers, golds, LABELS)
    assert accuracy == pytest.approx(3 / 5, abs=1e-15)
    assert f1 == pytest.approx((0.5 + 0.8 + 0 + 0) / 4, abs=1e-15)


def test_a_gold_outside_the_labels_is_an_error():
    with pytest.raises(ValueError, match="'pink' is none of the task's labels: red, green"):
        accuracy_and_macro_f1(["red"], ["pink"], LABELS)


@pytest.mark.parametrize("gold, expected", [(1, 5), (2, 5), (3, 5), (4, 1), (5, 1)])
def test_an_answer_that_is_no_number_is_the_worst_end(gold, expected):
    assert rating_or_fallback("four", gold) == expected
    assert rating_or_fallback("nan", gold) == expected


def test_ratings_are_taken_as_they_stand():
    # errors: 0, .5, 2 (7 is not clamped), 4 (no number, gold 1 -> 5)
    mae, rmse = mae_and_rmse([" 5 ", "4.5", "7", "[3]"], ["5", "4", "5", "1"])
    assert mae == pytest.approx(6.5 / 4, abs=1e-15)
    assert rmse == pytest.approx(math.sqrt((0.25 + 4 + 16) / 4), abs=1e-15)


@given(st.text(alphabet=st.sampled_from("0123456789.e-+_naif ")))
def test_a_rating_is_what_float_reads_if_it_is_finite(text):
    try:
        expected = float(text)
    except ValueError:
        expected = math.nan
    value = parse_rating(text)
    assert value == expected if math.isfinite(expected) else value is None


def test_rouge_worked_by_hand():
    # gold: the cat sat on mats (5), answer: cat the sat (3). ROUGE-1: 3 shared, P 1, R 3/5, F .75.
    # LCS "the sat" or "cat sat": 2, P 2/3, R 2/5, F .5.
    assert rouge_1_and_l("cat, THE sat!", "The cat sat on mats") == pytest.approx((0.75, 0.5), abs=1e-15)


def test_rouge_counts_repeats_once_per_repeat_in_the_gold():
    # answer a a a against gold a b: 1 shared of 3 and of 2: P 1/3, R 1/2, F .4; LCS 1 too.
    assert rouge_1_and_l("a a a", "a b") == pytest.approx((0.4, 0.4), abs=1e-15)


def test_rouge_of_text_without_letters_is_zero():
    assert rouge_1_and_l("...", "...") == (0.0, 0.0)
    assert rouge_1_and_l("", "a") == (0.0, 0.0)


words = st.lists(
    st.sampled_from(["a", "b", "c", "Dog", "dog's", "x-y", "42", "é", "naïve", "_", "!", "\n"]), max_size=24
)


@given(words, words)
def test_rouge_equals_the_library(answer, gold):
    answer, gold = " ".join(answer), " ".join(gold)
    expected = RougeScorer(["rouge1", "rougeL"], use_stemmer=False).score(gold, answer)
    rouge_1, rouge_l = rouge_1_and_l(answer, gold)
    assert rouge_1 == pytest.approx(expected["rouge1"].fmeasure, abs=1e-12)
    assert rouge_l == pytest.approx(expected["rougeL"].fmeasure, abs=1e-12)


@given(st.text(max_size=40), st.text(max_size=40))
def test_rouge_equals_the_library_on_any_text(answer, gold):
    expected = RougeScorer(["rouge1", "rougeL"], use_stemmer=False).score(gold, answer)
    assert rouge_1_and_l(answer, gold) == pytest.approx(
        (expected["rouge1"].fmeasure, expected["rougeL"].fmeasure), abs=1e-12
    )


def test_rouge_is_averaged_over_items():
    assert mean_rouge(["a b", "c"], ["a b", "d"]) == (0.5, 0.5)


@pytest.mark.parametrize("answers, golds", [([], []), (["a"], ["a", "b"])])
def test_metrics_of_nothing_or_of_uneven_lists_are_errors(answers, golds):
    with pytest.raises(ValueError, match="expected one gold per answer and at least one"):
        mean_rouge(answers, golds)
