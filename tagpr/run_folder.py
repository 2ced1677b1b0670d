"""A run's folder: what was asked, with which versions, and links to every artifact that answers it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tagpr.pipeline.cache import SCHEMA, ArtifactCache
from tagpr.pipeline.execute import Outcome
from tagpr.pipeline.fingerprint import PACKAGE, digest, library_versions
from tagpr.pipeline.graph import Graph, Stage, without_silent
from tagpr.storage import write_json

# What does not change a result does not change a run's key.
NOT_IN_RUN_KEY = ("paths", "logger", "plan", "until", "only", "force", "experiment_name", "run_name", "diagnostics")


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration as plain values."""
    value = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(value, dict)
    return {str(key): item for key, item in value.items()}


def run_key(cfg: DictConfig, files: Mapping[str, str]) -> str:
    """Hash of what a run computes: the data files and the config, without paths, logging and what to run of it."""
    settings = {key: value for key, value in plain(cfg).items() if key not in NOT_IN_RUN_KEY}
    return digest({"config": without_silent(settings), "files": dict(files)})


def write_run_folder(cfg: DictConfig, graph: Graph, cache: ArtifactCache, outcomes: Sequence[Outcome]) -> Path:
    """Write `runs/<experiment>/<run_name>/seed_<seed>-<key>/`: config, versions, git state, links to artifacts."""
    key = run_key(cfg, {k: v for stage in graph.stages if stage.kind == "records" for k, v in stage.files.items()})
    folder = Path(cfg.paths.runs) / cfg.experiment_name / cfg.run_name / f"seed_{cfg.seed}-{key[:8]}"
    artifacts = folder / "artifacts"
    shutil.rmtree(artifacts, ignore_errors=True)
    artifacts.mkdir(parents=True)
    places = {}
    for outcome in outcomes:
        target = os.path.relpath(outcome.folder, artifacts)
        (artifacts / outcome.stage.label.replace(" ", "_")).symlink_to(target, target_is_directory=True)
        places[outcome.stage.label] = os.path.relpath(outcome.folder, folder)
    OmegaConf.save(cfg, folder / "config.yaml")
    rows = {
        row.name: {
            "policy": row.policy.label if row.policy else "backbone",
            "policy_stages": _path_to(row.policy),
            "evaluations": {
                decoding: os.path.relpath(cache.folder(stage.name, stage.fingerprint), folder)
                for decoding, stage in row.stages.items()
            },
            "diagnostics": {
                kind: os.path.relpath(cache.folder(stage.name, stage.fingerprint), folder)
                for kind, stage in row.diagnostics.items()
            },
        }
        for row in graph.rows
    }
    write_json(
        folder / "run.json",
        {
            "schema": SCHEMA, "experiment": cfg.experiment_name, "run_name": cfg.run_name, "seed": cfg.seed, "key": key,
            "rows": rows, "artifacts": places, "computed": [o.stage.label for o in outcomes if o.computed],
            "versions": {**library_versions(), "tagpr": metadata.version("tagpr"), "python": platform.python_version()},
            "git": _git_state(),
        },
    )  # fmt: skip
    return folder


def _path_to(policy: Stage | None) -> list[list[str]]:
    """(name, fingerprint) of every stage that a policy was made by."""
    found: dict[str, str] = {}

    def visit(stage: Stage) -> None:
        for source in stage.inputs.values():
            visit(source)
        found[stage.name] = stage.fingerprint

    if policy is not None:
        visit(policy)
    return [[name, fingerprint] for name, fingerprint in found.items()]


def _git_state() -> dict[str, Any] | None:
    """Commit and whether the tree was changed; None outside a checkout."""
    if not (PACKAGE.parent / ".git").exists():
        return None
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=PACKAGE, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain"], cwd=PACKAGE, capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": bool(changed.strip())}
