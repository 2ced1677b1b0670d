"""Seeds of one arm as one figure, its share of the way to the posterior, and its lead over another arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tagpr.analysis.panel import NUM_RESAMPLES, RESAMPLING_SEED, Estimate, to_estimate
from tagpr.evaluation.prmu_figures import Figure
from tagpr.evaluation.spread import spreads
from tagpr.evaluation.statistics import Statistic, collect, difference, gap_closed, mean_over_tasks

Seeds = Mapping[str, Figure]  # of one figure of one arm


def pooled(by_seed: Seeds) -> Estimate:
    """Mean over seeds. One seed: its own interval, over people. Several: over seeds, each a world with its own people
    (Spread.interval, Student's t with R - 1 degrees of freedom)."""
    if len(by_seed) == 1:
        (figure,) = by_seed.values()
        low, high = figure.interval or (None, None)
        return Estimate(value=figure.value, low=low, high=high)
    return _over_seeds({seed: (one.value,) for seed, one in by_seed.items()}, mean_over_tasks(0), by_seed)


def share_of_the_way(arm: Seeds, posterior: Seeds, *, chance: float | Seeds) -> Estimate | None:
    """(arm - chance) / (posterior - chance), a ratio of means over the seeds that both have.

    None where they share no seed. 1: all that can be known given the entries read. With one seed there is no interval.
    """
    return _of_both(arm, posterior, gap_closed(0, 2, 1), chance)


def lead(arm: Seeds, other: Seeds) -> Estimate | None:
    """arm - other, paired by seed, over the seeds that both have; None where they share none. One seed: no interval."""
    return _of_both(arm, other, difference(0, 1), 0.0)


def _of_both(arm: Seeds, other: Seeds, statistic: Statistic, start: float | Seeds) -> Estimate | None:
    values = {
        seed: (arm[seed].value, other[seed].value, start[seed].value if isinstance(start, Mapping) else start)
        for seed in arm
        if seed in other
    }
    return _over_seeds(values, statistic, arm) if values else None


def _over_seeds(values: Mapping[str, tuple[float, ...]], statistic: Statistic, people: Seeds) -> Estimate:
    """Each seed counts once, however many questions it has."""
    # People of two worlds differ, so that drawing worlds draws people, too: one cell per seed is enough. That cell
    # stands for as many people as the seed's figure has.
    cells = collect([(seed, "all", "", quantities) for seed, quantities in values.items()], nested=True)
    (drawn,) = spreads(
        cells, lambda means: statistic(means)[:, None], num_resamples=NUM_RESAMPLES, seed=RESAMPLING_SEED
    )
    if len(values) == 1:
        return Estimate(value=drawn.value)
    return to_estimate(replace(drawn, num_people=sum(people[seed].people for seed in values)))
