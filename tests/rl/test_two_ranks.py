"""Two processes draw, are paid and learn as one does, and stop and go on together."""

# ruff: noqa: F811 (fixtures of the neighbouring file are arguments here)
from __future__ import annotations

from functools import partial
from pathlib import Path
from threading import Event

import pytest
import torch

from tagpr.context import RankDone, StopRequested
from tagpr.storage import read_rollouts
from tests.rl.test_stage import Interrupt, inputs, metrics_of, run_stage, weights_of  # noqa: F401
from tests.training.two_ranks import on_two_ranks, sgd

# Three prompts for two ranks: unequal shares. Two updates per window; the last window is cut short after its first.
CHANGES = {"prompts_per_window": 3, "steps": 5, "optimizer": sgd(0.5), "micro_batch_tokens": 40}


def test_two_ranks_make_the_update_of_one(tmp_path: Path, inputs, backbone, no_tags) -> None:
    run_stage(tmp_path / "one", inputs, backbone, no_tags, **CHANGES)
    both = partial(run_stage, tmp_path / "two", inputs, backbone, no_tags, devices=2, **CHANGES)
    on_two_ranks(lambda rank: both(rank=rank))
    ours, theirs = weights_of(tmp_path / "two"), weights_of(tmp_path / "one")
    before = backbone.policy().state_dict()
    assert max(float((value - before[name]).abs().max()) for name, value in theirs.items()) > 1e-3
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-6)
    drawn, expected = (read_rollouts(tmp_path / name / "output" / "rollouts") for name in ("two", "one"))
    assert [(r.step, r.record_id, r.sample_index, r.completion, r.reward_terms) for r in drawn] == [
        (r.step, r.record_id, r.sample_index, r.completion, r.reward_terms) for r in expected
    ]
    for row, other in zip(metrics_of(tmp_path / "two"), metrics_of(tmp_path / "one"), strict=True):
        assert list(row) == list(other)
        for name in row:
            if "/speed/" not in name:
                assert float(row[name] or 0) == pytest.approx(float(other[name] or 0), abs=2e-6), name


def test_both_ranks_stop_when_one_is_asked_and_go_on_exactly(tmp_path: Path, inputs, backbone, no_tags) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"

    def train(folder: Path, rank: int, stop: Event) -> None:
        run_stage(folder, inputs, backbone, no_tags, devices=2, rank=rank, stop=stop, **CHANGES)

    def interrupted(rank: int) -> None:
        with pytest.raises(StopRequested, match="step 3 of 5"):
            train(stopped, rank, Interrupt(3) if rank == 0 else Event())
        if rank == 1:
            raise RankDone

    on_two_ranks(lambda rank: train(whole, rank, Event()))
    on_two_ranks(interrupted)
    on_two_ranks(lambda rank: train(stopped, rank, Event()))
    expected = weights_of(whole)
    for name, value in weights_of(stopped).items():
        assert torch.equal(value, expected[name]), name
    assert read_rollouts(stopped / "output" / "rollouts") == read_rollouts(whole / "output" / "rollouts")
