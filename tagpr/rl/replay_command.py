"""`tagpr-replay`: what other weights, combination or advantage would have made of a stage's rollouts."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagpr.errors import BadInputError, UserError
from tagpr.storage import read_json, read_rollouts, write_rollouts

if TYPE_CHECKING:
    from tagpr.rl.replay import ReplayFigures

_EPILOG = """examples:
  tagpr-replay runs/cache/rl_guided/FINGERPRINT                       the stage's own settings: all comes out as it was
  tagpr-replay runs/cache/rl_guided/FINGERPRINT --weight tag=0        nobody pays for tags
  tagpr-replay runs/cache/rl_guided/FINGERPRINT --combine additive --advantage decoupled --out other.parquet
"""
GROUPS = ("advantage", "reward/combine")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `tagpr-replay`. Returns 0; 2 where something has to be put right."""
    parser = argparse.ArgumentParser(
        prog="tagpr-replay",
        description="Recompute rewards and advantages of an RL stage's rollouts; generates nothing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", type=Path, help="folder of a finished RL stage: runs/cache/rl_<stage>/<fingerprint>")
    parser.add_argument(
        "--weight", action="append", default=[], metavar="TERM=WEIGHT",
        help="weight of a term at every step, in the place of its own and of its schedule; may be repeated",
    )  # fmt: skip
    parser.add_argument("--combine", help="an option of reward/combine: gated, additive, paper_like")
    parser.add_argument(
        "--advantage", help="an option of advantage: group, group_mean, decoupled, best_of_group, segment"
    )
    parser.add_argument("--out", type=Path, default=Path("replay.parquet"), help="the rollouts anew (replay.parquet)")
    arguments = parser.parse_args(argv)
    try:
        figures = replay_stage(
            arguments.stage,
            weights=dict(_weight(text) for text in arguments.weight),
            combine=arguments.combine,
            advantage=arguments.advantage,
            out=arguments.out,
        )
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(table_text(figures))
    print(f"{figures.rollouts} rollouts in {arguments.out}")
    return 0


def replay_stage(
    folder: Path, *, weights: Mapping[str, float], combine: str | None, advantage: str | None, out: Path
) -> ReplayFigures:
    """Replay every window of a stage, write its rollouts anew, and say what changed.

    Args:
        weights: term -> weight.
        combine, advantage: options of their groups; None: the stage's own.
    Raises:
        BadInputError: no finished RL stage, or one whose settings are not ours.
        UserError: an option that is not there.
    """
    config = _config(folder)
    rollouts = read_rollouts(folder / "rollouts")
    if not rollouts:
        raise BadInputError(f"{folder / 'rollouts'} holds no rollouts, expected step_*.parquet of a finished RL stage.")
    from tagpr.rl.advantages import SegmentAdvantage
    from tagpr.rl.replay import compare, replay_window, windows_of

    min_std = float(config["rl"]["min_std"])
    own = _built(config["reward"]["combine"]), _built(config["advantage"])
    other = (
        own[0] if combine is None else _option("reward/combine", combine, lambda cfg: cfg.reward.combine),
        own[1] if advantage is None else _option("advantage", advantage, lambda cfg: cfg.advantage),
    )
    if isinstance(other[1], SegmentAdvantage) and all(one.process is None for one in rollouts):
        raise BadInputError(
            f"--advantage {advantage} needs the spans' process rewards, which this stage did not compute: replay a "
            "stage that was trained with advantage=segment."
        )
    windows = windows_of(rollouts)
    before, now = (
        [replay_window(w, weights=changed, combine=combined, advantage=credited, min_std=min_std) for w in windows]
        for changed, (combined, credited) in (({}, own), (weights, other))
    )
    write_rollouts(out, [rollout for window in now for rollout in window.rollouts])
    return compare(before, now, [rollout for window in windows for rollout in window], min_std=min_std)


def table_text(figures: ReplayFigures) -> str:
    """The figures as aligned lines."""
    correlation = "undefined" if math.isnan(figures.rank_correlation) else f"{figures.rank_correlation:.3f}"
    rows = [
        ("", "kept", "replayed"),
        ("groups without variance", f"{figures.tied_before:.1%}", f"{figures.tied_now:.1%}"),
        *(
            (f"share of {name}", *(f"{shares.get(name, 0.0):.1%}" for shares in _sides(figures)))
            for name in sorted({*figures.shares_before, *figures.shares_now})
        ),
        ("rank correlation of advantages", "", correlation),
        (f"best rollout changes, of {figures.groups} groups", "", f"{figures.best_changed:.1%}"),
        ("every reward and advantage as kept", "", "yes" if figures.identical else "no"),
    ]
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{name:<{width}}  {kept:>8}  {replayed:>9}" for name, kept, replayed in rows)


def _sides(figures: ReplayFigures) -> tuple[Mapping[str, float], Mapping[str, float]]:
    return figures.shares_before, figures.shares_now


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        weight = float(value)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise UserError(f"--weight {text} cannot be read, expected TERM=NUMBER such as --weight tag=0.5.")
    return name, weight


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise BadInputError(f"{path} is not there, expected the folder of a finished RL stage, runs/cache/rl_*/*.")
    config = read_json(path).get("config", {})
    if not {"reward", "advantage", "rl"} <= set(config):
        raise BadInputError(f"{path} is not of an RL stage: its config has {', '.join(sorted(config)) or 'nothing'}.")
    return config


def _built(node: Mapping[str, Any]) -> Callable[..., Any]:
    """The function that a config node describes, if conf/ has it: a folder from elsewhere can run nothing else."""
    import yaml
    from hydra.utils import instantiate

    from tagpr.compose import conf_dir

    options = [path for group in GROUPS for path in (conf_dir() / group).glob("*.yaml")]
    known = {target for path in options for target in _targets(yaml.safe_load(path.read_text(encoding="utf-8")))}
    for target in _targets(node):
        if target not in known:
            raise BadInputError(f"the stage's settings name {target}, expected one of {', '.join(sorted(known))}.")
    return instantiate(dict(node), _convert_="all")


def _targets(node: object) -> list[str]:
    if isinstance(node, Mapping):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [target for value in node.values() for target in _targets(value)]
    if isinstance(node, list):
        return [target for value in node for target in _targets(value)]
    return []


def _option(group: str, option: str, place: Callable[[Any], Any]) -> Callable[..., Any]:
    """An option of a config group, built."""
    from omegaconf import OmegaConf

    from tagpr.compose import composed, conf_dir

    options = sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
    if option not in options:
        raise UserError(f"{group}={option}: there is no such option. Options of {group}: {', '.join(options)}.")
    node = OmegaConf.to_container(place(composed([f"{group}={option}"])))
    assert isinstance(node, dict), "an option is a mapping"
    return _built({str(name): value for name, value in node.items()})


if __name__ == "__main__":
    sys.exit(main())
