"""RL's dials: what one window's gradient is made of, where a metric starts and ends."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from experiments.rl_curves.read import Arm
from experiments.rl_dials.gradients import signal_and_noise
from experiments.rl_dials.table import _ends
from tagpr.analysis.runs import Artifact, Row
from tagpr.storage import write_json


def test_what_two_windows_share_is_signal_and_the_rest_is_noise() -> None:
    # (1, 0, 0) in all three, and one direction of its own in two of them.
    gradients = torch.tensor([[1.0, 2.0, 0.0], [1.0, 0.0, 2.0], [1.0, 0.0, 0.0]])
    signal, noise = signal_and_noise(gradients)
    assert signal == pytest.approx(1.0)
    assert noise == pytest.approx((4 + 4 + 0) / 3)


def test_the_ends_of_a_metric_are_the_quarters_of_its_windows_over_both_stages(tmp_path: Path) -> None:
    def stage(name: str, values: list[float]) -> Artifact:
        folder = tmp_path / name / "0a1b"
        folder.mkdir(parents=True)
        write_json(folder / "manifest.json", {"counts": {"steps": len(values)}, "cpu_seconds": 1.0})
        with open(folder / "metrics.csv", "w", newline="") as file:
            csv.writer(file).writerows([("step", "x"), *enumerate(values, start=1)])
        return Artifact(folder=folder)

    stages = (stage("rl_guided", [0.1, 0.3, 9, 9]), stage("rl_exploratory", [9, 9, 0.7, 0.8]))
    row = Row(name="rl", policy="rl", stages=stages, evaluations={}, diagnostics={})
    arm = Arm(name="one", rows={100: row}, settings={})
    assert _ends(arm, "x") == "0.20 to 0.75"
    assert _ends(arm, "y") == "-"
