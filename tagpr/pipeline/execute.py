"""Run what is missing of a graph, stage by stage, and hand every finished folder on."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from tagpr.context import ProgressView, StageContext, StopRequested
from tagpr.errors import UserError
from tagpr.pipeline.cache import ArtifactCache
from tagpr.pipeline.device_check import check_devices
from tagpr.pipeline.graph import ENTRIES, Stage
from tagpr.pipeline.ledger import Ledger
from tagpr.pipeline.meter import Meter
from tagpr.pipeline.ranks import HelperTask, helpers

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one stage.

    Args:
        stage: the stage.
        folder: its finished artifact.
        computed: False where it was found in the cache.
        resumed: it went on from a checkpoint of an earlier, interrupted run.
        manifest: as on disk.
    """

    stage: Stage
    folder: Path
    computed: bool
    resumed: bool
    manifest: Mapping[str, Any]


class Executor:
    """Computes stages into a cache.

    Args:
        cache: finished and unfinished artifacts.
        ledger: where looks at test people are entered.
        view: where progress is shown.
        stop: set on SIGINT and SIGTERM.
        loggers: (stage, output folder) -> Lightning loggers of a computed stage.
        announce: called with the stage and a state (`cached`, `waiting`, `running`, `resuming`) before it is handled.
    """

    def __init__(
        self,
        *,
        cache: ArtifactCache,
        ledger: Ledger,
        view: ProgressView,
        stop: threading.Event,
        loggers: Callable[[Stage, Path], list[Logger]],
        announce: Callable[[Stage, str], None],
    ) -> None:
        self.cache = cache
        self.ledger = ledger
        self.view = view
        self.stop = stop
        self.loggers = loggers
        self.announce = announce
        self._folders: dict[tuple[str, str], Path] = {}

    def check(self, stages: Sequence[Stage]) -> None:
        """Build what the missing stages are made of, so that a bad value shows now and not after hours of training.

        Raises:
            UserError: a constructor's complaint about a value, or a device that is not there.
        """
        for stage in stages:
            if self._finished(stage) is None:
                check_devices(stage)
                for node in stage.groups.values():
                    _build(node)

    def run(self, stage: Stage, *, force: bool) -> Outcome:
        """Make sure that a stage is finished; its inputs must be.

        Raises:
            UserError: the stage's own complaint about its input.
            StopRequested: the user asked to stop; a checkpoint was saved.
        """
        if not force and (outcome := self._finished(stage)) is not None:
            self.announce(stage, "cached")
            return outcome
        waiting = partial(self.announce, stage, "waiting")
        with self.cache.lock(stage.name, stage.fingerprint, on_wait=waiting, stop=self.stop):
            # Another process may have finished it while this one waited.
            if not force and (outcome := self._finished(stage)) is not None:
                self.announce(stage, "cached")
                return outcome
            return self._compute(stage)

    def _blame_damaged_inputs(self, stage: Stage, error: Exception) -> None:
        """A stage that failed on an input whose files have changed since they were written has no fault of its own."""
        for source in stage.inputs.values():
            if damaged := self.cache.damaged_files(source.name, source.fingerprint):
                raise UserError(
                    f"{stage.label} failed because {self.cache.folder(source.name, source.fingerprint)} is damaged: "
                    f"{', '.join(damaged)} changed or went missing since it was written. Run the same command with "
                    f"force={source.name} once, or remove that folder; it will be computed again."
                ) from error

    def _what_is_left(self, stage: Stage, stopped: StopRequested) -> str:
        if self.cache.is_resumable(stage.name, stage.fingerprint):
            return f"{stage.label}: {str(stopped) or 'what is done so far'} is saved"
        return f"{stage.label} has no checkpoint yet and begins anew; stages finished before it are kept"

    def _finished(self, stage: Stage) -> Outcome | None:
        manifest = self.cache.manifest(stage.name, stage.fingerprint)
        if manifest is None:
            return None
        folder = self.cache.folder(stage.name, stage.fingerprint)
        return Outcome(stage=stage, folder=folder, computed=False, resumed=False, manifest=manifest)

    def _compute(self, stage: Stage) -> Outcome:
        resumed = self.cache.is_resumable(stage.name, stage.fingerprint)
        self.announce(stage, "resuming" if resumed else "running")
        output, checkpoints = self.cache.open_work(stage.name, stage.fingerprint)
        context = StageContext(
            stage=stage.label, seed=stage.seed, checkpoints=checkpoints, view=self.view, stop=self.stop,
            rankings=self.cache.root / "rankings", replies=self.cache.root / "replies",
            make_loggers=lambda folder: self.loggers(stage, folder),
        )  # fmt: skip
        inputs = {name: self.cache.folder(source.name, source.fingerprint) for name, source in stage.inputs.items()}
        task = HelperTask(
            entry=ENTRIES[stage.kind], groups=dict(stage.groups), inputs=inputs, checkpoints=checkpoints,
            stage=stage.label, seed=stage.seed,
        )  # fmt: skip
        number = stage.groups["trainer"].devices if "trainer" in stage.groups else 1
        try:
            with Meter(self.cache.work_folder(stage.name, stage.fingerprint)) as meter:
                parts = {name: _build(node) for name, node in stage.groups.items()}
                with helpers(task, number=number, build=_build):
                    room = importlib.import_module(task.entry)
                    counts = room.run(**parts, inputs=inputs, output=output, context=context)
                spent = meter.read()
        except Exception as error:
            self.cache.drop_unresumable(stage.name, stage.fingerprint)
            if isinstance(error, StopRequested):
                raise StopRequested(self._what_is_left(stage, error)) from None
            if not isinstance(error, UserError):
                self._blame_damaged_inputs(stage, error)
            raise
        identity = stage.identity
        manifest = {
            "label": stage.label, "inputs": identity["inputs"], "config": identity["config"], "code": identity["code"],
            "source_files": identity["files"], "versions": identity["versions"], "seed": stage.seed, "counts": counts,
            "resumed": resumed, **spent,
        }  # fmt: skip
        self.ledger.enter(stage, counts)
        folder = self.cache.finish(stage.name, stage.fingerprint, manifest)
        done = self.cache.manifest(stage.name, stage.fingerprint)
        assert done is not None
        return Outcome(stage=stage, folder=folder, computed=True, resumed=resumed, manifest=done)


def _build(node: DictConfig) -> Any:
    """The object that a config node describes; a constructor's complaint about a value is the user's to read.

    Constructors get plain values and built objects; a node without `_target_` arrives as its schema's dataclass.
    """
    try:
        return instantiate(node, _convert_="all" if "_target_" in node else "object")
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise
