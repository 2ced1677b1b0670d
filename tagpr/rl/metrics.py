"""What a window of rollouts says about the training: plain numbers, named `rl/quantity`. Pure functions."""

from __future__ import annotations

from tagpr.rl.advantages import without_variance
from tagpr.rl.rewards.combine import Rewards
from tagpr.rl.rewards.gates import g_answer
from tagpr.rl.rewards.shares import variance_shares
from tagpr.rl.rollouts import RolloutBatch


def reward_metrics(rewards: Rewards, *, min_std: float) -> dict[str, float]:
    """Each term raw (mean, std over rollouts), its weight and its share of the advantages' variance; groups that
    teach nothing.

    `rl/groups/tied_total` counts groups whose total reward is the same for all rollouts, so that they give no gradient;
    `tied_task` those tied on the task alone; `task_tied_only` those that are moved by the other terms only.
    """
    metrics = {"rl/reward/total": float(rewards.total.mean()), "rl/reward_std/total": float(rewards.total.std())}
    for name, values in rewards.terms.items():
        metrics[f"rl/reward/{name}"] = float(values.mean())
        metrics[f"rl/reward_std/{name}"] = float(values.std())
        metrics[f"rl/reward_weight/{name}"] = rewards.weights[name]
    for name, share in variance_shares(rewards.contributions).items():
        metrics[f"rl/reward_share/{name}"] = share
    tied_total = without_variance(rewards.total, min_std=min_std)
    metrics["rl/groups/tied_total"] = float(tied_total.float().mean())
    if "task" in rewards.terms:
        tied_task = without_variance(rewards.gate * rewards.terms["task"], min_std=min_std)
        metrics["rl/groups/tied_task"] = float(tied_task.float().mean())
        metrics["rl/groups/task_tied_only"] = float((tied_task & ~tied_total).float().mean())
    return metrics


def rollout_metrics(rollouts: RolloutBatch) -> dict[str, float]:
    """Form of the completions: lengths in tokens, cut off, readable, spans and uses of each tag per completion."""
    completions = [completion for group in rollouts.completions for completion in group]
    parsed = [one for group in rollouts.parsed for one in group]
    lengths = [len(completion.token_ids) for completion in completions]
    num = len(completions)
    metrics = {
        "rl/rollout/tokens": sum(lengths) / num,
        "rl/rollout/tokens_max": float(max(lengths)),
        "rl/rollout/prompt_tokens": sum(len(prompt.token_ids) for prompt in rollouts.prompts) / len(rollouts.prompts),
        "rl/rollout/truncated": sum(completion.truncated for completion in completions) / num,
        "rl/rollout/parse_failures": 1.0 - float(g_answer(rollouts).mean()),
    }
    if len(rollouts.vocabulary):
        metrics["rl/rollout/g_tags"] = sum(bool(one.g_tags) for one in parsed) / num
        metrics["rl/tags/spans"] = sum(len(one.spans) for one in parsed) / num
        for tag in rollouts.vocabulary.names:
            metrics[f"rl/tags/{tag}"] = sum(span.tag == tag for one in parsed for span in one.spans) / num
    return metrics
