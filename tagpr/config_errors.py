"""Config mistakes in the user's words: what was given, what is nearest to it, what may be given."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from tagpr.command_help import config_groups

# Flags of Hydra's command line; every other argument is an override.
_FLAGS = (
    "help", "hydra-help", "version", "cfg", "resolve", "package", "run", "multirun", "shell-completion", "config-path",
    "config-name", "config-dir", "info",
)  # fmt: skip


class ArgumentError(Exception):
    """An argument that Hydra would refuse with a traceback or with its own usage text."""


# Not every HydraException: one that is raised while a stage builds its parts is our mistake and keeps its traceback.
CONFIG_ERRORS = (
    ArgumentError, ConfigCompositionException, MissingConfigException, OverrideParseException, OmegaConfBaseException,
)  # fmt: skip


def check_arguments(arguments: Sequence[str], conf: Path) -> None:
    """Raises ArgumentError: `--key=value`, a group set to nothing, or an empty dictionary."""
    groups = config_groups(conf)
    for argument in arguments:
        key, _, value = argument.partition("=")
        if argument.startswith("--") and key[2:] not in _FLAGS:
            hint = f"write {argument[2:]}" if value else f"write {key[2:]}=..., e.g. plan=true"
            raise ArgumentError(f"{argument}: settings are given without dashes, {hint}. See tagpr --help.")
        group = key.partition("@")[0]
        if group in groups and value in ("null", "~", ""):
            raise ArgumentError(f"{argument}: a group needs one of its options. {_options(group, groups[group])}")
        if value.replace(" ", "") == "{}" and not key.startswith("+"):
            raise ArgumentError(
                f"{argument} would change nothing: a dictionary is merged with the one that is there. Take its entries "
                f"out one by one with ~{key}.ENTRY."
            )


def check_added_keys(cfg: DictConfig) -> None:
    """Raises ArgumentError: a key that no schema has. Hydra lets `+key=value` add one anywhere, and nobody reads it."""
    nodes = [(cfg, "")]
    while nodes:
        node, prefix = nodes.pop()
        kind = OmegaConf.get_type(node)
        known = [f.name for f in fields(kind)] if kind is not None and is_dataclass(kind) else None
        for key in node:
            name = f"{prefix}{key}"
            if known is not None and key not in known:
                keys = ", ".join(k for k in known if not _is_internal(k))
                place = f" of {prefix[:-1]}" if prefix else ""
                raise ArgumentError(f"there is no key {name!r}.{_nearest(str(key), known)} Keys{place}: {keys}.")
            if not OmegaConf.is_missing(node, key) and isinstance(node[key], DictConfig):
                nodes.append((node[key], f"{name}."))


def explain(error: Exception, arguments: Sequence[str], conf: Path) -> str:
    """A message for a failed composition.

    Args:
        error: one of CONFIG_ERRORS.
        arguments: the command line's.
        conf: the folder of config groups.
    """
    if isinstance(error, ArgumentError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_option(error.missing_cfg_file, error.options or [])
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override!r} cannot be read as an override. Overrides look like key=value, e.g. experiment=demo or "
            "plan=true; quote values with commas, spaces or brackets, e.g. 'run_name=\"a, b\"'."
        )
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, ValidationError):
            where = cause.full_key or _key_in(str(error)) or "a value"
            if "is not a subclass of" in str(cause):
                return (
                    f"{where}: a whole node cannot be added on the command line. Write it in a preset, as "
                    "conf/experiment/demo.yaml does for evaluation.compare."
                )
            return f"{where}: {_first_line(cause)}."
    text = str(error)
    several = re.search(r"Ambiguous value for argument '(?P<given>[^']+)'", text)
    if several:
        key, _, value = several["given"].partition("=")
        return (
            f"{several['given']} gives several values. For one run per value: tagpr -m {several['given']} ...; for a "
            f"list: '{key}=[{value}]'."
        )
    there = re.search(r"An item is already at '(?P<key>[^']+)'", text)
    if there:
        return f"the key {there['key']!r} is there already: leave the + away, {there['key']}=..."
    preset = re.search(r"In '(?P<preset>[^']+)': \w+ raised while composing config:\s*Key '[^']+' not in", text)
    if preset and (key := re.search(r"full_key: (\S+)", text)):
        group = key[1].partition(".")[0]
        return (
            f"{preset['preset'].replace('/', '=', 1)} sets {key[1]}, which the chosen option of {group} does not have. "
            f"Take another {preset['preset'].partition('/')[0]}, or the option of {group} that it is made for."
        )
    rather = re.search(r"Could not override '(?P<key>[^']+)'\.\s*Did you mean to override (?P<right>\S+)\?", text)
    if rather:
        return f"nothing is chosen at {rather['key']!r}. Did you mean {rather['right']}=...?"
    group = re.search(r"Could not override '(?P<key>[^']+)'\.\s*No match in the defaults list", text)
    if group:
        return _unknown_group(group["key"], conf)
    key = _key_in(text) or next(
        (c.full_key for c in chain if isinstance(c, OmegaConfBaseException) and c.full_key), None
    )
    if key:
        return _unknown_key(key, arguments, conf)
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


def _options(group: str, options: Sequence[str]) -> str:
    return f"Options of {group}: {', '.join(options)}."


def _missing_option(path: str, options: Sequence[str]) -> str:
    group, _, option = path.rpartition("/")
    choices = [name for name in options if not name.startswith("schema_")]
    message = f"{group}={option}: there is no such option." if group else f"there is no config {option!r}."
    return message + _nearest(option, choices) + (f" {_options(group, choices)}" if choices else "")


def _unknown_group(key: str, conf: Path) -> str:
    groups = list(config_groups(conf))
    return f"{key!r} is not a config group." + _nearest(key, groups) + f" Groups: {', '.join(groups)}."


def _unknown_key(key: str, arguments: Sequence[str], conf: Path) -> str:
    groups = list(config_groups(conf))
    keys = sorted(name for name in _flat(_composed(arguments, conf)) if not _is_internal(name))
    message = f"there is no key {key!r}." + _nearest(key, [*keys, *groups])
    parent = key.rpartition(".")[0]
    siblings = [k.rpartition(".")[2] for k in keys if k.rpartition(".")[0] == parent] if parent else []
    return message + (f" Keys of {parent}: {', '.join(siblings)}." if siblings else "")


def _is_internal(key: str) -> bool:
    return key.rpartition(".")[2] in ("_target_", "_partial_")


def _nearest(given: str, choices: Sequence[str]) -> str:
    matches = difflib.get_close_matches(given, choices, n=2, cutoff=0.5)
    if not matches:
        # `stesp` alone is far from `sft.steps`; compare the last parts too.
        last = given.rpartition(".")[2]
        ends = {choice.rpartition(".")[2]: choice for choice in choices}
        matches = [ends[m] for m in difflib.get_close_matches(last, list(ends), n=2, cutoff=0.6)]
    return f" Did you mean {' or '.join(matches)}?" if matches else ""


def _composed(arguments: Sequence[str], conf: Path) -> DictConfig:
    """The configuration with the options that were chosen, without the values: to look names up in."""
    groups = config_groups(conf)
    chosen = [a for a in arguments if a.partition("=")[0].partition("@")[0] in groups and "," not in a]
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        try:
            return hydra.compose("config", overrides=chosen)
        except CONFIG_ERRORS:  # the mistake is among them
            return hydra.compose("config")


def _flat(node: Any, prefix: str = "") -> Iterator[str]:
    for key in node:
        name = f"{prefix}{key}"
        yield name
        if OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key):
            continue
        if isinstance(node[key], DictConfig):
            yield from _flat(node[key], f"{name}.")
