"""Numbers and names that no stage can work with, found when the configuration is composed: a stage would come upon
them hours later, and some of them as a division by zero."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tagpr.errors import UserError

LEAST: Mapping[str, Mapping[str, int]] = {
    "sft": {"steps": 1, "batch_size": 1, "micro_batch_tokens": 1, "chunk_size": 1, "validate_every": 0},
    "pairs": {"samples": 1, "dev_samples": 1, "max_new_tokens": 1},
    "prmu": {
        "steps": 1, "block_pairs": 1, "blocks_per_step": 1, "blocks_per_micro_batch": 1, "max_tokens": 1,
        "batch_tokens": 1, "validate_every": 0,
    },
    "rl": {
        "steps": 1, "prompts_per_window": 1, "rollouts_per_prompt": 2, "updates_per_window": 1, "max_new_tokens": 1,
        "micro_batch_tokens": 1, "chunk_size": 1, "dev_records": 0, "dev_every": 1,
    },
    "trainer": {"threads": 1, "checkpoint_every": 1, "keep_last": 1},
    "engine": {"max_tokens": 1},
}  # fmt: skip
DECODING_LEAST = {"temperature": 0, "top_k": 0, "max_new_tokens": 1, "num_samples": 1}
POSITIVE = (
    "pairs.temperature", "rl.temperature", "sft.optimizer.clip_norm", "prmu.optimizer.clip_norm",
    "rl.optimizer.clip_norm",
)  # fmt: skip
# Of schema.TrainerSettings, LoggerSettings and prmu.pooling, which imports torch.
CHOICES: Mapping[str, Sequence[str]] = {
    "trainer.precision": ("32-true", "bf16-mixed", "bf16-true"),
    "logger.mode": ("offline", "online", "disabled"),
    "prmu.arch.pooling": ("mean_attention", "query_aware"),
}


def check_bounds(cfg: DictConfig) -> None:
    """Refuse what no stage can work with.

    Raises:
        UserError: the key, its value, and what was expected.
    """
    for key, number in _numbers(cfg):
        if not math.isfinite(number):
            raise UserError(f"{key}={number}, expected a finite number.")
    for key, least in _least(cfg):
        value = _value(cfg, key)
        if value is not None and value < least:
            raise UserError(f"{key}={value}, expected {least} or more.")
    for key in POSITIVE:
        value = _value(cfg, key)
        if value is not None and value <= 0:
            raise UserError(f"{key}={value}, expected a number above 0.")
    for key, options in CHOICES.items():
        value = _value(cfg, key)
        if value is not None and value not in options:
            raise UserError(f"{key}={value}, expected one of {', '.join(options)}.")
    _check_decodings(cfg)
    _check_stages(cfg)
    mix = _value(cfg, "pairs.mix")
    if mix is not None and (min(mix.values()) < 0 or not any(mix.values())):
        raise UserError(f"pairs.mix={dict(mix)}, expected shares of 0 or more, one of them above 0.")


def _least(cfg: DictConfig) -> Iterator[tuple[str, int]]:
    for group, fields in LEAST.items():
        yield from ((f"{group}.{name}", least) for name, least in fields.items())
    for decoding in cfg.evaluation.decodings:
        yield from ((f"evaluation.decodings.{decoding}.{name}", least) for name, least in DECODING_LEAST.items())


def _numbers(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, float]]:
    for name in node:
        value = None if OmegaConf.is_missing(node, name) else node[name]
        if isinstance(value, float):
            yield f"{prefix}{name}", value
        elif isinstance(value, DictConfig):
            yield from _numbers(value, f"{prefix}{name}.")


def _value(cfg: DictConfig, key: str) -> Any:
    """None where the chosen option has no such key."""
    return OmegaConf.select(cfg, key)


def _check_decodings(cfg: DictConfig) -> None:
    for name, decoding in cfg.evaluation.decodings.items():
        if not 0 < decoding.top_p <= 1:
            raise UserError(f"evaluation.decodings.{name}.top_p={decoding.top_p}, expected 0 < top_p <= 1 (1: off).")
    greedy = cfg.evaluation.decodings.get("greedy")
    if greedy is not None and greedy.temperature > 0:
        raise UserError(
            f"evaluation.decodings.greedy.temperature={greedy.temperature}, but tables call its answers greedy: leave "
            "it 0, and change evaluation.decodings.sample or add a decoding of another name."
        )


def _check_stages(cfg: DictConfig) -> None:
    """Every RL stage makes at least one step."""
    for name in cfg.rl.order:
        share = cfg.rl.stages[name].share
        if round(cfg.rl.steps * share) < 1:
            raise UserError(
                f"rl.steps={cfg.rl.steps} with rl.stages.{name}.share={share} leaves stage {name!r} without a step: "
                f"set more steps, or leave the stage out of rl.order."
            )
