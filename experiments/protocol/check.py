"""What departs from the protocol: in conf/ before the runs, in the runs after them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import yaml

from experiments.protocol.commit import Commit
from experiments.protocol.read import Protocol, value_at
from tagpr.analysis.contrasts import TIE_MARGIN
from tagpr.analysis.figures import RowFigures
from tagpr.analysis.panel import GREEDY, SAMPLE
from tagpr.analysis.runs import Artifact, Run
from tagpr.errors import UserError
from tagpr.evaluation.statistics import ALPHA, MIN_REPLICATES


def disagreements(protocol: Protocol, compose: Callable[[str], Mapping[str, Any]]) -> list[str]:
    """Where this code and its conf/ would not do what the protocol says.

    Args:
        compose: an arm's name -> its settings as they would run now.
    """
    found = _rules(protocol)
    for arm in protocol.arms:
        settings = compose(arm)
        found += _dials(f"conf/ for {arm}", protocol.dials_of(arm), settings)
        listed = value_at(settings, "evaluation.contrasts") or {}
        rows = {name: (one["row"], one["against"]) for name, one in listed.items()}
        found += _contrasts(f"conf/ for {arm}", protocol, rows)
    return list(dict.fromkeys(found))


def departures(protocol: Protocol, commit: Commit, seeds: Sequence[int], runs: Sequence[Run]) -> list[str]:
    """Where finished runs of the protocol's experiment are not what it says.

    Args:
        seeds: of its replicates.
        runs: as found in a folder, of any experiment.
    Raises:
        UserError: a run has lost its settings.
    """
    own = [run for run in runs if run.experiment == protocol.experiment]
    found = [*_rules(protocol), *_missing(protocol, seeds, own)]
    for run in own:
        where = f"{run.run_name}, seed {run.seed}"
        if run.run_name not in protocol.arms:
            found.append(f"{where}: the protocol has no such arm")
            continue
        if run.seed not in seeds:
            found.append(f"{where}: not one of the protocol's seeds")
        settings = _settings(run)
        found += _world(where, run, settings)
        found += _dials(where, protocol.dials_of(run.run_name), settings)
        found += _contrasts(where, protocol, run.contrasts)
        found += _decodings(where, protocol, run)
        found += _too_early(where, commit, run)
    for arm in protocol.arms:
        kinds = {run.arm for run in own if run.run_name == arm}
        if len(kinds) > 1:
            found.append(f"{arm}: its replicates differ in more than the seed ({len(kinds)} kinds of settings)")
    return found


def _settings(run: Run) -> dict[str, Any]:
    place = run.folder / "config.yaml"
    if not place.is_file():
        raise UserError(f"{place} is gone, so nobody can say what that run did. Put it back, or run it again.")
    return yaml.safe_load(place.read_text(encoding="utf-8"))


def _rules(protocol: Protocol) -> list[str]:
    """The tables' own rules, which no setting turns."""
    found = []
    if protocol.alpha != ALPHA:
        found.append(f"alpha: the protocol says {protocol.alpha:g}, tables decide at {ALPHA:g}")
    if protocol.margin != TIE_MARGIN:
        found.append(f"margin: the protocol says {protocol.margin:g}, tables use {TIE_MARGIN:g}")
    if protocol.replicates < MIN_REPLICATES:
        found.append(
            f"replicates: the protocol says {protocol.replicates}, tables claim nothing below {MIN_REPLICATES}"
        )
    if protocol.primary not in {field.name for field in fields(RowFigures)}:
        found.append(f"primary: the protocol says {protocol.primary}, which is no figure of the tables")
    if protocol.decoding != {"primary": GREEDY, "beside": SAMPLE}:
        found.append(
            f"decoding: the protocol says {dict(protocol.decoding)}, tables have {GREEDY}, and {SAMPLE} beside"
        )
    return found


def _missing(protocol: Protocol, seeds: Sequence[int], runs: Sequence[Run]) -> list[str]:
    there = {(run.run_name, run.seed) for run in runs}
    found = []
    for arm in protocol.arms:
        missing = [seed for seed in seeds if (arm, seed) not in there]
        if len(missing) == len(seeds):
            found.append(f"{arm}: no run")
        elif missing:
            found.append(f"{arm}: no run at seed {_text(missing)}")
    return found


def _world(where: str, run: Run, settings: Mapping[str, Any]) -> list[str]:
    """A drawn seed is worth nothing if the world was drawn from another one; tables pool such runs as replicates."""
    world = value_at(settings, "data.seed")
    return [] if world == run.seed else [f"{where}: its world is data.seed={world}, not the replicate's"]


def _dials(where: str, dials: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    values = {path: (wanted, value_at(settings, path)) for path, wanted in dials.items()}
    return [
        f"{where}: {path} is {_value(value)}, the protocol says {_value(wanted)}"
        for path, (wanted, value) in values.items()
        if value != wanted
    ]


def _contrasts(where: str, protocol: Protocol, own: Mapping[str, tuple[str, str]]) -> list[str]:
    return [
        f"{where}: contrast {name} is {_pair(own.get(name))}, the protocol says {_pair(protocol.contrasts.get(name))}"
        for name in dict.fromkeys([*protocol.contrasts, *own])
        if own.get(name) != protocol.contrasts.get(name)
    ]


def _decodings(where: str, protocol: Protocol, run: Run) -> list[str]:
    return [
        f"{where}: {name} has no answers under {decoding}"
        for name, row in run.rows.items()
        for decoding in protocol.decoding.values()
        if decoding not in row.evaluations
    ]


def _too_early(where: str, commit: Commit, run: Run) -> list[str]:
    """The first stage that was finished before the protocol was committed: no seed of it could have been known."""
    stages: list[Artifact] = [*run.stages.values()]
    stages += [evaluation for row in run.rows.values() for evaluation in row.evaluations.values()]
    finished, stage = min(((stage.manifest["finished_at"], stage.stage) for stage in stages), default=("", ""))
    if not stages or datetime.fromisoformat(finished) >= commit.time:
        return []
    return [
        f"{where}: {stage} was finished at {finished}, before the protocol's commit "
        f"({commit.time.isoformat(timespec='seconds')})"
    ]


def _value(value: Any) -> str:
    return "not set" if value is None else str(value)


def _pair(pair: tuple[str, str] | None) -> str:
    return "not listed" if pair is None else f"{pair[0]} against {pair[1]}"


def _text(values: Sequence[Any] | Mapping[str, Any]) -> str:
    return ", ".join(map(str, values))
