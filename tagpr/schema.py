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


# --- sft/ --------------------------------------------------------------------------------------------------------------


@dataclass
class Sft(Choice):
    steps: int = MISSING
    batch_size: int = MISSING  # chains per optimizer step
    micro_batch_tokens: int = MISSING  # tokens that go through the model at a time
    chunk_size: int = MISSING  # completion tokens whose logits exist at a time
    validate_every: int = MISSING  # steps; 0: never
    dev_records: int = MISSING  # most records to validate on
    optimizer: OptimizerSettings = MISSING


# --- backbone/, engine/ ----------------------------------------------------------------------------------------------


@dataclass
class Backbone(Choice):
    """Base of the group, and all that the shipped base takes."""

    dtype: str = MISSING  # of the weights: float32, bfloat16, auto
    attention: str = MISSING  # two_part, or an implementation of transformers


@dataclass
class PretrainedBackbone(Backbone):
    path: str = MISSING  # a local folder or a hub id


@dataclass
class FreshBackbone(Backbone):
    hidden_size: int = MISSING
    intermediate_size: int = MISSING
    num_layers: int = MISSING
    num_heads: int = MISSING
    num_kv_heads: int = MISSING
    head_dim: int = MISSING
    max_positions: int = MISSING
    init_std: float = MISSING
    seed: int = MISSING  # of the initial weights


@dataclass
class Engine(Choice):
    """Base of the group, and all that the reference engine takes. Built partially: a stage adds the tokenizer."""

    _partial_: bool = MISSING


@dataclass
class TorchEngine(Engine):
    max_tokens: int = MISSING  # key-value slots of a batch: prompts * (longest prompt + samples * max_new_tokens)


# --- registration: (group, name of the schema, dataclass); keep the order of the path ----------------------------------

SCHEMAS: tuple[tuple[str, str, Any], ...] = (
    ("retrieval", "schema_retrieval", Retrieval),
    ("retrieval", "schema_top_k", TopK),
    ("backbone", "schema_backbone", Backbone),
    ("backbone", "schema_pretrained", PretrainedBackbone),
    ("backbone", "schema_fresh", FreshBackbone),
    ("engine", "schema_engine", Engine),
    ("engine", "schema_torch_engine", TorchEngine),
    ("trainer", "schema_trainer", TrainerSettings),
    ("schedule", "schema_schedule", Schedule),
    ("schedule", "schema_decay", Decay),
    ("optimizer", "schema_adamw", AdamWSettings),
    ("sft", "schema_sft", Sft),
    ("tags", "schema_tag_vocabulary", TagVocabulary),
)


def register() -> None:
    """Put every schema into Hydra's config store. Safe to call twice."""
    store = ConfigStore.instance()
    for group, name, node in SCHEMAS:
        store.store(group=group or None, name=name, node=node)
