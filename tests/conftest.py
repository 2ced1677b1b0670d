"""Settings that every test shares, and the command line as a function."""

import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Before torch is imported anywhere: small tensors on few cores run slower with more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")

import hydra
import pytest
from hydra import compose as _compose
from hydra._internal import defaults_list
from hydra.core.default_element import InputDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import settings
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

# A loaded machine is not a wrong answer: no deadlines. The same examples every time, so that a red run can be repeated.
settings.register_profile("tagpr", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("tagpr")


# Files that take longest, in that order: one that started last would leave the other process without work.
FIRST = (
    "test_pipeline.py", "conf/test_presets.py", "experiments/test_prmu_arches.py", "rl/test_stage_objective.py",
    "experiments/test_world_learning.py", "test_messages.py", "test_run.py", "rl/test_conf.py", "prmu/test_stage.py",
    "data/simulated/test_gates.py", "rl/test_stage.py", "test_damaged_inputs.py",
)  # fmt: skip
_RANKS = {Path(__file__).parent / name: rank for rank, name in enumerate(FIRST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _RANKS.get(item.path, len(FIRST)))


@dataclass(frozen=True)
class Answer:
    """What `tagpr` answered: its exit code and what it printed."""

    code: int
    out: str
    err: str


# Keys that choose nothing: what they are set to changes no other value.
SET_LATER = re.compile(r"(paths\.runs|data\.root|data\.path|until|only|force|plan)=")


@cache
def _composed(folders: str, overrides: tuple[str, ...]) -> DictConfig:
    return _compose("config", overrides=list(overrides), return_hydra_config=True)


def _compose_once(
    config_name: str | None = None, overrides: Sequence[str] = (), return_hydra_config: bool = False
) -> DictConfig:
    """`hydra.compose`, once for what several tests have in common: composing takes most of what a command takes that
    runs no stage. What is set later is set as Hydra sets it; where it cannot be, Hydra says so."""
    later = [override for override in overrides if SET_LATER.match(override)]
    if config_name == "config" and GlobalHydra.instance().is_initialized():
        common = tuple(override for override in overrides if override not in later)
        folders = str(GlobalHydra.instance().config_loader().get_search_path())
        cfg = deepcopy(_composed(folders, common))
        try:
            for override in OverridesParser.create().parse_overrides(later):
                OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
        except (HydraException, OmegaConfBaseException):
            pass
        else:
            cfg.hydra.overrides.task = list(overrides)
            if not return_hydra_config:
                with open_dict(cfg):
                    del cfg["hydra"]
            return cfg
    return _compose(config_name, overrides=list(overrides), return_hydra_config=return_hydra_config)


hydra.compose = _compose_once  # before any test imports it

_interpolation_map = defaults_list._create_interpolation_map
_NO_CHOICES = OmegaConf.create({})


def _interpolation_map_where_needed(
    overrides: defaults_list.Overrides, defaults: list[InputDefault], self_added: bool
) -> DictConfig:
    """Hydra makes a config of all choices for every file that it reads, for interpolations in defaults lists: half of
    what composing takes. It is made where there is one."""
    if any("${" in repr(default) for default in defaults):
        return _interpolation_map(overrides, defaults, self_added)
    return _NO_CHOICES


defaults_list._create_interpolation_map = _interpolation_map_where_needed


def command_line(*arguments: str) -> Answer:
    """`tagpr` with these arguments, in this process; what it sets for a whole process is put back."""
    from tagpr.run import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    argv, environment = sys.argv, os.environ.copy()
    sys.argv = ["tagpr", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
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
