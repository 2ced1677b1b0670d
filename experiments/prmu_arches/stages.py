"""Finished prmu stages as arms, each with the world that it is judged in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tagpr.errors import UserError
from tagpr.prmu.datamodule import histories_of, make_blocks
from tagpr.prmu.pairs import PolicySample
from tagpr.prmu.stage_folder import PrmuFolder
from tagpr.prmu.texts import History
from tagpr.storage import read_json, read_pairs, read_parquet, read_records
from tagpr.types import PreferencePair, Record

FULL = "full"  # the part that is missing from no arm of prmu_arches


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One trained PRMU."""

    arch: str
    part: str  # what it was trained without; FULL: nothing
    seed: str  # its world: the fingerprint of the records that a run's seed drew
    found: PrmuFolder

    @property
    def records(self) -> Path:
        return self.found.input("records")

    @property
    def pairs(self) -> Path:
        return self.found.input("pairs")


@dataclass(frozen=True, kw_only=True)
class World:
    """What everybody of one seed is judged on: pairs of dev people, and the policy's answers to their questions."""

    seed: str
    records: Sequence[Record]
    pairs: Sequence[PreferencePair]
    samples: Sequence[PolicySample]
    num_bins: int  # of the calibration error

    @cached_property
    def texts(self) -> tuple[dict[str, History], dict[str, str]]:
        """Histories and contexts of the pairs' records, whole."""
        return histories_of(self.pairs, self.records)

    @cached_property
    def by_id(self) -> Mapping[str, Record]:
        return {record.record_id: record for record in self.records}

    @property
    def longest(self) -> int:
        """Entries that every judged person has at least."""
        return min((len(history) for history in self.texts[0].values()), default=0)

    @property
    def answers(self) -> int:
        """Sampled answers per question."""
        counts: dict[str, int] = {}
        for sample in self.samples:
            counts[sample.record_id] = counts.get(sample.record_id, 0) + 1
        return min(counts.values(), default=0)


def trained_in(folder: Path) -> list[Trained]:
    """Every finished prmu stage of the runs in a folder, or the one stage that the folder is.

    Raises:
        UserError: there is none, or two that differ in nothing that an arm is told by.
    """
    stages = [folder] if (folder / "model" / "prmu.json").is_file() else sorted((folder / "cache" / "prmu").glob("*"))
    found: dict[tuple[str, str, str], Trained] = {}
    for stage in stages:
        if not (stage / "manifest.json").is_file():
            continue  # still running
        one = _trained(PrmuFolder(folder=stage, model=stage / "model"))
        other = found.setdefault((one.arch, one.part, one.seed), one)
        if other is not one:
            raise UserError(
                f"{other.found.folder} and {stage} are both {one.arch} ({one.part}) of world {one.seed}, with other "
                "settings: a replicate must count once. Give every setting a FOLDER of its own."
            )
    if not found:
        raise UserError(
            f"{folder} holds no finished PRMU: expected cache/prmu/*/manifest.json in it. Run "
            "experiments/prmu_arches/run.sh first, with this FOLDER."
        )
    return list(found.values())


def _trained(found: PrmuFolder) -> Trained:
    objective = found.manifest()["config"]["prmu"]["objective"]
    mix = _config(found.input("pairs"))["pairs"]["mix"]
    without = [kind for kind, share in mix.items() if not share]
    if not objective["contrast_weight"]:
        without.append("contrast")
    return Trained(
        arch=read_json(found.model / "prmu.json")["arch"],
        part=f"no {' '.join(without)}" if without else FULL,
        seed=found.manifest()["inputs"]["records"],
        found=found,
    )


def _config(folder: Path) -> dict[str, Any]:
    return read_json(folder / "manifest.json")["config"]


def world_of(trained: Sequence[Trained], *, max_pairs: int) -> World:
    """What the arms of one world are judged on: the dev pairs of the full mix, whatever they were trained on.

    Args:
        max_pairs: drawn; linked pairs stay together.
    Raises:
        UserError: the arms come from two policies or pair settings, or all of them lack a type of pairs.
    """
    full = {one.pairs for one in trained if one.part in (FULL, "no contrast")}
    if len(full) != 1:
        raise UserError(
            f"the arms of world {trained[0].seed} come from {len(full)} pair stages that have all types of pairs, "
            "expected one: they would be judged on other answers. Run them with the same SFT and pair settings, and "
            "with one arm that lacks nothing."
        )
    pairs_folder, settings = full.pop(), trained[0].found.manifest()["config"]["prmu"]
    kept: list[PreferencePair] = []
    blocks = make_blocks(read_pairs(pairs_folder, ["dev"]))
    # Drawn, not the first ones: pairs stand in order of their types.
    for place in np.random.default_rng(0).permutation(len(blocks)):
        if len(kept) >= max_pairs:
            break
        kept += blocks[place].pairs
    samples = (PolicySample(**row) for row in read_parquet(pairs_folder / "samples.parquet"))
    return World(
        seed=trained[0].seed,
        records=read_records(trained[0].records),
        pairs=kept,
        samples=[sample for sample in samples if sample.split == "dev" and sample.with_history],
        num_bins=settings["calibration_bins"],
    )
