"""Several answers to one question, summarised by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.evaluation.samples import mean_of_metrics, mean_over_questions, sample_figures


def test_mean_best_and_spread_by_hand():
    # deviations -.5, 0, .5: variance .5 / 2
    assert sample_figures([0.0, 0.5, 1.0]) == {"mean": 0.5, "best_of_n": 1.0, "spread": 0.5}


def test_questions_weigh_the_same():
    figures = mean_over_questions({"a": [0.0, 1.0], "b": [1.0, 1.0]})
    assert figures == pytest.approx({"mean": 0.75, "best_of_n": 1.0, "spread": 0.5**0.5 / 2})


def test_one_sample_has_no_spread():
    with pytest.raises(ValueError, match="expected two or more"):
        sample_figures([1.0])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_the_best_is_at_least_the_mean_and_equal_samples_do_not_spread(scores):
    figures = sample_figures(scores)
    assert figures["best_of_n"] >= figures["mean"] - 1e-12
    assert (figures["spread"] == 0) == (len(set(scores)) == 1) or figures["spread"] < 1e-12


def test_metrics_are_averaged_and_not_pooled():
    # Errors of 0 and 4: the mean of RMSE 0 and 4 is 2; the RMSE of all would be sqrt(8).
    assert mean_of_metrics([{"rmse": 0.0}, {"rmse": 4.0}]) == {"rmse": 2.0}
