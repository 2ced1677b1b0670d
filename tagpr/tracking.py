"""Weights & Biases: one run per computed stage, and one per `tagpr` run with its final metrics, also when all was
cached.

Offline by default: no account, no prompt, no network; `wandb sync` uploads later. CSV files beside every artifact
hold the same numbers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagpr.pipeline.execute import Outcome
from tagpr.pipeline.graph import Stage

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


class Tracker:
    """Opens and closes W&B runs; does nothing with `mode="disabled"`, and then does not import wandb.

    Args:
        mode: offline, online or disabled.
        project: W&B project.
        group: runs of one sweep share it.
        folder: where offline runs are kept.
    """

    def __init__(self, *, mode: str, project: str, group: str, folder: Path) -> None:
        self.mode = mode
        self.project = project
        self.group = group
        self.folder = folder
        self._open: Any = None

    def stage_loggers(self, stage: Stage, output: Path) -> list[Logger]:
        """The Lightning logger of a stage that trains."""
        if self.mode == "disabled":
            return []
        from pytorch_lightning.loggers import WandbLogger

        self._open = self._start(
            name=f"{stage.label} {stage.fingerprint[:8]}", job_type=stage.name, config=stage.settings
        )
        return [WandbLogger(experiment=self._open)]

    def stage_done(self, outcome: Outcome) -> None:
        """Close a computed stage's run with its counts; a stage without a trainer gets its run here."""
        if self.mode == "disabled":
            return
        stage, manifest = outcome.stage, outcome.manifest
        run = self._open or self._start(
            name=f"{stage.label} {stage.fingerprint[:8]}", job_type=stage.name, config=stage.settings
        )
        run.summary.update({f"{stage.name}/{k}": v for k, v in manifest["counts"].items()})
        run.summary.update({k: manifest[k] for k in ("seconds", "cpu_seconds", "peak_rss", "fingerprint")})
        run.finish()
        self._open = None

    def run_done(
        self, *, name: str, config: Mapping[str, Any], metrics: Mapping[str, float], artifacts: Mapping[str, str]
    ) -> None:
        """One run for the whole: the resolved config, which artifacts it used, its final metrics."""
        if self.mode == "disabled":
            return
        run = self._start(name=name, job_type="run", config={**config, "artifacts": dict(artifacts)})
        run.log(dict(metrics))
        run.summary.update(metrics)
        run.finish()

    def abandon(self) -> None:
        """Close what an interrupted stage left open, marked as failed."""
        if self._open is not None:
            self._open.finish(exit_code=1)
            self._open = None

    def _start(self, *, name: str, job_type: str, config: Mapping[str, Any]) -> Any:
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        return wandb.init(
            mode=self.mode,  # type: ignore[arg-type]
            project=self.project, group=self.group, job_type=job_type, name=name, config=dict(config), dir=self.folder,
            # A stage is its own run: never reuse or patch what another part of the process started.
            reinit="create_new",
            # No git state, host name or requirements of the machine leave with the run.
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, disable_code=True, x_disable_machine_info=True,
                x_disable_meta=True, x_disable_stats=True, x_save_requirements=False, show_errors=False,
            ),
        )  # fmt: skip
