"""Contradictions of the RL objective are found when it is composed; five stages in any order are none."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import get_args

import pytest
from omegaconf import DictConfig

from tagpr import compose
from tagpr.errors import UserError
from tagpr.lm.forward import Method
from tagpr.pipeline.fingerprint import FileHashes
from tagpr.pipeline.graph import build_graph
from tagpr.pipeline.rl_check import METHODS, check_objective

FIVE = (
    "+rl/stage@rl.stages.warm=exploratory", "+rl/stage@rl.stages.again=guided", "+rl/stage@rl.stages.last=single",
    "rl.order=[last,guided,warm,again,exploratory]", "rl.stages.last.share=0.2",
)  # fmt: skip


@cache
def composed(*overrides: str) -> DictConfig:
    return compose.composed(overrides)


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["advantage=segment", "policy_loss=gspo"], "one ratio per rollout"),
        (["advantage=segment", "tags=none"], "tagged spans, but tags=none"),
        (["ablation=direct_answer", "advantage=segment", "tags=nine"], "prompt.thinking=false"),
        (["ablation=untagged_chains", "reward/tag_gate=all"], "Set reward/tag_gate=own"),
        (["tags=none"], "stage 'guided' pays reward term `tag`, but tags=none: set reward/term@reward.terms.tag=none"),
        (["reward/term@reward.terms.task=none"], "stage 'exploratory' pays for no reward term"),
        (["rl=exploratory_only", "rl.stages.exploratory.weights.task=0"], "stage 'exploratory' pays for no reward"),
        (["+rl.stages.guided.weights.brevity=1"], "names the reward term 'brevity', but reward.terms has task, tag"),
        (["rl.method=flex"], "no backward pass on cpu. Set rl.method=two_part"),
        (["rl.method=flex", "trainer.accelerator=mps"], "no backward pass on mps. Set rl.method=two_part"),
        (["rl.method=flexx"], "rl.method=flexx, expected one of two_part, flex, dense, padded"),
    ],
)
def test_contradictions_say_what_to_choose(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_objective(composed(*overrides))


def test_flex_attention_is_for_a_gpu() -> None:
    check_objective(composed("rl.method=flex", "trainer=gpu"))


def test_the_methods_are_those_there_are() -> None:
    assert get_args(Method) == METHODS


def ordered(*order: str) -> DictConfig:
    cfg = composed().copy()
    cfg.rl.order = list(order)
    return cfg


def test_a_stage_is_known_by_its_name() -> None:
    with pytest.raises(UserError, match="'guided' twice"):
        check_objective(ordered("guided", "exploratory", "guided"))


def test_the_oracle_is_for_simulated_people() -> None:
    cfg = composed("experiment=lamp_small", "data.root=.", "advantage=segment_truth")
    with pytest.raises(UserError, match="Choose data=simulated, or"):
        check_objective(cfg)


def test_without_rl_there_is_nothing_to_contradict() -> None:
    check_objective(composed("ablation=sft_only", "advantage=segment", "policy_loss=gspo"))


@pytest.mark.parametrize("order", [["exploratory"], ["exploratory", "guided"]])
def test_any_order_of_stages_is_a_path(order: list[str], tmp_path) -> None:
    cfg = ordered(*order)
    check_objective(cfg)
    graph = build_graph(cfg, FileHashes(tmp_path / "known.json"), lambda ablation: cfg)
    assert [name for name in graph.policies if name != "sft"] == [f"rl_{name}" for name in order]


def test_five_stages_follow_one_another(tmp_path) -> None:
    cfg = composed("experiment=smoke", *FIVE)
    check_objective(cfg)
    graph = build_graph(cfg, FileHashes(tmp_path / "known.json"), lambda ablation: cfg)
    names = ["sft", "rl_last", "rl_guided", "rl_warm", "rl_again", "rl_exploratory"]
    assert list(graph.policies) == names
    for before, after in pairwise(names):
        assert graph.policies[after].inputs["policy"] is graph.policies[before]
    # PRMU goes to the stages that pay for it, and to no other.
    paid = [name for name in names if "prmu" in graph.policies[name].inputs]
    assert paid == ["rl_last", "rl_guided", "rl_again"]
