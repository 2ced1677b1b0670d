"""An update is the same however the step is cut into micro-batches or shared by ranks."""

from __future__ import annotations

import functools
import multiprocessing
import os
import socket
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tagpr.context import StageContext
from tagpr.schema import TrainerSettings
from tagpr.training.fit import fit
from tagpr.training.loader import ResumableLoader
from tagpr.training.module import ManualModule
from tagpr.training.optimizer import OptimizerSettings, adamw, constant

INPUTS = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
LENGTHS = torch.arange(1, 17)  # uneven weights: averaging means of micro-batches would show


class Weighted(ManualModule):
    def __init__(self, *, micro_size: int, clip_norm: float = 0.5) -> None:
        settings = OptimizerSettings(
            create=functools.partial(adamw, learning_rate=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0),
            schedule=functools.partial(constant, warmup_steps=0),
            clip_norm=clip_norm,
        )
        super().__init__(optimizer=settings, num_steps=5)
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.micro_size = micro_size
        self.norms: list[float] = []
        self.losses: list[float] = []

    def training_step(self, batch: list[int], batch_idx: int) -> None:
        count = self.sum_over_ranks(int(LENGTHS[batch].sum()))
        parts = torch.tensor(batch).split(self.micro_size)
        update = self.update(parts, lambda part: self._loss(part, count))
        self.report({"toy/loss": update.loss, "toy/grad_norm": update.grad_norm})

    def _loss(self, part: Tensor, count: int) -> Tensor:
        return (self.net(INPUTS[part])[:, 0].square() * LENGTHS[part]).sum() / count


def train(
    folder: Path, module: Weighted, *, devices: int = 1, strategy: str = "auto"
) -> tuple[dict[str, Tensor], dict[str, float]]:
    folder.mkdir(parents=True, exist_ok=True)
    result = fit(
        module,
        loader=ResumableLoader(num_items=16, batch_size=8, seed=0, collate=lambda indices, generator: indices),
        num_steps=5,
        settings=TrainerSettings(
            accelerator="cpu",
            devices=devices,
            strategy=strategy,
            precision="32-true",
            threads=1,
            checkpoint_every=5,
            keep_last=1,
        ),
        output=folder,
        context=StageContext(stage="toy", seed=0, checkpoints=folder / "checkpoints"),
    )
    return module.state_dict(), dict(result.final)


def test_eight_micro_batches_equal_one(tmp_path: Path) -> None:
    whole, metrics = train(tmp_path / "whole", Weighted(micro_size=8))
    split, split_metrics = train(tmp_path / "split", Weighted(micro_size=1))
    assert split_metrics == pytest.approx(metrics, abs=1e-6)
    for name, value in whole.items():
        torch.testing.assert_close(split[name], value, atol=1e-6, rtol=0)


def _train_as_rank(rank: int, port: int, folder: Path) -> None:
    """One of two processes that Lightning finds already started, as under torchrun."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "GLOO_SOCKET_IFNAME": "lo"}
    weights, metrics = train(folder, Weighted(micro_size=2), devices=2, strategy="ddp")
    torch.save((weights, metrics), folder / f"rank_{rank}.pt")


def test_two_ranks_equal_one_process(tmp_path: Path) -> None:
    whole, metrics = train(tmp_path / "whole", Weighted(micro_size=8))
    folder = tmp_path / "ranks"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=_train_as_rank, args=(rank, port, folder)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(timeout=60)
        process.kill()
    assert [process.exitcode for process in ranks] == [0, 0]
    for rank in range(2):
        weights, rank_metrics = torch.load(folder / f"rank_{rank}.pt", weights_only=True)
        assert rank_metrics == pytest.approx(metrics, abs=1e-6)
        for name, value in whole.items():
            torch.testing.assert_close(weights[name], value, atol=1e-6, rtol=0)
    rng = torch.load(folder / "checkpoints" / "step_00000005.ckpt", weights_only=True)["tagpr"]["rng"]
    assert not torch.equal(rng[0]["torch"], rng[1]["torch"])  # each rank keeps, and gets back, its own


def test_clipping_bounds_the_step_not_the_report(tmp_path: Path) -> None:
    _, free = train(tmp_path / "free", Weighted(micro_size=8, clip_norm=1e9))
    _, clipped = train(tmp_path / "clipped", Weighted(micro_size=8, clip_norm=1e-9))
    assert clipped["toy/grad_norm"] > 1e-3  # the norm before clipping
    assert free["toy/loss"] < clipped["toy/loss"]  # gradients of 1e-9 are below Adam's eps: nearly no movement
