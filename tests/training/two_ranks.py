"""Two processes that Lightning finds already started, as the pipeline starts them."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import SGD

from tagpr.context import RankDone
from tagpr.schema import TrainerSettings
from tagpr.training.optimizer import OptimizerSettings, constant


def on_two_ranks(work: Callable[[int], object], *, timeout: float = 90.0) -> None:
    """Call `work(rank)` in two forks of this process; rank 1 must leave by RankDone, rank 0 return."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=_as_rank, args=(rank, port, work)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(timeout=timeout)
        process.kill()
    assert [process.exitcode for process in ranks] == [0, 0]


def _as_rank(rank: int, port: int, work: Callable[[int], object]) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "LOCAL_RANK": str(rank)}
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    code = 0
    try:
        work(rank)
        code = 0 if rank == 0 else 3
    except RankDone:
        code = 0 if rank == 1 else 4
    except BaseException:
        traceback.print_exc()
        code = 5
    os._exit(code)  # nothing of pytest's own end in a fork


def two_devices(trainer: TrainerSettings) -> TrainerSettings:
    return TrainerSettings(**(vars(trainer) | {"devices": 2, "strategy": "ddp"}))


def sgd(learning_rate: float) -> OptimizerSettings:
    """Adam would turn rounding noise of gradients near zero into whole steps; here a step is the gradient."""

    def create(module: nn.Module) -> SGD:
        return SGD([parameter for parameter in module.parameters() if parameter.requires_grad], lr=learning_rate)

    def schedule(step: int, num_steps: int) -> float:
        return constant(step, num_steps, warmup_steps=0)

    return OptimizerSettings(create=create, schedule=schedule, clip_norm=1e9)
