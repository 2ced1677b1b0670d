"""The sweeps of losses and weights: every value composes, names its run, and is what the sweep says."""

from __future__ import annotations

import itertools

import hydra
import pytest
import yaml
from hydra.core.hydra_config import HydraConfig

from tagpr import schema
from tagpr.compose import composed, conf_dir
from tagpr.pipeline.rl_check import check_objective
from tagpr.prmu.pairs import MIX_KEYS


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


@pytest.mark.parametrize("ablation", ["segment_credit", "segment_truth", "tag_gate_all", "rejection_sampling"])
def test_the_ablations_of_the_objective_contradict_nothing(ablation: str) -> None:
    cfg = composed([f"ablation={ablation}"])
    check_objective(cfg)
    assert cfg.run_name == ablation


@pytest.mark.parametrize("sweep", ["policy_losses", "beta_gamma", "teacher_habit", "prmu_arches", "prmu_blind_share"])
def test_a_runs_name_is_made_in_the_run(sweep: str) -> None:
    """Among the sweeper's parameters a name is resolved once, before the sweep, and all runs would share it."""
    preset = yaml.safe_load((conf_dir() / "sweep" / f"{sweep}.yaml").read_text())
    assert "${" in preset["run_name"]
    assert not [key for key, values in preset["hydra"]["sweeper"]["params"].items() if "$" in str(values)]


def test_every_architecture_of_prmu_is_compared() -> None:
    options = {path.stem for path in (conf_dir() / "prmu" / "arch").glob("*.yaml")}
    assert set(params("prmu_arches")["prmu/arch"]) == options
    run = (conf_dir().parent / "experiments" / "prmu_arches" / "run.sh").read_text()
    # further worlds leave out the one that is shown at one seed
    replicated = next(line for line in run.splitlines() if "run_name=replicate" in line)
    assert set(replicated.split("prmu/arch=")[1].split()[0].split(",")) == options - {"basis"}


def test_every_type_of_pairs_is_left_out_once() -> None:
    run = (conf_dir().parent / "experiments" / "prmu_arches" / "run.sh").read_text()
    (types,) = (line for line in run.splitlines() if line.startswith("types=("))
    assert types.removeprefix("types=(").removesuffix(")").split() == list(MIX_KEYS)


def test_lambda_goes_around_the_default() -> None:
    given = params("prmu_blind_share")["reward.terms.prmu.score.blind_share"]
    default = yaml.safe_load((conf_dir() / "reward" / "term" / "prmu.yaml").read_text())["score"]["blind_share"]
    assert [float(value) for value in given] == [0.0, default, 1.0]


@pytest.mark.parametrize("arch", ["bilinear", "history_text"])
def test_a_run_of_the_architectures_says_which_it_is(arch: str) -> None:
    schema.register()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("config", overrides=["sweep=prmu_arches", f"prmu/arch={arch}"], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        assert cfg.run_name == f"prmu_{arch}"
