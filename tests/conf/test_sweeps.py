"""The sweeps of losses and weights: every value composes, names its run, and is what the sweep says."""

from __future__ import annotations

import itertools

import hydra
import pytest
import yaml
from omegaconf import OmegaConf

from tagpr import schema
from tagpr.pipeline.rl_check import check_objective
from tagpr.run import conf_dir


def params(sweep: str) -> dict[str, list[str]]:
    given = yaml.safe_load((conf_dir() / "sweep" / f"{sweep}.yaml").read_text())["hydra"]["sweeper"]["params"]
    return {key: str(values).split(",") for key, values in given.items()}


def test_every_loss_is_compared_off_policy() -> None:
    given = params("policy_losses")
    options = {path.stem for path in (conf_dir() / "policy_loss").glob("*.yaml")}
    assert set(given["policy_loss"]) == options
    # With one update per window all ratios are 1, and the losses are one and the same.
    assert int(given["rl.updates_per_window"][0]) >= 4


def test_beta_and_gamma_go_around_the_frozen_weights() -> None:
    given = params("beta_gamma")
    assert len(list(itertools.product(*(given[f"reward.terms.{name}.weight"] for name in ("tag", "prmu"))))) == 9
    for name in ("tag", "prmu"):
        frozen = yaml.safe_load((conf_dir() / "reward" / "term" / f"{name}.yaml").read_text())["weight"]
        weights = [float(value) for value in given[f"reward.terms.{name}.weight"]]
        assert weights == pytest.approx([frozen / 2, frozen, frozen * 2])


@pytest.mark.parametrize("ablation", ["segment_credit", "segment_truth", "tag_gate_all"])
def test_the_ablations_of_the_objective_contradict_nothing(ablation: str) -> None:
    schema.register()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("config", overrides=[f"ablation={ablation}"])
    OmegaConf.resolve(cfg)
    check_objective(cfg)
    assert cfg.run_name == ablation


@pytest.mark.parametrize("sweep", ["policy_losses", "beta_gamma", "teacher_habit"])
def test_a_runs_name_is_made_in_the_run(sweep: str) -> None:
    """Among the sweeper's parameters a name is resolved once, before the sweep, and all runs would share it."""
    preset = yaml.safe_load((conf_dir() / "sweep" / f"{sweep}.yaml").read_text())
    assert "${" in preset["run_name"]
    assert not [key for key, values in preset["hydra"]["sweeper"]["params"].items() if "$" in str(values)]
