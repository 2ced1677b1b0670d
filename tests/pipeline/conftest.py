"""A graph of made-up stages that count how often they run: the pipeline without its rooms."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from omegaconf import OmegaConf

from tagpr.context import SilentProgress
from tagpr.pipeline import graph as graph_module
from tagpr.pipeline.cache import ArtifactCache
from tagpr.pipeline.execute import Executor
from tagpr.pipeline.graph import Stage
from tagpr.pipeline.ledger import NAME, Ledger


@dataclass
class FakeRoom:
    """Stands in for a room's stage module; `act` is what its `run` does."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    act: Callable[[dict[str, Any]], dict[str, int | float]] = lambda call: {"steps": 3}

    def run(self, **parts: Any) -> dict[str, int | float]:
        self.calls.append(parts)
        (parts["output"] / "result.txt").write_text(f"{parts['context'].seed}")
        return self.act(parts)


@pytest.fixture
def room(monkeypatch) -> FakeRoom:
    """The room that every kind of stage runs in."""
    fake = FakeRoom()
    module = ModuleType("made_up_room")
    module.run = fake.run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_room", module)
    for kind in graph_module.ENTRIES:
        monkeypatch.setitem(graph_module.ENTRIES, kind, "made_up_room")
    return fake


def stage(name: str, inputs: Mapping[str, Stage] | None = None, *, seed: int = 7, **settings: dict[str, Any]) -> Stage:
    groups = {group: OmegaConf.create(values) for group, values in settings.items()}
    kind = "rl" if name.startswith("rl_") else name
    return Stage(kind=kind, name=name, label=name, groups=groups, inputs=inputs or {}, seed=seed)


@pytest.fixture
def make_stage():
    return stage


@dataclass
class Watched:
    """An executor, its cache, and what it announced."""

    executor: Executor
    cache: ArtifactCache
    stop: threading.Event
    said: list[tuple[str, str]]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    said: list[tuple[str, str]] = []
    stop = threading.Event()
    cache = ArtifactCache(tmp_path / "cache")
    executor = Executor(
        cache=cache, ledger=Ledger(place=tmp_path / NAME, experiment="demo", run_name="full", seed=3),
        view=SilentProgress(), stop=stop, loggers=lambda stage, output: [],
        announce=lambda stage, state: said.append((stage.label, state)),
    )  # fmt: skip
    return Watched(executor=executor, cache=cache, stop=stop, said=said)
