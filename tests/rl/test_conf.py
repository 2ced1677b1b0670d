"""Every option of this room's groups composes into the root configuration and can be built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from tagpr import schema
from tagpr.compose import conf_dir
from tagpr.rl.rewards.combine import Rewards

TERMS = [f"reward/term@reward.terms.{name}" for name in ("task", "tag", "prmu")]
ARMS = {"rl": "rl", "advantage": "advantage", "policy_loss": "policy_loss", "reward": "reward"}
PARTS = {
    "reward/combine": "reward/combine",
    "rl/schedule": "rl/schedule@rl.stages.guided.schedule",
    "rl/stage": "rl/stage@rl.stages.guided",
    **{term: term for term in TERMS},
}


def rows(groups: dict[str, str]) -> list[list[str]]:
    """Overrides that meet every option of every group at least once, in as few compositions as there are options."""
    options = {
        key: sorted(path.stem for path in Path(conf_dir(), group.partition("@")[0]).glob("*.yaml"))
        for group, key in groups.items()
    }
    number = max(len(names) for names in options.values())
    return [[f"{key}={names[i % len(names)]}" for key, names in options.items()] for i in range(number)]


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    schema.register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


def stage_settings(cfg: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(cfg.rl, [key for key in cfg.rl if key not in ("stages", "order")])


@pytest.mark.parametrize("overrides", [*rows(ARMS), *rows(PARTS)], ids=" ".join)
def test_every_option_builds(overrides: list[str]) -> None:
    cfg = compose("config", overrides=overrides)
    for node in (cfg.reward, cfg.advantage, cfg.policy_loss, stage_settings(cfg)):
        instantiate(node, _convert_="object")
    assert set(cfg.rl.order) <= set(cfg.rl.stages)
    for stage in cfg.rl.stages.values():
        built = instantiate(stage, _convert_="object")
        weights = built.schedule(built.weights, progress=0.5)
        assert set(weights) == set(built.weights) <= set(cfg.reward.terms)


def test_arms_cost_the_same_number_of_steps() -> None:
    shares = {}
    for arm in ("two_stage", "single_stage", "exploratory_only", "guided_only"):
        cfg = compose("config", overrides=[f"rl={arm}"])
        shares[arm] = sum(cfg.rl.stages[name].share for name in cfg.rl.order)
    assert shares == {"two_stage": 1.0, "single_stage": 1.0, "exploratory_only": 1.0, "guided_only": 0.5}


def test_the_guided_stage_is_the_same_in_both_arms_that_have_it() -> None:
    two, one = (compose("config", overrides=[f"rl={arm}"]) for arm in ("two_stage", "guided_only"))
    assert two.rl.stages.guided == one.rl.stages.guided
    assert stage_settings(two) == stage_settings(one)


def test_each_advantage_gives_other_numbers() -> None:
    terms = {"task": torch.tensor([[0.0, 1.0, 0.2]]), "tag": torch.tensor([[0.9, 0.8, 0.1]])}
    weights, gate = {"task": 1.0, "tag": 0.5}, torch.tensor([[1.0, 1.0, 0.0]])
    contributions = {name: weights[name] * gate * values for name, values in terms.items()}
    rewards = Rewards(
        terms=terms, weights=weights, gate=gate, contributions=contributions, total=sum(contributions.values())
    )
    found = [
        instantiate(compose("config", overrides=[f"advantage={name}"]).advantage)(rewards, min_std=1e-6)
        for name in ("group", "group_mean", "decoupled", "best_of_group")
    ]
    assert not torch.allclose(found[0], found[1])
    assert not torch.allclose(found[0], found[2])
    assert found[3].tolist() == [[0.0, 3.0, 0.0]]


def test_rejection_sampling_costs_what_the_whole_method_does_in_rl() -> None:
    """Alike but for what is paid, who learns from it, and the golds that nobody else spends."""
    full, ours = (compose("config", overrides=[f"ablation={name}"]) for name in ("full", "rejection_sampling"))
    assert (full.rl.purposes, ours.rl.purposes) == (["rl"], ["rl", "pairs"])
    ours.rl.purposes = ["rl"]
    assert stage_settings(ours) == stage_settings(full)
    assert sum(full.rl.stages[name].share for name in full.rl.order) == 1.0
    assert [(ours.rl.stages[name].share, ours.rl.stages[name].weights) for name in ours.rl.order] == [
        (1.0, {"task": 1.0, "tag": 0.0, "prmu": 0.0})
    ]
    assert ours.policy_loss == full.policy_loss
