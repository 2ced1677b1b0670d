"""Config mistakes in the user's words: what was given, what is nearest to it, what may be given."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

CONFIG_ERRORS = (HydraException, OmegaConfBaseException)


def explain(error: Exception, arguments: Sequence[str], conf: Path) -> str:
    """A message for a failed composition.

    Args:
        error: one of CONFIG_ERRORS.
        arguments: the command line's.
        conf: the folder of config groups.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_option(error.missing_cfg_file, error.options or [])
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override!r} cannot be read as an override. Overrides look like key=value; quote values with "
            "commas, spaces or brackets, e.g. 'run_name=\"a, b\"'."
        )
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, ValidationError):
            where = cause.full_key or _key_in(str(error)) or "a value"
            return f"{where}: {_first_line(cause)}."
    text = str(error)
    group = re.search(r"Could not override '(?P<key>[^']+)'\.\s*No match in the defaults list", text)
    if group:
        return _unknown_group(group["key"], conf)
    key = _key_in(text) or next(
        (c.full_key for c in chain if isinstance(c, OmegaConfBaseException) and c.full_key), None
    )
    if key:
        return _unknown_key(key, conf)
    given = f" (given: {' '.join(arguments)})" if arguments else ""
    return f"{_first_line(error)}{given}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _key_in(text: str) -> str | None:
    found = re.search(
        r"Could not (?:override|append|delete)[^']*'([^']+)'|full_key: (\S+)|Key '([^']+)' (?:is )?not in", text
    )
    return next((part for part in found.groups() if part), None) if found else None


def _missing_option(path: str, options: Sequence[str]) -> str:
    group, _, option = path.rpartition("/")
    choices = [name for name in options if not name.startswith("schema_")]
    message = f"{group}={option}: there is no such option." if group else f"there is no config {option!r}."
    return message + _nearest(option, choices) + (f" Options of {group}: {', '.join(choices)}." if choices else "")


def _unknown_group(key: str, conf: Path) -> str:
    groups = [str(path.relative_to(conf)) for path in sorted(conf.rglob("*")) if path.is_dir()]
    return f"{key!r} is not a config group." + _nearest(key, groups) + f" Groups: {', '.join(groups)}."


def _unknown_key(key: str, conf: Path) -> str:
    keys = sorted(set(_flat(_defaults(conf))))
    groups = [str(path.relative_to(conf)) for path in sorted(conf.rglob("*")) if path.is_dir()]
    message = f"there is no key {key!r}." + _nearest(key, [*keys, *groups])
    parent = key.rpartition(".")[0]
    siblings = [k for k in keys if k.rpartition(".")[0] == parent] if parent else []
    return message + (f" Keys of {parent}: {', '.join(k.rpartition('.')[2] for k in siblings)}." if siblings else "")


def _nearest(given: str, choices: Sequence[str]) -> str:
    matches = difflib.get_close_matches(given, choices, n=2, cutoff=0.5)
    if not matches:
        # `stesp` alone is far from `sft.steps`; compare the last parts too.
        last = given.rpartition(".")[2]
        ends = {choice.rpartition(".")[2]: choice for choice in choices}
        matches = [ends[m] for m in difflib.get_close_matches(last, list(ends), n=2, cutoff=0.6)]
    return f" Did you mean {' or '.join(matches)}?" if matches else ""


def _defaults(conf: Path) -> DictConfig:
    """The configuration without overrides, to look names up in."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        return hydra.compose("config")


def _flat(node: Any, prefix: str = "") -> Iterator[str]:
    for key in node:
        name = f"{prefix}{key}"
        yield name
        if OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key):
            continue
        if isinstance(node[key], DictConfig):
            yield from _flat(node[key], f"{name}.")
