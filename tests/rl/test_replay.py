"""Rollouts again: the same under the same settings, bit for bit; worked by hand under others."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from tagpr.errors import BadInputError
from tagpr.rl.advantages import SegmentAdvantage, best_of_group, decoupled, group, group_mean
from tagpr.rl.replay import compare, replay_window, windows_of
from tagpr.rl.replay_command import main
from tagpr.rl.rewards.combine import KL, OVERLONG, Rewards, additive, gated, paper_like, total_of, with_penalty
from tagpr.rl.rewards.process import ProcessRewards, SpanReward
from tagpr.rl.rewards.span_truth import SpanTruth
from tagpr.rl.rollouts import RolloutBatch
from tagpr.rl.stage import keep_rollouts
from tagpr.storage import read_rollouts, write_json

MIN_STD = 1e-6
COMBINES = {"gated": gated, "additive": partial(additive, gate_weight=0.2), "paper_like": paper_like}
ADVANTAGES = {
    "group": group,
    "group_mean": group_mean,
    "decoupled": partial(decoupled, gate_weight=1.0),
    "best_of_group": best_of_group,
    "segment": SegmentAdvantage(span_weight=0.5, process=SpanTruth()),
}
GROUPS = [["abcde", "ab", "a", "abc"], ["abc", "abcd", "ab", "abcdef"]]


def kept_on_disk(folder: Path, rollouts_of, *, combine, advantage, seed: int, step: int) -> None:
    """A window as training makes and keeps one: three terms, both penalties, spans."""
    rollouts: RolloutBatch = rollouts_of(GROUPS, golds=["4", "2"])
    generator = torch.Generator().manual_seed(seed)
    terms = {name: torch.rand(2, 4, generator=generator) for name in ("task", "tag", "prmu")}
    weights, gate = {"task": 1.0, "tag": 0.34, "prmu": 0.72}, torch.tensor([[1.0, 1, 0, 1], [1, 1, 1, 1]])
    contributions = combine(terms, weights=weights, gate=gate)
    rewards = Rewards(
        terms=terms, weights=weights, gate=gate, contributions=contributions, total=total_of(contributions, like=gate)
    )
    rewards = with_penalty(rewards, OVERLONG, -torch.rand(2, 4, generator=generator), weight=0.3)
    rewards = with_penalty(rewards, KL, torch.randn(2, 4, generator=generator), weight=0.01)
    spans = [[[SpanReward(tag="a", first=0, end=1, reward=0.1 * (b + 1) * g)] for g in range(4)] for b in range(2)]
    lengths = [[len(text) for text in texts] for texts in GROUPS]
    rewards = replace(rewards, process=ProcessRewards(spans=spans, lengths=lengths, scored_tokens=0))
    keep_rollouts(folder, "rl_guided", step, rollouts, rewards, advantage(rewards, min_std=MIN_STD))


@pytest.mark.parametrize("combine", COMBINES)
@pytest.mark.parametrize("advantage", ADVANTAGES)
def test_under_its_own_settings_all_comes_out_as_it_was(tmp_path: Path, rollouts_of, combine, advantage) -> None:
    parts = {"combine": COMBINES[combine], "advantage": ADVANTAGES[advantage]}
    for step in range(3):
        kept_on_disk(tmp_path, rollouts_of, seed=step, step=step, **parts)
    kept = read_rollouts(tmp_path)
    windows = [replay_window(window, weights={}, min_std=MIN_STD, **parts) for window in windows_of(kept)]
    assert [rollout for window in windows for rollout in window.rollouts] == kept
    figures = compare(windows, windows, kept, min_std=MIN_STD)
    assert (figures.identical, figures.best_changed, figures.groups, figures.rollouts) == (True, 0.0, 6, 24)
    assert figures.rank_correlation == pytest.approx(1.0)
    assert figures.shares_before == figures.shares_now


def window_by_hand(rollouts_of, folder: Path):
    """One group of two, task (0, 1), tag (1, 0) under weights 1 : .5: the second is best; the other group is tied."""
    rollouts = rollouts_of([["a", "b"], ["a", "b"]], golds=["4", "4"])
    terms = {"task": torch.tensor([[0.0, 1.0], [1.0, 1.0]]), "tag": torch.tensor([[1.0, 0.0], [0.5, 0.5]])}
    weights, gate = {"task": 1.0, "tag": 0.5}, torch.ones(2, 2)
    contributions = gated(terms, weights=weights, gate=gate)
    rewards = Rewards(
        terms=terms, weights=weights, gate=gate, contributions=contributions, total=total_of(contributions, like=gate)
    )
    keep_rollouts(folder, "rl_guided", 0, rollouts, rewards, group_mean(rewards, min_std=MIN_STD))
    return read_rollouts(folder)


def test_other_weights_by_hand(tmp_path: Path, rollouts_of) -> None:
    kept = window_by_hand(rollouts_of, tmp_path)
    replay = partial(replay_window, kept, combine=gated, advantage=group_mean, min_std=MIN_STD)
    before, now = replay(weights={}), replay(weights={"tag": 2.0})
    assert [one.reward for one in now.rollouts] == [2.0, 1.0, 2.0, 2.0]
    assert [one.advantage for one in now.rollouts] == [0.5, -0.5, 0.0, 0.0]
    assert now.rollouts[0].weights == {"task": 1.0, "tag": 2.0}
    figures = compare([before], [now], kept, min_std=MIN_STD)
    assert not figures.identical
    # Ranks before (1, 4, 2.5, 2.5), now (4, 1, 2.5, 2.5).
    assert figures.rank_correlation == pytest.approx(-1.0)
    assert (figures.best_changed, figures.tied_before, figures.tied_now) == (0.5, 0.5, 0.5)
    # Deviations of the first group: task -+.5; tag +-.25, then +-1. Totals -+.25 and +-.5.
    assert figures.shares_before == pytest.approx({"task": 2.0, "tag": -1.0})
    assert figures.shares_now == pytest.approx({"task": -1.0, "tag": 2.0})


def test_a_term_that_was_not_computed_cannot_be_paid(tmp_path: Path, rollouts_of) -> None:
    kept = window_by_hand(rollouts_of, tmp_path)
    with pytest.raises(BadInputError, match="no term 'prmu', but tag, task"):
        replay_window(kept, weights={"prmu": 1.0}, combine=gated, advantage=group, min_std=MIN_STD)
    with pytest.raises(BadInputError, match=r"groups of \[1, 2\]"):
        replay_window(kept[:3], weights={}, combine=gated, advantage=group, min_std=MIN_STD)


@pytest.fixture
def stage_folder(tmp_path: Path, rollouts_of) -> Path:
    folder = tmp_path / "rl_guided" / "abc"
    window_by_hand(rollouts_of, folder / "rollouts")
    config = {
        "reward": {"combine": {"_target_": "tagpr.rl.rewards.combine.gated", "_partial_": True}},
        "advantage": {"_target_": "tagpr.rl.advantages.group_mean", "_partial_": True},
        "rl": {"min_std": MIN_STD},
    }
    write_json(folder / "manifest.json", {"config": config})
    return folder


def test_the_command_prints_a_table_and_writes_the_rollouts(stage_folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "new" / "replay.parquet"
    assert main([str(stage_folder), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("every reward and advantage as kept")).endswith(" yes")
    assert read_rollouts(out.parent) == read_rollouts(stage_folder / "rollouts")
    options = ["--weight", "tag=2", "--combine", "additive", "--advantage", "group"]
    assert main([str(stage_folder), "--out", str(out), *options]) == 0
    text = capsys.readouterr().out
    assert "best rollout changes, of 2 groups" in text
    assert "50.0%" in text
    # group: z-scores of two are +-1/sqrt(2); additive adds the gate's .2 to each.
    assert [one.reward for one in read_rollouts(out.parent)] == pytest.approx([2.2, 1.2, 2.2, 2.2])
    assert read_rollouts(out.parent)[0].advantage == pytest.approx(2**-0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--advantage", "gruop"], "there is no such option. Options of advantage: best_of_group, decoupled, group"),
        (["--advantage", "segment"], "needs the spans' process rewards"),
        (["--weight", "tag"], "expected TERM=NUMBER"),
        (["--weight", "tag=nan"], "--weight tag=nan cannot be read, expected TERM=NUMBER"),
        (["--weight", "tag=-inf"], "expected TERM=NUMBER"),
        (["--weight", "prmu=1"], "no term 'prmu'"),
    ],
)
def test_mistakes_are_told_without_a_traceback(stage_folder: Path, tmp_path: Path, capsys, options, message) -> None:
    assert main([str(stage_folder), "--out", str(tmp_path / "x.parquet"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.parquet").exists()


def test_a_folder_runs_nothing_of_its_own(stage_folder: Path, tmp_path: Path, capsys) -> None:
    path = stage_folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["advantage"]["_target_"] = "tagpr.rl.rewards.combine.torch.load"
    path.write_text(json.dumps(manifest))
    assert main([str(stage_folder), "--out", str(tmp_path / "x.parquet")]) == 2
    assert "combine.torch.load, expected one of" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert "the folder of a finished RL stage" in capsys.readouterr().err
