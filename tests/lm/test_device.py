from __future__ import annotations

import pytest
import torch

from tagpr.errors import UserError
from tagpr.lm.device import KINDS, check_device, take_own_device
from tagpr.run import ACCELERATORS


def has(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


def check(name: str, number: int = 1) -> None:
    check_device(name, setting=f"engine.device={name}", instead="engine.device=cpu", number=number)


@pytest.mark.parametrize(
    "name, number, cuda",
    [("cpu", 1, 0), ("cpu", 8, 0), ("cuda", 1, 1), ("cuda:1", 1, 2), ("cuda", 4, 4), ("mps", 1, 0)],
)
def test_what_is_there_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, number: int, cuda: int) -> None:
    has(monkeypatch, cuda=cuda, mps=True)
    check(name, number)


@pytest.mark.parametrize(
    "name, number, cuda, message",
    [
        ("cuda", 1, 0, r"^engine\.device=cuda, but torch \S+ sees no cuda device here\. Run it where there is one "),
        ("cuda:1", 1, 1, r"^engine\.device=cuda:1, but torch \S+ sees 1 cuda device here\. Run it where there are 2 "),
        ("cuda", 4, 2, r"^engine\.device=cuda with 4 processes, but torch \S+ sees 2 cuda devices here.* are 4 "),
        ("mps", 1, 1, r"sees no mps device here.*, or set engine\.device=cpu\.$"),
        ("gpu", 1, 1, r"^engine\.device=gpu: expected cpu, cuda, mps, or one of several such as cuda:1\.$"),
        ("meta", 1, 1, r"^engine\.device=meta: expected cpu"),
        ("", 1, 1, r"^engine\.device=: expected cpu"),
    ],
)
def test_what_is_not_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, number: int, cuda: int, message: str
) -> None:
    has(monkeypatch, cuda=cuda)
    with pytest.raises(UserError, match=message):
        check(name, number)


def test_what_a_trainer_can_be_given_is_what_torch_knows():
    assert ACCELERATORS == KINDS


def test_each_rank_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    take_own_device("cpu", rank=1)
    take_own_device("cuda", rank=2)
    assert taken == [2]
