"""Two processes learn the chains as one does."""

# ruff: noqa: F811 (fixtures of the neighbouring file are arguments here)
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from tagpr.lm.backbone import Backbone
from tests.sft.test_stage import TRAINER, inputs, run_stage  # noqa: F401
from tests.training.two_ranks import on_two_ranks, sgd, two_devices


def test_two_ranks_make_the_update_of_one(
    folder: Path, inputs: dict[str, Path], backbone: Backbone, style: Any
) -> None:
    changes = {"backbone": backbone, "style": style, "steps": 4, "optimizer": sgd(0.2)}
    counts, one = run_stage(folder, inputs, name="one", **changes)
    both = {**changes, "trainer": two_devices(TRAINER)}
    on_two_ranks(lambda rank: run_stage(folder, inputs, name="two", rank=rank, **both))
    ours = load_file(folder / "two" / "output" / "policy" / "model.safetensors")
    theirs, before = load_file(one / "policy" / "model.safetensors"), backbone.policy().state_dict()
    assert max(float((value - before[name]).abs().max()) for name, value in theirs.items()) > 1e-2
    for name, value in ours.items():
        assert_close(value, theirs[name], rtol=0, atol=1e-6)
    last = (folder / "two" / "output" / "metrics.csv").read_text().splitlines()[-1].split(",")
    assert float(last[1]) == pytest.approx(counts["train_loss"], abs=1e-6)
