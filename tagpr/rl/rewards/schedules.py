"""How a stage's reward weights move while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def constant(weights: Mapping[str, float], *, progress: float) -> dict[str, float]:
    """The same weights from the first step to the last."""
    return dict(weights)


def decay_to_zero(weights: Mapping[str, float], *, progress: float, terms: Sequence[str]) -> dict[str, float]:
    """The named terms fall in a straight line to 0 at the end of the stage; the others stay.

    Args:
        progress: share of the stage's steps that are done, in [0, 1).
        terms: names of the terms that fall; one that the stage does not have is left out of nothing.
    """
    return {name: weight * (1.0 - progress) if name in terms else weight for name, weight in weights.items()}
