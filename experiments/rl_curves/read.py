"""Runs of run.sh as arms: the policy that each ends with, and the curves on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from experiments.world_learning.read import Answer, answers_of, arms_of
from tagpr.analysis.panel import GREEDY
from tagpr.analysis.runs import Row, Run
from tagpr.analysis.training_metrics import Series, read_metrics

SFT, FULL, GUIDED = "sft", "full", "full, after the guided stage"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A policy per seed, all trained in the same way."""

    name: str
    rows: Mapping[int, Row]  # by seed
    settings: Mapping[str, float]  # what its first RL stage was paid: weight_<term>

    def answers(self) -> list[Answer]:
        """Greedy answers of all seeds to dev people."""
        return [answer for seed, row in self.rows.items() for answer in answers_of(row.evaluations[GREEDY], seed=seed)]

    @property
    def steps(self) -> int:
        return round(fmean(sum(stage.counts["steps"] for stage in row.rl_stages) for row in self.rows.values()))

    @property
    def cpu_seconds(self) -> float:
        """Of RL alone, mean over seeds."""
        return fmean(sum(stage.manifest["cpu_seconds"] for stage in row.rl_stages) for row in self.rows.values())

    def curve(self, metric: str) -> dict[int, Series]:
        """Seed -> (step, value), stage after stage."""
        return {seed: _joined(row, metric) for seed, row in self.rows.items()}

    def last(self, metric: str) -> float | None:
        """The last value, mean over seeds; None where the metric was not logged."""
        return _mean([series[-1][1] for series in self.curve(metric).values() if series])

    def first(self, metric: str) -> float | None:
        return _mean([series[0][1] for series in self.curve(metric).values() if series])

    def mean(self, metric: str) -> float | None:
        """Mean over all steps and seeds."""
        return _mean([value for series in self.curve(metric).values() for _, value in series])


def arms_in(folder: Path) -> dict[str, Arm]:
    """Arms by name: SFT, the method after its guided stage, and every run's last policy.

    Raises:
        BadInputError: there is no finished run.
        UserError: two runs of one name and seed.
    """
    by_name: dict[str, dict[int, Row]] = {}
    for name, found in arms_of(folder, "rl_curves").items():
        for seed, run in found.runs.items():
            by_name.setdefault(SFT, {}).setdefault(seed, run.rows["sft"])
            if name == FULL:
                by_name.setdefault(GUIDED, {})[seed] = run.rows["rl_guided"]
            by_name.setdefault(name, {})[seed] = last_row(run)
    return {name: Arm(name=name, rows=rows, settings=_paid(rows)) for name, rows in by_name.items()}


def last_row(run: Run) -> Row:
    """Of the policy that a run ends with."""
    return max(run.rows.values(), key=lambda row: len(row.rl_stages))


def _paid(rows: Mapping[int, Row]) -> dict[str, float]:
    stages = next(iter(rows.values())).rl_stages
    return {name: value for name, value in stages[0].counts.items() if name.startswith("weight_")} if stages else {}


def _joined(row: Row, metric: str) -> Series:
    series: Series = []
    offset = 0.0
    for stage in row.rl_stages:
        series += [(step + offset, value) for step, value in read_metrics(stage).get(metric, ())]
        offset += stage.counts["steps"]
    return series


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
