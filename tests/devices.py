"""Devices in tests: one that each machine has, one that needs a GPU, and moves that are watched instead of made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from tagpr.lm.generation.base import RolloutEngine

ON_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=ON_GPU)]


def on_gpu(test: Callable[..., None]) -> Callable[..., None]:
    """The marks of ON_GPU for a whole test."""
    for mark in ON_GPU:
        test = mark(test)
    return test


def watch_places(monkeypatch: pytest.MonkeyPatch, engine: type[RolloutEngine]) -> list[str]:
    """Where each policy that `engine` is asked with was put last; none is really moved."""
    found: list[str] = []
    generate = engine.generate

    def to(model: Any, device: str) -> PreTrainedModel:
        model.put_on = device
        return model

    def watched(self: Any, model: Any, *arguments: Any, **keywords: Any) -> Any:
        found.append(model.put_on)
        return generate(self, model, *arguments, **keywords)

    monkeypatch.setattr(PreTrainedModel, "to", to)
    monkeypatch.setattr(engine, "generate", watched)
    return found
