"""What every config group may hold: one dataclass per kind of option, every field MISSING, because values live in conf/ alone.

A group option names its dataclass as the first entry of its defaults (`defaults: [schema_bm25, _self_]`), so a misspelt key is an
error wherever it stands. Nodes with a `_target_` are built by `run.py`; the others reach a stage as instances of their dataclass.
Imports nothing heavy: `tagpr --help`, `plan=true` and a config error must answer at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class Choice:
    """A node that is built: `_target_` is a class or function of this package that takes the other fields by keyword."""

    _target_: str = MISSING


# --- retrieval/ ----------------------------------------------------------------------------------------------------


@dataclass
class Retrieval(Choice):
    """Base of the group: the root schema types the node with it, the options extend it."""


@dataclass
class TopK(Retrieval):
    k: int = MISSING  # entries kept, best first


# --- tags/ ---------------------------------------------------------------------------------------------------------


@dataclass
class TagVocabulary(Choice):
    names: list[str] = MISSING  # out of tagpr.chains.tags.TAGS; empty: chains without tags


# --- trainer/, optimizer/, schedule/: every stage that trains has them -----------------------------------------------------


@dataclass
class TrainerSettings:
    accelerator: str = MISSING  # cpu or gpu
    devices: int = MISSING
    strategy: str = MISSING  # a Lightning strategy: auto, ddp, ...
    precision: str = MISSING  # 32-true, bf16-mixed or bf16-true
    threads: int = MISSING  # of torch, within one process
    checkpoint_every: int = MISSING  # optimizer steps
    keep_last: int = MISSING  # checkpoints kept per stage


@dataclass
class Schedule(Choice):
    _partial_: bool = True
    warmup_steps: int = MISSING


@dataclass
class Decay(Schedule):
    final_factor: float = MISSING  # share of the learning rate left at the last step


@dataclass
class Optimizer(Choice):
    _partial_: bool = True
    learning_rate: float = MISSING


@dataclass
class AdamW(Optimizer):
    betas: tuple[float, float] = MISSING
    eps: float = MISSING
    weight_decay: float = MISSING  # on matrices


@dataclass
class OptimizerSettings(Choice):
    """Base of the group `optimizer`; an option says what `create` takes."""

    create: Optimizer = MISSING
    schedule: Schedule = MISSING
    clip_norm: float = MISSING  # largest global gradient norm


@dataclass
class AdamWSettings(OptimizerSettings):
    create: AdamW = field(default_factory=AdamW)


# --- registration: (group, name of the schema, dataclass); keep the order of the path ----------------------------------

SCHEMAS: tuple[tuple[str, str, Any], ...] = (
    ("retrieval", "schema_retrieval", Retrieval),
    ("retrieval", "schema_top_k", TopK),
    ("trainer", "schema_trainer", TrainerSettings),
    ("schedule", "schema_schedule", Schedule),
    ("schedule", "schema_decay", Decay),
    ("optimizer", "schema_adamw", AdamWSettings),
    ("tags", "schema_tag_vocabulary", TagVocabulary),
)


def register() -> None:
    """Put every schema into Hydra's config store. Safe to call twice."""
    store = ConfigStore.instance()
    for group, name, node in SCHEMAS:
        store.store(group=group or None, name=name, node=node)
