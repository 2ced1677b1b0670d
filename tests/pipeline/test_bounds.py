"""What no stage can work with is refused before the first stage runs, by its key."""

from __future__ import annotations

from functools import cache

import pytest
from omegaconf import DictConfig

from tagpr import compose
from tagpr.errors import UserError
from tagpr.pipeline.bounds import CHOICES, check_bounds
from tagpr.prmu.pooling import POOLINGS


@cache
def composed(*overrides: str) -> DictConfig:
    return compose.composed(("experiment=smoke", *overrides))


def changed(*overrides: str) -> DictConfig:
    cfg = composed().copy()
    cfg.merge_with_dotlist(list(overrides))
    return cfg


@pytest.mark.parametrize(
    "override, message",
    [
        ("sft.steps=0", "sft.steps=0, expected 1 or more"),
        ("sft.batch_size=0", "sft.batch_size=0, expected 1 or more"),
        ("trainer.checkpoint_every=0", "trainer.checkpoint_every=0, expected 1 or more"),
        ("rl.rollouts_per_prompt=1", "rl.rollouts_per_prompt=1, expected 2 or more"),
        ("rl.temperature=0", "rl.temperature=0.0, expected a number above 0"),
        ("evaluation.decodings.sample.num_samples=0", "decodings.sample.num_samples=0, expected 1 or more"),
        ("evaluation.decodings.sample.top_p=0", "decodings.sample.top_p=0.0, expected 0 < top_p <= 1"),
        ("evaluation.decodings.greedy.temperature=1.0", "tables call its answers greedy"),
        ("trainer.precision=16", "trainer.precision=16, expected one of 32-true, bf16-mixed, bf16-true"),
        ("logger.mode=ofline", "logger.mode=ofline, expected one of offline, online, disabled"),
        ("prmu.arch.pooling=mean", "prmu.arch.pooling=mean, expected one of mean_attention, query_aware"),
        ("pairs.mix.N1=-1", "expected shares of 0 or more, one of them above 0"),
        ("reward.terms.task.weight=nan", "reward.terms.task.weight=nan, expected a finite number"),
        ("sft.optimizer.create.learning_rate=inf", "sft.optimizer.create.learning_rate=inf, expected a finite number"),
        ("rl.steps=1", "rl.steps=1 with rl.stages.guided.share=0.5 leaves stage 'guided' without a step"),
        ("rl.stages.exploratory.share=0", "leaves stage 'exploratory' without a step"),
    ],
)
def test_it_is_refused_by_its_key(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_bounds(changed(override))


def test_the_least_there_can_be_is_allowed() -> None:
    check_bounds(changed("rl.steps=2", "rl.rollouts_per_prompt=2", "evaluation.decodings.sample.temperature=0"))
    check_bounds(composed("ablation=sft_only", "rl.steps=1", "prmu/arch=similarity", "engine=hf", "logger=none"))


def test_the_poolings_are_those_there_are() -> None:
    assert tuple(CHOICES["prmu.arch.pooling"]) == tuple(POOLINGS)
