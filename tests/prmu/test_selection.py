import pytest

from tagpr.errors import UserError
from tagpr.prmu.selection import SELECT_BY, NothingToSelectBy, best_by, check_select_by
from tagpr.training.best import BestBy


def test_the_best_answers_decide_not_pair_accuracy():
    found = best_by("best_of_n", best_of_n=True, swap_accuracy=False)
    assert found == BestBy(metric="prmu/best_of_n/picked", higher_is_better=True)
    assert not any("/accuracy" in metric for metric in SELECT_BY.values())
    assert best_by("last", best_of_n=True, swap_accuracy=True) is None


@pytest.mark.parametrize("name", ["best_of_n", "swap_accuracy"])
def test_a_figure_that_cannot_be_measured_is_said(name):
    with pytest.warns(NothingToSelectBy, match=f"select_by={name} cannot be measured"):
        assert best_by(name, best_of_n=name != "best_of_n", swap_accuracy=name != "swap_accuracy") is None


def test_wrong_settings():
    with pytest.raises(UserError, match="select_by='accuracy', expected one of best_of_n, swap_accuracy, last"):
        check_select_by("accuracy", validate_every=5, patience=None)
    with pytest.raises(UserError, match="validate_every=0"):
        check_select_by("best_of_n", validate_every=0, patience=None)
    check_select_by("last", validate_every=0, patience=None)
    with pytest.raises(UserError, match=r"patience=3 with prmu\.select_by=last"):
        check_select_by("last", validate_every=5, patience=3)
    with pytest.raises(UserError, match="patience=0 with"):
        check_select_by("best_of_n", validate_every=5, patience=0)
    check_select_by("best_of_n", validate_every=5, patience=1)
