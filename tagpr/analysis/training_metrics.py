"""What a trained stage logged: its metrics.csv as series."""

from __future__ import annotations

import csv

from tagpr.analysis.runs import Artifact

Series = list[tuple[float, float]]  # (step, value)


def read_metrics(stage: Artifact) -> dict[str, Series]:
    """metrics.csv of a trained stage, a series per metric; steps without a value are left out."""
    series: dict[str, Series] = {}
    with (stage.folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                if name != "step" and text:
                    series.setdefault(name, []).append((float(row["step"]), float(text)))
    return series
