"""Gate, terms and their sum, on completions written out by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from tagpr.errors import BadInputError
from tagpr.rl.rewards.combine import additive, gated, paper_like
from tagpr.rl.rewards.composite import (
    ArtifactTerm,
    CompositeReward,
    MeasuredTerm,
    RewardSettings,
    TermSettings,
    stage_reward,
)
from tagpr.rl.rewards.gates import g_answer, g_answer_and_tags
from tagpr.rl.rewards.prmu import PrmuTerm
from tagpr.rl.rewards.schedules import constant, decay_to_zero
from tagpr.rl.rewards.tag_score import TagScore
from tagpr.rl.rewards.task import task_score

TAGGED = (
    "<think><examine_examples><1> loud => 2</examine_examples>"
    "<identify_patterns>pattern : loud gives 2</identify_patterns>"
    "<infer_preference>user : hates noise</infer_preference>"
    "<apply_preference>so : calm gives 4</apply_preference></think>4"
)
UNTAGGED = "<think>loud => 2 , so calm gives 4</think>4"
UNCLOSED = "<think>loud => 2 , so calm gives 4"
INSIDE = "<think>4</think>"
NO_LABEL = "<think>loud</think>nice"
TAG_IN_ANSWER = "<think>loud</think><apply_preference>4</apply_preference>"


def test_g_answer_asks_for_a_readable_answer_outside_a_closed_block(rollouts_of) -> None:
    rollouts = rollouts_of([[TAGGED, UNTAGGED, UNCLOSED], [INSIDE, NO_LABEL, TAG_IN_ANSWER]], golds=["4", "4"])
    assert g_answer(rollouts).tolist() == [[1, 1, 0], [0, 0, 0]]


def test_a_cut_off_completion_gives_no_answer(rollouts_of) -> None:
    rollouts = rollouts_of([[UNTAGGED, UNTAGGED]], golds=["4"], truncated=lambda b, g: g == 1)
    assert g_answer(rollouts).tolist() == [[1, 0]]


def test_a_direct_answer_needs_no_thinking_block(rollouts_of, no_tags) -> None:
    rollouts = rollouts_of([["4", "nice"]], golds=["4"], vocabulary=no_tags, thinking=False)
    assert g_answer(rollouts).tolist() == [[1, 0]]


def test_task_score_is_the_tasks_own_and_zero_without_gold(rollouts_of) -> None:
    rollouts = rollouts_of([[UNTAGGED, "<think>x</think>1", "<think>x</think>5"], [UNTAGGED] * 3], golds=["4", None])
    torch.testing.assert_close(task_score(rollouts), torch.tensor([[1.0, 0.25, 0.75], [0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("combine", [gated, partial(additive, gate_weight=0.2), paper_like])
def test_where_tags_are_not_paid_a_tagged_and_an_untagged_right_answer_earn_the_same(rollouts_of, combine) -> None:
    reward = CompositeReward(
        terms={"task": task_score}, weights={"task": 1.0}, schedule=constant, gate=g_answer, combine=combine
    )
    total = reward(rollouts_of([[TAGGED, UNTAGGED, NO_LABEL]], golds=["4"]), progress=0.0).total
    assert total[0, 0] == total[0, 1] > total[0, 2]


def test_tag_gate_all_takes_the_whole_reward_of_an_answer_behind_broken_tags(rollouts_of, no_tags) -> None:
    rollouts = rollouts_of([[TAGGED, UNTAGGED, TAGGED.replace("</infer_preference>", "")]], golds=["4"])
    own, both = (
        CompositeReward(terms={"task": task_score}, weights={"task": 1.0}, schedule=constant, gate=gate, combine=gated)
        for gate in (g_answer, g_answer_and_tags)
    )
    assert own(rollouts, progress=0.0).total.tolist() == [[1.0, 1.0, 1.0]]
    assert both(rollouts, progress=0.0).total.tolist() == [[1.0, 0.0, 0.0]]
    with pytest.raises(BadInputError, match="reward/tag_gate=own"):
        g_answer_and_tags(rollouts_of([["4"]], golds=["4"], vocabulary=no_tags, thinking=False))


def test_where_tags_are_paid_the_tagged_answer_earns_more_and_keeps_its_task_reward(rollouts_of) -> None:
    reward = CompositeReward(
        terms={"task": task_score, "tag": TagScore(min_words=2, max_words=30, probed=0)},
        weights={"task": 1.0, "tag": 0.5},
        schedule=constant,
        gate=g_answer,
        combine=gated,
    )
    rewards = reward(rollouts_of([[TAGGED, UNTAGGED]], golds=["4"]), progress=0.0)
    assert rewards.terms["task"].tolist() == [[1.0, 1.0]]
    assert rewards.terms["tag"][0, 0] > 0.5
    assert rewards.terms["tag"][0, 1] == 0.0
    assert rewards.total[0].tolist() == pytest.approx([1.0 + 0.5 * float(rewards.terms["tag"][0, 0]), 1.0])
    metrics = reward.metrics()
    assert metrics["rl/tag/coverage"] == pytest.approx(0.5)  # all four required tags in one of two completions
    assert set(metrics) >= {"rl/tag/order", "rl/tag/body", "rl/tag/grounding", "rl/tag/boilerplate"}


def test_tag_reward_without_tags_is_refused(rollouts_of, no_tags) -> None:
    with pytest.raises(BadInputError, match=r"reward/term@reward\.terms\.tag=none"):
        TagScore(min_words=2, max_words=30, probed=0)(
            rollouts_of([[UNTAGGED, UNTAGGED]], golds=["4"], vocabulary=no_tags)
        )


TERMS = {"task": torch.tensor([[1.0, 0.5]]), "tag": torch.tensor([[0.4, 0.8]])}
WEIGHTS = {"task": 1.0, "tag": 0.5}
GATE = torch.tensor([[1.0, 0.0]])


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        (gated, {"task": [[1.0, 0.0]], "tag": [[0.2, 0.0]]}),
        (partial(additive, gate_weight=0.1), {"task": [[1.0, 0.5]], "tag": [[0.2, 0.4]], "gate": [[0.1, 0.0]]}),
        (paper_like, {"task": [[1.0, 0.0]], "tag": [[0.2, 0.4]]}),
    ],
)
def test_what_each_combination_lets_through_a_shut_gate(combine, expected) -> None:
    contributions = combine(TERMS, weights=WEIGHTS, gate=GATE)
    assert set(contributions) == set(expected)
    for name, values in expected.items():
        torch.testing.assert_close(contributions[name], torch.tensor(values))


def test_the_total_is_the_sum_of_the_contributions_under_the_scheduled_weights(rollouts_of) -> None:
    reward = CompositeReward(
        terms={"task": task_score, "half": lambda rollouts: torch.full(rollouts.shape, 0.5)},
        weights={"task": 1.0, "half": 0.8},
        schedule=partial(decay_to_zero, terms=["half"]),
        gate=g_answer,
        combine=gated,
    )
    rewards = reward(rollouts_of([[UNTAGGED, NO_LABEL]], golds=["4"]), progress=0.25)
    assert rewards.weights == pytest.approx({"task": 1.0, "half": 0.6})
    torch.testing.assert_close(rewards.total, torch.tensor([[1.0 + 0.6 * 0.5, 0.0]]))


@pytest.mark.parametrize("bad", [torch.zeros(2, 1), torch.tensor([[0.0, float("nan")]])])
def test_a_term_with_wrong_shape_or_nan_is_named(rollouts_of, bad) -> None:
    reward = CompositeReward(
        terms={"odd": lambda rollouts: bad}, weights={"odd": 1.0}, schedule=constant, gate=g_answer, combine=gated
    )
    with pytest.raises(ValueError, match="'odd'"):
        reward(rollouts_of([[UNTAGGED, UNTAGGED]], golds=["4"]), progress=0.0)


class Opened(MeasuredTerm):
    def __call__(self, rollouts):
        return torch.ones(rollouts.shape)

    def metrics(self):
        return {"answer": 42.0}


class FromFolder(ArtifactTerm):
    def open(self, inputs):
        assert inputs == {"prmu": Path("there")}
        return Opened()


def settings(**terms: TermSettings) -> RewardSettings:
    return RewardSettings(terms=terms, tag_gate=g_answer, combine=gated)


def test_a_stage_opens_and_pays_only_what_it_weighs(rollouts_of) -> None:
    reward = settings(
        task=TermSettings(weight=2.0, score=task_score),
        tag=TermSettings(weight=0.2, score=TagScore(min_words=2, max_words=30, probed=0)),
        prmu=TermSettings(weight=0.5, score=FromFolder()),
        gone=TermSettings(weight=0.0, score=None),
    )
    composite = stage_reward(
        reward,
        shares={"task": 1.0, "tag": 0.0, "prmu": 0.5, "gone": 1.0},
        schedule=constant,
        inputs={"prmu": Path("there")},
    )
    assert composite.weights == {"task": 2.0, "prmu": 0.25}
    total = composite(rollouts_of([[UNTAGGED, NO_LABEL]], golds=["4"]), progress=0.0).total
    torch.testing.assert_close(total, torch.tensor([[2.25, 0.0]]))
    assert composite.metrics() == {"rl/prmu/answer": 42.0}


def test_contradictions_between_stage_and_terms_are_named() -> None:
    task = TermSettings(weight=1.0, score=task_score)
    with pytest.raises(BadInputError, match="'brevity'"):
        stage_reward(settings(task=task), shares={"brevity": 1.0}, schedule=constant, inputs={})
    with pytest.raises(BadInputError, match="pays for no reward term"):
        stage_reward(settings(task=task), shares={"task": 0.0}, schedule=constant, inputs={})
    term = PrmuTerm(blind_share=0.5, clip=3.0, max_records=4, cache_texts=8, device="cpu")
    with pytest.raises(BadInputError, match="no `prmu` input"):
        stage_reward(
            settings(prmu=TermSettings(weight=1.0, score=term)), shares={"prmu": 1.0}, schedule=constant, inputs={}
        )


def test_schedules() -> None:
    weights = {"task": 1.0, "tag": 0.4}
    assert constant(weights, progress=0.9) == weights
    assert decay_to_zero(weights, progress=0.0, terms=["tag"]) == weights
    assert decay_to_zero(weights, progress=0.75, terms=["tag"]) == pytest.approx({"task": 1.0, "tag": 0.1})
