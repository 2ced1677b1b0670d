from __future__ import annotations

import pytest
import torch

from tagpr.rl.metrics import reward_metrics, rollout_metrics
from tagpr.rl.rewards.combine import Rewards, gated


def test_groups_are_counted_on_the_total_and_on_the_task() -> None:
    """Group 0 varies in the task, 1 in the tag alone, 2 in nothing, 3 in the task behind a shut gate alone."""
    terms = {
        "task": torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.5, 0.5], [0.0, 1.0]]),
        "tag": torch.tensor([[0.0, 0.0], [0.2, 0.6], [0.3, 0.3], [0.0, 0.0]]),
    }
    gate = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    weights = {"task": 1.0, "tag": 0.5}
    contributions = gated(terms, weights=weights, gate=gate)
    total = contributions["task"] + contributions["tag"]
    metrics = reward_metrics(
        Rewards(terms=terms, weights=weights, gate=gate, contributions=contributions, total=total), min_std=1e-6
    )
    assert metrics["rl/groups/tied_task"] == 0.75
    assert metrics["rl/groups/tied_total"] == 0.5
    assert metrics["rl/groups/task_tied_only"] == 0.25
    assert metrics["rl/reward/task"] == pytest.approx(5 / 8)
    assert metrics["rl/reward/tag"] == pytest.approx(1.4 / 8)
    assert metrics["rl/reward_weight/tag"] == 0.5
    # Deviations: task +-.5 in group 0, tag +-.1 in group 1: .25 against .01.
    assert metrics["rl/reward_share/task"] == pytest.approx(0.25 / 0.26)
    assert metrics["rl/reward_share/tag"] == pytest.approx(0.01 / 0.26)


def test_form_of_the_completions(rollouts_of, no_tags) -> None:
    groups = [["<think><apply_preference>so : calm => 4</apply_preference></think>4", "<think>unclosed"]]
    rollouts = rollouts_of(groups, golds=["4"], truncated=lambda b, g: g == 1)
    metrics = rollout_metrics(rollouts)
    lengths = [len(text) for text in groups[0]]
    assert metrics["rl/rollout/tokens"] == sum(lengths) / 2
    assert metrics["rl/rollout/tokens_max"] == max(lengths)
    assert metrics["rl/rollout/prompt_tokens"] == 2
    assert metrics["rl/rollout/truncated"] == 0.5
    assert metrics["rl/rollout/parse_failures"] == 0.5
    assert metrics["rl/rollout/g_tags"] == 0.5
    assert metrics["rl/tags/spans"] == 0.5
    assert metrics["rl/tags/apply_preference"] == 0.5
    assert metrics["rl/tags/examine_examples"] == 0.0
    untagged = rollout_metrics(rollouts_of([["4", "2"]], golds=["4"], vocabulary=no_tags, thinking=False))
    assert not [name for name in untagged if "tags" in name]
