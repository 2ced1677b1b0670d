"""The configuration as `tagpr` composes it, for whoever needs a part of it outside a run. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from tagpr import schema
from tagpr.config_errors import CONFIG_ERRORS, explain
from tagpr.errors import UserError

_PACKAGE = Path(__file__).parent


def conf_dir() -> Path:
    """The checkout's `conf/`, or the copy inside an installed wheel."""
    checkout = _PACKAGE.parent / "conf"
    return checkout if (checkout / "config.yaml").is_file() else _PACKAGE / "conf"


def composed(overrides: Sequence[str]) -> DictConfig:
    """The configuration under these overrides, resolved.

    Hydra has one state per process: not to be called inside another composition.

    Raises:
        UserError: an override is wrong; the message names what is nearest to it.
    """
    schema.register()
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = hydra.compose("config", overrides=list(overrides))
        OmegaConf.resolve(cfg)
    except CONFIG_ERRORS as error:
        raise UserError(explain(error, overrides, conf_dir())) from None
    return cfg
