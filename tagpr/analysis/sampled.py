"""Rows that gave several answers per question: the mean, the best of them, and their spread."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tagpr.analysis.comparison import Comparison
from tagpr.analysis.panel import NUM_RESAMPLES, RESAMPLING_SEED, Estimate, to_estimate
from tagpr.evaluation.samples import sample_figures
from tagpr.evaluation.spread import spreads
from tagpr.evaluation.statistics import collect

NAMES = ("mean", "best_of_n", "spread")
HEADINGS = ("row", "decoding", "samples", "mean [95 %]", "best of n [95 %]", "spread [95 %]")
DEFINITION = (
    "Each question's samples are summarised first (mean score, score of the best, sample standard deviation), then "
    "questions, tasks and people; the best of n is what an oracle would pick. Intervals are over people and "
    "replicates: more samples make no more people."
)


@dataclass(frozen=True, kw_only=True)
class SampledRow:
    """One row under a decoding with several samples; means over tasks."""

    name: str
    decoding: str
    num_samples: int
    figures: dict[str, Estimate]  # those of NAMES


def sampled_rows(comparison: Comparison) -> list[SampledRow]:
    """Every row and decoding that drew several samples in all of its replicates."""
    found = []
    for row in comparison.rows:
        for decoding in row.decodings:
            evaluations = {seed: own.evaluations[decoding] for seed, own in row.by_seed.items()}
            numbers = {one.num_samples for one in evaluations.values()}
            if len(numbers) != 1 or numbers == {1}:
                continue
            values: list[tuple[Hashable, str, str, Sequence[float]]] = [
                (seed, scored.user_id, task, [sample_figures(scored.samples)[name] for name in NAMES])
                for seed, one in evaluations.items()
                for (task, _), scored in one.questions.items()
            ]
            if values:
                figures = _estimates(values, nested=comparison.simulated)
                found.append(SampledRow(name=row.name, decoding=decoding, num_samples=numbers.pop(), figures=figures))
    return found


def _estimates(values: list[tuple[Hashable, str, str, Sequence[float]]], *, nested: bool) -> dict[str, Estimate]:
    found = spreads(
        collect(values, nested=nested), lambda means: means.mean(axis=1), num_resamples=NUM_RESAMPLES,
        seed=RESAMPLING_SEED,
    )  # fmt: skip
    return {name: to_estimate(one) for name, one in zip(NAMES, found, strict=True)}


def cells(row: SampledRow) -> tuple[str, ...]:
    """As HEADINGS says."""
    spans = (
        f"{one.value:.3f}" if one.low is None else f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
        for one in row.figures.values()
    )
    return (row.name, row.decoding, str(row.num_samples), *spans)
