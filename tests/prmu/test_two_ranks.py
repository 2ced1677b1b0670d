"""Two processes learn from the pairs as one does: histories are thinned alike wherever a block lies."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from tagpr.context import StageContext
from tagpr.prmu import stage
from tests.prmu.stages import TRAINER, settings
from tests.training.two_ranks import on_two_ranks, sgd, two_devices


def test_two_ranks_make_the_update_of_one(folder: Path, backbone, made_pairs, tmp_path: Path) -> None:
    def train(name: str, trainer, rank: int = 0) -> None:
        output = tmp_path / name / f"rank_{rank}"
        output.mkdir(parents=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stage.run(
                backbone=backbone,
                prmu=settings(optimizer=sgd(0.2), steps=5, validate_every=0, select_by="last"),
                trainer=trainer,
                inputs={"records": folder / "records", "pairs": made_pairs[0]},
                output=output,
                context=StageContext(stage="prmu", seed=0, checkpoints=tmp_path / name / "checkpoints", rank=rank),
            )

    train("one", TRAINER)
    on_two_ranks(lambda rank: train("two", two_devices(TRAINER), rank))
    for file in ("model.safetensors", "prmu.safetensors"):
        ours, theirs = (load_file(tmp_path / name / "rank_0" / "model" / file) for name in ("two", "one"))
        for name, value in ours.items():
            assert_close(value, theirs[name], rtol=0, atol=1e-6)
    assert not list((tmp_path / "two" / "rank_1").iterdir())
    rows = []
    for name in ("two", "one"):
        with open(tmp_path / name / "rank_0" / "metrics.csv", newline="") as file:
            rows.append(list(csv.DictReader(file)))
    for ours, theirs in zip(*rows, strict=True):
        assert {k: float(v) for k, v in ours.items()} == pytest.approx(
            {k: float(v) for k, v in theirs.items()}, abs=1e-5
        )
