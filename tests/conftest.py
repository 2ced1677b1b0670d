"""Settings that every test shares, and the command line as a function."""

import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

# Before torch is imported anywhere: small tensors on few cores run slower with more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")

import pytest
from hydra import compose as _compose
from hypothesis import settings

# A loaded machine is not a wrong answer: no deadlines. The same examples every time, so that a red run can be repeated.
settings.register_profile("tagpr", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("tagpr")


@dataclass(frozen=True)
class Answer:
    """What `tagpr` answered: its exit code and what it printed."""

    code: int
    out: str
    err: str


# Keys that choose nothing: what they are set to changes no other value.
SET_LATER = re.compile(r"(paths\.runs|data\.root|data\.path|until|only|force|plan)=")


@cache
def _composed(overrides: tuple[str, ...], options: tuple[tuple[str, Any], ...]) -> Any:
    return _compose("config", overrides=list(overrides), **dict(options))


def _has(cfg: Any, key: str) -> bool:
    from omegaconf import OmegaConf

    group, _, name = key.rpartition(".")
    return name in list(OmegaConf.select(cfg, group) if group else cfg)  # `in` the node itself asks for a value too


def remembered_compose(config_name: str, *, overrides: list[str], **options: Any) -> Any:
    """`hydra.compose`, once for what several commands have in common: composing takes most of what a command takes
    that runs no stage. What is set later is set as Hydra sets it; where it cannot be, Hydra says so."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf, open_dict

    assert config_name == "config"
    common = tuple(override for override in overrides if not SET_LATER.match(override))
    cfg = deepcopy(_composed(common, tuple(sorted(options.items()))))
    later = OverridesParser.create().parse_overrides([o for o in overrides if SET_LATER.match(o)])
    if not all(_has(cfg, override.key_or_group) for override in later):
        return _compose("config", overrides=overrides, **options)
    for override in later:
        OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
    if "hydra" in cfg:
        with open_dict(cfg.hydra):
            cfg.hydra.overrides.task = list(overrides)
    return cfg


def command_line(*arguments: str) -> Answer:
    """`tagpr` with these arguments, in this process; what it sets for a whole process is put back."""
    from tagpr.run import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    argv, environment = sys.argv, os.environ.copy()
    sys.argv = ["tagpr", *arguments]
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
            mock.patch("hydra.compose", remembered_compose),
        ):
            warnings.simplefilter("default")  # pytest makes our own warnings errors; a user reads them
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
    return Answer(code=code, out=out.getvalue(), err=err.getvalue())


@pytest.fixture(scope="session")
def tagpr() -> Callable[..., Answer]:
    """`tagpr("experiment=smoke", "plan=true")`: the command line without another process."""
    return command_line
