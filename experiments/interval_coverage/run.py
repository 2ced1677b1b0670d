"""What nominal 95 % intervals cover, and how often the tests err, on simulated scores whose truth is known.

python -m experiments.interval_coverage.run --out runs/interval_coverage.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tagpr.evaluation import statistics
from tagpr.evaluation.spread import Spread, replicate_p, spreads
from tagpr.evaluation.statistics import Array, Cells

LEVEL, MARGIN = 0.95, 0.01
NUM_USERS = 100
QUESTIONS = (2, 6)  # per person, fewest and most
MEAN_SCORE = 0.7
RATIOS = (0.0, 0.5, 1.0, 2.0)  # variance between replicates / variance between users
TRUTH_DRAWS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Study:
    """One cell of the tables.

    Args:
        nested: each replicate has its own users; False: the same users in every replicate.
        bernoulli: an answer is right or wrong; False: a score in (0, 1) as ROUGE gives.
        ratio: variance between replicates / between users, of a row's score and of the difference of two rows.
        lead: the second row's true lead over the first.
        noise: of single ROUGE-like scores: 1 / (1 + concentration) of the greatest possible variance.
    """

    nested: bool
    bernoulli: bool
    num_replicates: int
    ratio: float
    lead: float = 0.0
    user_sd: float = 0.12  # of a row's score
    lead_user_sd: float = 0.06  # of the difference
    noise: float = 0.2

    def expected(self, rng: np.random.Generator, shape: tuple[int, int, int], lead: float) -> Array:
        """(2, N, R, U) expected scores of both rows: level + replicate + user, kept within [0.02, 0.98]."""
        num, num_replicates, _ = shape
        people = shape if self.nested else (num, 1, shape[2])

        def effects(user_sd: float) -> Array:
            of_replicate = rng.normal(0, user_sd * self.ratio**0.5, size=(num, num_replicates, 1))
            return of_replicate + rng.normal(0, user_sd, size=people)

        first = MEAN_SCORE + effects(self.user_sd)
        second = first + lead + effects(self.lead_user_sd)
        return np.clip(np.stack([first, second]), 0.02, 0.98)

    def scores(self, rng: np.random.Generator, num: int, lead: float) -> tuple[Array, Array]:
        """Sums (N, R, U, 1, 2) and counts (N, R, U, 1) of simulated answers."""
        shape = (num, self.num_replicates, NUM_USERS)
        expected = self.expected(rng, shape, lead)
        people = shape if self.nested else (num, 1, NUM_USERS)
        counts = np.broadcast_to(rng.integers(QUESTIONS[0], QUESTIONS[1] + 1, size=people), shape)
        if self.bernoulli:
            sums = rng.binomial(counts, expected).astype(np.float64)
        else:
            concentration = 1 / self.noise - 1
            sums = np.zeros_like(expected)
            for question in range(QUESTIONS[1]):
                drawn = rng.beta(expected * concentration, (1 - expected) * concentration)
                sums += drawn * (question < counts)
        return np.moveaxis(sums, 0, -1)[:, :, :, None], counts[:, :, :, None].astype(np.float64)

    def truth(self) -> tuple[float, float, float]:
        """First row's expected score, the second's true lead, and the lead before clipping that makes it so."""
        return _truth(self.ratio, self.lead, self.user_sd, self.lead_user_sd)


@cache
def _truth(ratio: float, lead: float, user_sd: float, lead_user_sd: float) -> tuple[float, float, float]:
    """First row's expected score, the second's true lead, and the lead before clipping that makes it so."""
    study = Study(
        nested=True, bernoulli=True, num_replicates=1, ratio=ratio, user_sd=user_sd, lead_user_sd=lead_user_sd
    )

    def measured(inner: float) -> tuple[float, float]:
        first, second = study.expected(np.random.default_rng(1), (TRUTH_DRAWS, 1, 1), inner)
        return float(first.mean()), float((second - first).mean())

    inner, (score, found) = lead, measured(lead)
    for _ in range(2):
        inner += lead - found
        score, found = measured(inner)
    return score, found, inner


def both_figures(means: Array) -> Array:
    """The first row's score, and the lead of the second."""
    return np.stack([statistics.mean_over_tasks(0)(means), statistics.difference(1, 0)(means)], axis=1)


def percentile_bootstrap(sums: Array, counts: Array, *, nested: bool, num_resamples: int) -> Array:
    """(2, N, 2) ends of the percentile intervals of the plain bootstrap over replicates and users (each drawn with
    replacement, weights multiplied): what the product's intervals are compared with. The same draws serve all studies.
    """
    rng = np.random.default_rng(0)
    num, num_replicates, num_users = counts.shape[:3]
    replicates = rng.multinomial(num_replicates, np.full(num_replicates, 1 / num_replicates), size=num_resamples)
    if num_replicates == 1:
        replicates = np.ones((num_resamples, 1))
    users = rng.multinomial(
        num_users, np.full(num_users, 1 / num_users), size=(num_resamples, num_replicates if nested else 1)
    )
    weights = (replicates[:, :, None] * users).reshape(num_resamples, -1).astype(np.float64)
    weighed = weights @ counts.reshape(num, -1).T
    first, second = ((weights @ sums[..., 0, k].reshape(num, -1).T) / weighed for k in (0, 1))
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return np.stack([np.quantile(first, tails, axis=0).T, np.quantile(second - first, tails, axis=0).T])


def product_spreads(sums: Array, counts: Array, *, nested: bool, num_resamples: int) -> list[list[Spread]]:
    """The product's own spreads of both figures, study by study."""
    return [
        spreads(Cells(sums=own, counts=asked, nested=nested), both_figures, num_resamples=num_resamples, seed=trial)
        for trial, (own, asked) in enumerate(zip(sums, counts, strict=True))
    ]


def coverage(study: Study, *, num_studies: int, num_resamples: int, seed: int) -> dict[str, Any]:
    """Shares of intervals that hold the truth, and their mean widths."""
    *truth, inner = study.truth()
    sums, counts = study.scores(np.random.default_rng(seed), num_studies, inner)
    plain = percentile_bootstrap(sums, counts, nested=study.nested, num_resamples=num_resamples)
    found = product_spreads(sums, counts, nested=study.nested, num_resamples=num_resamples)
    ends = np.array([[spread.interval(LEVEL) for spread in both] for both in found]).swapaxes(0, 1)
    figures: dict[str, Any] = {}
    for name, k in (("score", 0), ("lead", 1)):
        for method, given in (("percentile", plain[k]), ("product", ends[k])):
            low, high = given.T
            figures[f"{name}/{method}/coverage"] = float(np.mean((low <= truth[k]) & (truth[k] <= high)))
            figures[f"{name}/{method}/width"] = float(np.mean(high - low))
    return {**_described(study), "truth": truth, **figures}


def errors(study: Study, *, num_studies: int, num_resamples: int, seed: int) -> dict[str, Any]:
    """How often p <= .05, and the shares of the four outcomes (one contrast: Holm changes nothing)."""
    *truth, inner = study.truth()
    sums, counts = study.scores(np.random.default_rng(seed), num_studies, inner)
    found = product_spreads(sums, counts, nested=study.nested, num_resamples=num_resamples)
    rejected, flips, outcomes = 0, 0, Counter[str]()
    for own, asked, (_, lead) in zip(sums, counts, found, strict=True):
        cells = Cells(sums=own, counts=asked, nested=study.nested)
        units = cells.by_replicate()
        leads = both_figures(units.means(np.eye(study.num_replicates)))[:, 1].tolist()
        flips += statistics.sign_flip_test(leads, num_flips=0, seed=0) <= 0.05
        p = replicate_p(leads, lead, nested=study.nested, num_flips=0, seed=0)
        rejected += p <= 0.05
        verdict = statistics.outcome(
            estimate=lead.value,
            adjusted_p=p,
            interval_90=lead.interval(0.9),
            margin=MARGIN,
            num_replicates=study.num_replicates,
        )
        outcomes[verdict] += 1
    shares = {name: outcomes[name] / num_studies for name in ("holds", "fails", "tie", "undecided")}
    return {
        **_described(study), "truth": truth, "lead": study.lead, "sign_flip_alone": flips / num_studies,
        "p_below_05": rejected / num_studies, **shares,
    }  # fmt: skip


def _described(study: Study) -> dict[str, Any]:
    return {
        "people": "own" if study.nested else "shared", "score_kind": "accuracy" if study.bernoulli else "rouge-like",
        "replicates": study.num_replicates, "ratio": study.ratio,
    }  # fmt: skip


def coverage_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown; both kinds of score stand in one row."""
    lines = [
        "| people | replicates | ratio | score: percentile | score: ours | lead: percentile | lead: ours |"
        " width of lead: percentile | ours |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    kinds = {(r["people"], r["replicates"], r["ratio"]): [] for r in rows}
    for row in rows:
        kinds[row["people"], row["replicates"], row["ratio"]].append(row)

    def joined(several: Sequence[dict[str, Any]], key: str, form: str) -> str:
        return " / ".join(format(one[key], form).lstrip("0") for one in several)

    for (people, replicates, ratio), several in kinds.items():
        cells = [
            joined(several, f"{f}/{m}/coverage", ".3f") for f in ("score", "lead") for m in ("percentile", "product")
        ]
        widths = [joined(several, f"lead/{m}/width", ".3f") for m in ("percentile", "product")]
        lines.append(f"| {people} | {replicates} | {ratio:g} | {' | '.join([*cells, *widths])} |")
    return lines


def error_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown."""
    lines = [
        "| people | replicates | ratio | true lead | sign-flip alone <= .05 | p <= .05 | holds | fails | tie |"
        " undecided |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        shares = [
            f"{row[name]:.3f}" for name in ("sign_flip_alone", "p_below_05", "holds", "fails", "tie", "undecided")
        ]
        where = f"{row['people']} | {row['replicates']} | {row['ratio']:g} | {row['lead']:g}"
        lines.append(f"| {where} | {' | '.join(shares)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1_000, help="per row (default: %(default)s)")
    parser.add_argument("--resamples", type=int, default=250, help="per study (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    arguments = parser.parse_args()
    start = time.perf_counter()
    size = {"num_studies": arguments.studies, "num_resamples": arguments.resamples}
    studies = [
        Study(nested=nested, bernoulli=bernoulli, num_replicates=replicates, ratio=ratio)
        for nested in (True, False)
        for replicates in ((1, 3, 10) if nested else (3, 10))  # one replicate is one, whoever its people are
        for ratio in RATIOS
        for bernoulli in (True, False)
    ]
    covered = [coverage(study, **size, seed=seed) for seed, study in enumerate(studies)]
    # Quiet scores, or no interval would be short enough for a tie.
    quiet = {"bernoulli": False, "num_replicates": 10, "lead_user_sd": 0.02, "noise": 0.03}
    contrasts = [
        Study(nested=nested, ratio=ratio, lead=lead, **quiet)
        for nested in (True, False)
        for lead in (0.0, MARGIN, 3 * MARGIN)
        for ratio in RATIOS
    ]
    erred = [errors(study, **size, seed=1000 + seed) for seed, study in enumerate(contrasts)]
    text = [*coverage_table(covered), "", *error_table(erred)]
    print("\n".join(text))
    seconds = time.perf_counter() - start
    print(f"\n{arguments.studies} studies per row, {arguments.resamples} resamples each, {seconds:.0f} s")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"size": size, "seconds": seconds, "coverage": covered, "errors": erred}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
