"""Which of the weights that training went through are kept."""

from __future__ import annotations

import warnings

from tagpr.errors import UserError
from tagpr.training.best import BestBy

# By the names of prmu.select_by: the validation figure, on dev people. Pair accuracy is none of them: it goes on rising
# on what tells the sides of a pair apart, whoever is asked, while the answers picked for a person get no better.
SELECT_BY = {"best_of_n": "prmu/best_of_n/picked", "swap_accuracy": "prmu/unseen/swap_accuracy", "last": ""}


class NothingToSelectBy(UserWarning):
    """The data cannot give the figure that should choose the weights; the last ones are kept."""


def check_select_by(select_by: str, *, validate_every: int, patience: int | None) -> None:
    """Raises UserError where the setting is unknown, nothing would ever be validated, or patience waits for nothing."""
    if select_by not in SELECT_BY:
        raise UserError(f"prmu.select_by={select_by!r}, expected one of {', '.join(SELECT_BY)}.")
    if SELECT_BY[select_by] and not validate_every:
        raise UserError(
            f"prmu.select_by={select_by} keeps the best of the validated weights, but prmu.validate_every=0: set it to "
            "1 or more, or prmu.select_by=last."
        )
    if patience is not None and (patience < 1 or not SELECT_BY[select_by]):
        raise UserError(
            f"prmu.patience={patience} with prmu.select_by={select_by}, expected null, or a number of validations (1 "
            "or more) without better weights by best_of_n or swap_accuracy after which training ends."
        )


def best_by(select_by: str, *, best_of_n: bool, swap_accuracy: bool) -> BestBy | None:
    """What `fit` is to keep; None: the last weights.

    Args:
        best_of_n, swap_accuracy: whether the data can give that figure.
    """
    metric = SELECT_BY[select_by]
    if not metric:
        return None
    if not {"best_of_n": best_of_n, "swap_accuracy": swap_accuracy}[select_by]:
        warnings.warn(
            f"prmu.select_by={select_by} cannot be measured on these dev people (best_of_n needs answers sampled for "
            "them, pairs.dev_prompts; swap_accuracy needs questions that several of them share): PRMU keeps its last "
            "weights.",
            NothingToSelectBy,
            stacklevel=2,
        )
        return None
    return BestBy(metric=metric, higher_is_better=True)
