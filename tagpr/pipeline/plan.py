"""What a run would do, before it does it: cached, resumable or to run, why, and for how long. Arithmetic only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagpr.pipeline.cache import ArtifactCache
from tagpr.pipeline.fingerprint import differences
from tagpr.pipeline.graph import Stage


@dataclass(frozen=True, kw_only=True)
class PlannedStage:
    """One line of a plan.

    Args:
        stage: the stage.
        state: `cached`, `resumable` or `to run`.
        changes: what differs from the nearest finished artifact of the same stage; empty where there is none or it is
        cached. seconds: expected wall time; None where nothing comparable has run here. 0 for cached stages.
        peak_bytes: expected peak memory, likewise.
    """

    stage: Stage
    state: str
    changes: tuple[str, ...]
    seconds: float | None
    peak_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a stage took once: `seconds` for `work` units."""

    work: float
    seconds: float
    peak_bytes: int


SHIPPED = "tagpr.lm.backbone.ShippedBackbone"
# experiment=demo with the shipped base on two cores: the first guess before anything has run here.
REFERENCES = {
    "records": Reference(work=1, seconds=5, peak_bytes=620 << 20),
    "chains": Reference(work=1, seconds=10, peak_bytes=780 << 20),
    "sft": Reference(work=4800, seconds=135, peak_bytes=1030 << 20),
    "pairs": Reference(work=1, seconds=16, peak_bytes=1030 << 20),
    "imported_pairs": Reference(work=1, seconds=5, peak_bytes=620 << 20),
    "prmu": Reference(work=480, seconds=36, peak_bytes=1000 << 20),
    "rl": Reference(work=1920, seconds=59, peak_bytes=1140 << 20),
    "evaluate": Reference(work=1, seconds=13, peak_bytes=1200 << 20),
    "swap": Reference(work=1, seconds=50, peak_bytes=1200 << 20),
    "attribution": Reference(work=1, seconds=60, peak_bytes=1200 << 20),
}


def plan(stages: Sequence[Stage], cache: ArtifactCache) -> list[PlannedStage]:
    """One line per stage, in the order in which they would run."""
    # Every evaluation is compared with every finished one: read those once.
    finished = {name: cache.manifests(name) for name in {stage.name for stage in stages}}
    return [_planned(stage, cache, finished[stage.name]) for stage in stages]


def _planned(stage: Stage, cache: ArtifactCache, finished: Sequence[Mapping[str, Any]]) -> PlannedStage:
    if cache.manifest(stage.name, stage.fingerprint) is not None:
        return PlannedStage(stage=stage, state="cached", changes=(), seconds=0.0, peak_bytes=0)
    state = "resumable" if cache.is_resumable(stage.name, stage.fingerprint) else "to run"
    identity = {k: v for k, v in stage.identity.items() if k != "stage"}
    candidates = [(differences(_identity(m), identity), m) for m in finished]
    if not candidates:
        return _by_reference(stage, state)
    changes, nearest = min(candidates, key=lambda pair: len(pair[0]))
    seconds, peak_bytes = None, None
    # Another model takes another time: what the nearest one took says nothing.
    if _models(nearest["config"]) == _models(stage.settings):
        scale = work(stage.kind, stage.settings) / max(work(stage.kind, nearest["config"]), 1e-9)
        seconds, peak_bytes = nearest["seconds"] * scale, nearest["peak_rss"]
    return PlannedStage(stage=stage, state=state, changes=tuple(changes), seconds=seconds, peak_bytes=peak_bytes)


def _models(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What decides how fast a stage's models are: the backbone, and the teacher's and the tagger's kind and model."""
    writers = [settings.get(group, {}) for group in ("teacher", "tagger")]
    named = [writer.get(name) for writer in writers for name in ("_target_", "path", "model")]
    return settings.get("backbone"), *named


def _by_reference(stage: Stage, state: str) -> PlannedStage:
    """What the demo's stages took on two cores, scaled by the work; unknown for models that do not ship."""
    backbone = stage.settings.get("backbone", {"_target_": SHIPPED})
    behind_endpoint = any("model" in stage.settings.get(group, {}) for group in ("teacher", "tagger"))
    if backbone["_target_"] != SHIPPED or stage.kind not in REFERENCES or behind_endpoint:
        return PlannedStage(stage=stage, state=state, changes=(), seconds=None, peak_bytes=None)
    reference = REFERENCES[stage.kind]
    scale = work(stage.kind, stage.settings) / reference.work
    return PlannedStage(
        stage=stage, state=state, changes=(), seconds=reference.seconds * scale, peak_bytes=reference.peak_bytes
    )


def _identity(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "config": manifest["config"], "inputs": manifest["inputs"], "code": manifest["code"],
        "files": manifest["source_files"], "versions": manifest["versions"], "seed": manifest["seed"],
    }  # fmt: skip


def work(kind: str, settings: Mapping[str, Any]) -> float:
    """How much a stage has to do, in units that are proportional to its time on one machine."""
    if kind == "sft":
        return settings["sft"]["steps"] * settings["sft"]["batch_size"]
    if kind == "prmu":
        return settings["prmu"]["steps"] * settings["prmu"]["blocks_per_step"]
    if kind == "rl":
        rl = settings["rl"]
        return settings["rl_stage"]["share"] * rl["steps"] * rl["prompts_per_window"] * rl["rollouts_per_prompt"]
    if kind == "evaluate":
        return settings["decoding"]["num_samples"]
    return 1.0
