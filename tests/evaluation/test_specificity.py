"""Gain, Specificity and shares, worked by hand."""

import math

import pytest

from tagpr.evaluation.specificity import MEAN, Figure, Personal, SwappedAnswer, specificity
from tagpr.evaluation.swap import CONDITIONS


def answers(task, user, scores, *, bayes=None, others=(math.nan, math.nan), number=0, gold="x"):
    """One question under every condition; `others` is what own and nearest answers are worth to the other."""
    on_other = dict(zip(("own", "nearest"), others, strict=True))
    return [
        SwappedAnswer(
            record_id=f"{user}{number}", user_id=user, task=task, condition=condition, other_user_id="", exact=True,
            entries=1, characters=1, completion="", answer="", parsed=True, truncated=False, gold=gold, score=score,
            bayes_answer="", bayes_score=math.nan if bayes is None else bayes[i], other_answer="",
            other_answer_from="" if math.isnan(others[0]) else "rule",
            other_score=on_other.get(condition, math.nan), bayes_other_score=1.0,
        )
        for i, (condition, score) in enumerate(zip(CONDITIONS, scores, strict=True))
    ]  # fmt: skip


def compute(*groups, nested=False, resamples=200):
    rows = ((replicate, one) for replicate, group in groups for one in group)
    return specificity(rows, nested=nested, num_resamples=resamples, seed=0)


def values(personal):
    return {name: figure.value for name, figure in personal.figures.items()}


def test_differences_and_shares_by_hand():
    # S2: own (1 + 1) / 2, nearest (0 + 1) / 2, random 0, none (0 + .5) / 2, shuffled 1.  S3: one question.
    found = compute(
        (0, answers("S2", "ann", (1, 0, 0, 0, 1), bayes=(1, 0, 0, 0, 0), others=(0.0, 1.0))),
        (0, answers("S2", "bob", (1, 1, 0, 0.5, 1), bayes=(1, 0, 0, 0, 0), others=(0.5, 1.0))),
        (0, answers("S3", "ann", (0.75, 0.5, 0.25, 0.25, 0.5), bayes=(1, 0.5, 0, 0, 0), others=(0.5, 0.25))),
    )
    assert list(found) == ["S2", "S3", MEAN]
    s2, s3, mean = map(values, found.values())
    assert (s2["own"], s2["nearest"], s2["none"]) == (1.0, 0.5, 0.25)
    assert (s2["gain"], s2["specificity"], s2["own_minus_random"], s2["own_minus_shuffled"]) == (0.75, 0.5, 1.0, 0.0)
    assert (s3["gain"], s3["specificity"], s3["own_minus_random"], s3["own_minus_shuffled"]) == (0.5, 0.25, 0.5, 0.25)
    # tasks have equal weights although S2 has two questions
    assert (mean["gain"], mean["specificity"]) == (0.625, 0.375)
    assert (s2["bayes_specificity"], s3["bayes_specificity"], mean["bayes_specificity"]) == (1.0, 0.5, 0.75)
    # a ratio of means: .375 / .75
    assert (s2["share"], s3["share"], mean["share"]) == (0.5, 0.5, 0.5)
    assert (s2["on_other_own"], s2["on_other_nearest"]) == (0.25, 1.0)
    assert (mean["on_other_own"], mean["on_other_nearest"]) == (0.375, 0.625)
    assert [(one.people, one.questions) for one in found.values()] == [(2, 2), (1, 1), (2, 3)]
    assert all(figure.low is None for one in found.values() for figure in one.figures.values())


def test_real_people_have_no_observer_and_no_answer_of_the_other():
    figures = compute((0, answers("LaMP_3", "ann", (1, 0.5, 0, 0, 1))))[MEAN].figures
    assert figures["specificity"].value == 0.5
    assert {"bayes_own", "share", "on_other_own"} & figures.keys() == set()


def test_the_others_answer_counts_where_it_is_known_and_in_the_mean_only_if_every_task_has_it():
    found = compute(
        (0, answers("LaMP_3", "ann", (1, 0, 0, 0, 1), others=(0.0, 1.0))),
        (0, answers("LaMP_3", "bob", (1, 0, 0, 0, 1))),
        (0, answers("LaMP_2", "ann", (1, 0, 0, 0, 1))),
    )
    assert found["LaMP_3"].figures["on_other_nearest"].value == 1.0
    assert "on_other_nearest" not in found["LaMP_2"].figures
    assert "on_other_nearest" not in found[MEAN].figures


def test_questions_without_gold_do_not_count():
    withheld = answers("S2", "bob", (math.nan,) * 5, gold=None)
    found = compute((0, answers("S2", "ann", (1, 0, 0, 0, 1))), (0, withheld))
    assert found[MEAN].questions == 1
    assert compute((0, withheld)) == {}


def crowd(people, own, nearest, none):
    return [
        (0, answers("S2", f"u{i}", (own(i), nearest(i), 0, none(i), 0)))
        for i in range(people)
    ]  # fmt: skip


def test_intervals_need_twenty_people_and_hold_the_value():
    nineteen = compute(*crowd(19, lambda i: i % 2, lambda i: 0, lambda i: 0))[MEAN].figures["specificity"]
    assert (nineteen.low, nineteen.high) == (None, None)
    twenty = compute(*crowd(20, lambda i: i % 2, lambda i: 0, lambda i: 0))[MEAN].figures["specificity"]
    assert twenty.value == 0.5
    # mean of 20 coins: standard error sqrt(.25 / 20) = .112
    assert twenty.low == pytest.approx(0.5 - 1.96 * 0.112, abs=0.08)
    assert twenty.high == pytest.approx(0.5 + 1.96 * 0.112, abs=0.08)
    # paired: everybody loses the same, whatever they score
    same = compute(*crowd(20, lambda i: i % 2, lambda i: i % 2 - 0.25, lambda i: 0))[MEAN].figures["specificity"]
    assert (same.low, same.high) == pytest.approx((0.25, 0.25))


def test_a_task_that_few_people_were_asked_has_no_interval_of_its_own():
    found = compute(*crowd(20, lambda i: 1, lambda i: 0, lambda i: 0), (0, answers("S3", "u0", (1, 0, 0, 0, 0))))
    assert found["S2"].figures["gain"].low == 1.0
    assert found["S3"].figures["gain"].low is None


def test_people_of_different_worlds_are_different_people():
    groups = [(seed, answers("S2", user, (1, 0, 0, 0, 1))) for seed in range(3) for user in ("u", "v")]
    assert compute(*groups, nested=True)[MEAN].people == 6
    assert compute(*groups, nested=False)[MEAN].people == 2


@pytest.mark.parametrize(
    "gain, specific, expected",
    [
        ((0.1, 0.3), (-0.02, 0.05), True),
        ((0.1, 0.3), (-0.2, -0.05), True),  # another's history is even better: no less a case of formatting
        ((0.1, 0.3), (0.01, 0.05), False),
        ((-0.1, 0.3), (-0.02, 0.05), False),  # no gain to explain
        ((None, None), (None, None), False),  # too few people to say so
    ],
)
def test_gain_without_specificity_is_formatting(gain, specific, expected):
    figures = {
        name: Figure(value=0.1, low=low, high=high) for name, (low, high) in (("gain", gain), ("specificity", specific))
    }
    assert Personal(people=30, questions=60, figures=figures).formatting_only is expected
