"""The weights with the best validation metric, kept beside the checkpoints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tagpr.training.checkpoints import write_atomically


@dataclass(frozen=True, kw_only=True)
class BestBy:
    metric: str  # a key of what `validate` returns
    higher_is_better: bool


class BestWeights:
    """Remembers the best step so far, and how many validations it has stood; weights lie in `folder/best_<step>.pt`.

    A file is named by its step and stays while a kept checkpoint knows it as its best, so that a run resumed from an
    earlier checkpoint finds the best of that time, not one from the steps that were lost.
    """

    def __init__(self, *, folder: Path, best: BestBy) -> None:
        self.folder = folder
        self.best = best
        self.step: int | None = None
        self.value = float("nan")
        self.stood = 0  # validations since the best one

    def consider(self, module: nn.Module, *, step: int, metrics: dict[str, float]) -> None:
        if self.best.metric not in metrics:
            raise ValueError(
                f"The best weights are chosen by {self.best.metric!r}, but validation gave {sorted(metrics)}."
            )
        value = metrics[self.best.metric]
        if self.step is not None and not (value > self.value if self.best.higher_is_better else value < self.value):
            self.stood += 1
            return
        self.step, self.value, self.stood = step, value, 0
        write_atomically(self._path(step), lambda path: torch.save(module.state_dict(), path))

    def prune(self, needed: list[int]) -> None:
        """Remove the files of steps before all of `needed`."""
        for path in self.folder.glob("best_*.pt"):
            match = re.fullmatch(r"best_(\d{8})\.pt", path.name)
            if match and needed and int(match[1]) < min(needed):
                path.unlink()

    def load_into(self, module: nn.Module) -> None:
        assert self.step is not None
        module.load_state_dict(torch.load(self._path(self.step), map_location="cpu", weights_only=True))

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "value": self.value, "stood": self.stood}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.value, self.stood = state["step"], state["value"], state["stood"]

    def _path(self, step: int) -> Path:
        return self.folder / f"best_{step:08d}.pt"
