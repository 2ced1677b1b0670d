"""How far a figure would move with other people and other replicates: standard errors, intervals, p."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from tagpr.evaluation.statistics import (
    MIN_PEOPLE,
    Array,
    Cells,
    Statistic,
    Units,
    bootstrap,
    estimate,
    sign_flip_test,
)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure, and how far it would move with other people and other replicates.

    Args:
        value: the figure on the data as they are.
        variances: of the figure, one per thing that was drawn (replicates; people), with the degrees of freedom that
            each is known by.
        samples: the figure on resampled people, where these are all that was drawn (one replicate).
        num_people: distinct people.
    """

    value: float
    variances: tuple[tuple[float, int], ...]
    samples: Array | None
    num_people: int

    @property
    def standard_error(self) -> float:
        """Root of the sum of the variances."""
        return math.sqrt(sum(variance for variance, _ in self.variances))

    def interval(self, level: float) -> tuple[float, float] | None:
        """A two-sided interval; None with fewer than MIN_PEOPLE people, where it would claim more than it knows.

        One replicate: bootstrap percentiles over people. Several: value +- sqrt(sum over sources of t^2 V), t the
        quantile of Student's t with the source's own degrees of freedom (Banerji 1960, Sankhya 22, 357). For normal and
        independent sources it covers at least `level` whatever the shares w of their variances: P(Z^2 <= sum w t^2 S^2
        / sigma^2) >= sum w P(Z^2 <= t^2 S^2 / sigma^2) = level, for the distribution function of Z^2 is concave.
        Percentiles of a bootstrap over three replicates cover less (experiments/interval_coverage).
        """
        if self.num_people < MIN_PEOPLE or not math.isfinite(self.value):
            return None
        if self.samples is not None:
            if len(self.samples) == 0:
                return None
            low, high = np.quantile(self.samples, [(1 - level) / 2, (1 + level) / 2])
            return float(low), float(high)
        half = self._half_width(1 - level)
        return (self.value - half, self.value + half) if math.isfinite(half) else None

    def p_of_zero(self) -> float:
        """Two-sided p: one minus the level at which the interval of several replicates reaches 0."""
        if self.samples is not None:
            raise ValueError("one replicate has no p over replicates: samples is given, expected several replicates.")
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if self._half_width(middle) >= abs(self.value) else (low, middle)
        return high

    def _half_width(self, alpha: float) -> float:
        return math.sqrt(sum(float(stdtrit(df, 1 - alpha / 2)) ** 2 * variance for variance, df in self.variances))


def spreads(cells: Cells, statistic: Statistic, *, num_resamples: int, seed: int) -> list[Spread]:
    """The K figures of a statistic (S, T, K) -> (S, K), each with its spread, from one resampling for all.

    Nested: replicates are drawn with all their people. A draw of replicates holds a draw of people; drawing these again
    would count them twice (Davison and Hinkley 1997, 3.8).
    Crossed: replicates are drawn with all their people, and people with all their replicates. Both variances hold the
    noise E of the single cells (a person in a replicate), so it is taken off once, as in Cameron, Gelbach and Miller
    2011; but E without what cells owe to their replicate and person, which would leave (1 - 1/R) of the people's
    variance. With V_r, V_p, V_c of R replicates, P people, N cells drawn: in expectation V_c = (R - 1) / (N - 1) (V_r -
    E) + (P - 1) / (N - 1) (V_p - E) + E where each person is in each replicate; solved for E.
    The variance of n drawn units is n / (n - 1) times that of their bootstrap.
    """
    values = estimate(cells, statistic)

    def drawn(units: Units) -> list[Array]:
        samples = bootstrap(units, statistic, num_resamples=num_resamples, seed=seed)
        # A resample in which a task drew nobody says nothing of that figure.
        return [column[np.isfinite(column)] for column in samples.reshape(num_resamples, -1).T]

    def variances(units: Units) -> Array:
        num = len(units.sums)
        return np.array([column.var() if len(column) else math.nan for column in drawn(units)]) * num / max(num - 1, 1)

    if cells.num_replicates == 1:
        samples = drawn(cells.by_person())
        return [
            Spread(
                value=float(value), num_people=cells.num_people, samples=own,
                variances=((float(own.var()), max(cells.num_people - 1, 1)),) if len(own) else (),
            )
            for value, own in zip(values, samples, strict=True)
        ]  # fmt: skip
    sources = [(variances(cells.by_replicate()), cells.num_replicates - 1)]
    if not cells.nested:
        of_people, single = variances(cells.by_person()), cells.by_cell()
        in_replicate = (cells.num_replicates - 1) / max(len(single.sums) - 1, 1)
        in_person = (cells.num_people - 1) / max(len(single.sums) - 1, 1)
        shared = in_replicate * sources[0][0] + in_person * of_people
        noise = np.maximum((variances(single) - shared) / (1 - in_replicate - in_person), 0)
        sources.append((np.maximum(of_people - noise, 0), max(cells.num_people - 1, 1)))
    return [
        Spread(
            value=float(value), num_people=cells.num_people, samples=None,
            variances=tuple((float(by_figure[k]), df) for by_figure, df in sources),
        )
        for k, value in enumerate(values)
    ]  # fmt: skip


def replicate_p(differences: Sequence[float], spread: Spread, *, nested: bool, num_flips: int, seed: int) -> float:
    """Two-sided p that a paired difference is 0 for all replicates and people that might have been drawn.

    Each replicate with its own people: the sign-flip test. The same people in every replicate: these people's own
    leaning stands in every difference, and no flip removes it; so p is also at least the one by which the interval
    reaches 0.
    """
    flipped = sign_flip_test(differences, num_flips=num_flips, seed=seed)
    return flipped if nested else max(flipped, spread.p_of_zero())
