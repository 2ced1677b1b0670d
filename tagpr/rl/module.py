"""The RL step: sample when the window is empty, then one optimizer step from the window."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from tagpr.chains.tags import ParsedCompletion, TagVocabulary, parse
from tagpr.lm.batches import GroupedBatch
from tagpr.lm.generation.base import Completion, RolloutEngine, Sampling
from tagpr.rl.guards import WindowGuard
from tagpr.rl.metrics import reward_metrics, rollout_metrics
from tagpr.rl.objective import Objective
from tagpr.rl.reference import ScoreTokens
from tagpr.rl.refill import PromptRefill
from tagpr.rl.rewards.combine import Rewards
from tagpr.rl.rollouts import MicroBatch, RlPrompt, RolloutBatch, RolloutWindow
from tagpr.rl.sync_guard import SyncGuard
from tagpr.training.module import ManualModule
from tagpr.training.optimizer import OptimizerSettings

SelfCheck = Callable[[PreTrainedModel, GroupedBatch], None]  # raises where score_tokens is wrong for this model
KeepRollouts = Callable[[int, RolloutBatch, Rewards, Tensor], None]  # (step, rollouts, rewards, advantages)


class RlModule(ManualModule):
    """Trains a policy on its own rollouts.

    Args:
        policy: trained in place.
        tags: vocabulary in use, for the parser and the metrics.
        prompts: what RL may ask; a batch is a list of positions in it.
        self_check: compares `score_tokens` with the plain way, once, on the first micro-batch.
        window, guard, refill: in the checkpoint with the weights.
        sampling: of the rollouts; greedy decoding of `dev_prompts` has the same length limit.
        group_size: completions per prompt.
        keep_rollouts: called once per window, before its first step.
        seed: rollouts are a function of (seed, step, weights) alone.
    """

    def __init__(
        self,
        *,
        policy: PreTrainedModel,
        engine: RolloutEngine,
        score_tokens: ScoreTokens,
        self_check: SelfCheck,
        objective: Objective,
        tags: TagVocabulary,
        window: RolloutWindow,
        guard: WindowGuard,
        refill: PromptRefill,
        sampling: Sampling,
        group_size: int,
        min_std: float,
        prompts: Sequence[RlPrompt],
        dev_prompts: Sequence[RlPrompt],
        keep_rollouts: KeepRollouts,
        optimizer: OptimizerSettings,
        num_steps: int,
        seed: int,
    ) -> None:
        super().__init__(optimizer=optimizer, num_steps=num_steps)
        self.policy = policy
        self.engine = engine
        self.score_tokens = score_tokens
        self.self_check: SelfCheck | None = self_check
        self.objective = objective
        self.tags = tags
        self.window = window
        self.guard = guard
        self.refill = refill
        self.sync_guard = SyncGuard()
        self.sampling = sampling
        self.group_size = group_size
        self.min_std = min_std
        self.prompts = prompts
        self.dev_prompts = dev_prompts
        self.keep_rollouts = keep_rollouts
        self.seed = seed

    def trained(self) -> nn.Module:
        return self.policy

    def training_step(self, batch: Sequence[int], batch_idx: int) -> None:
        if self.window.is_empty():
            self._fill_window(batch)
        started = time.monotonic()
        stats: dict[str, Tensor] = {}
        micro_batches = self.window.next(rank=self.trainer.global_rank, world_size=self.trainer.world_size)
        update = self.update(micro_batches, lambda micro_batch: self._loss(micro_batch, stats))
        self.sync_guard.updated(grad_norm=update.grad_norm, learning_rate=update.learning_rate)
        num_tokens = micro_batches[0].loss.counts.num_tokens
        self.report({f"rl/policy/{name}": value for name, value in self.sums_over_ranks(stats).items()})
        self.report(
            {
                "rl/loss": update.loss,
                "rl/grad_norm": update.grad_norm,
                "rl/learning_rate": update.learning_rate,
                "rl/speed/update_tokens_per_second": num_tokens / (time.monotonic() - started),
            }
        )

    def _loss(self, micro_batch: MicroBatch, stats: dict[str, Tensor]) -> Tensor:
        """Loss of one micro-batch; what it adds to the window's statistics goes into `stats`."""
        micro_batch = micro_batch.to(self.device)  # the window stays on CPU
        if self.self_check is not None:
            self.self_check(self.policy, micro_batch.tokens)
            self.self_check = None
        scores = self.score_tokens(self.policy, micro_batch.tokens)
        loss, parts = self.objective.loss(scores.logprobs, scores.entropy, micro_batch.loss)
        for name, value in parts.items():
            stats[name] = stats.get(name, 0.0) + value.detach()
        return loss

    def _fill_window(self, indices: Sequence[int]) -> None:
        started = time.monotonic()
        self.sync_guard.check(self.engine.weights_digest(self.policy))
        rollouts = self.refill.sample(
            indices,
            lambda chosen, seed: self.sample(
                [self.prompts[index] for index in chosen],
                sampling=self.sampling,
                num_samples=self.group_size,
                seed=seed,
            ),
            step=self.global_step,
            seed=self.seed + self.global_step,
        )
        sampled = time.monotonic()
        judged = self.objective.judge(self.policy, rollouts, progress=self.global_step / self.num_steps)
        rewards, advantages = judged.rewards, judged.advantages
        rewarded = time.monotonic()
        self.window.fill(rollouts, advantages, judged.readings)
        if self.trainer.is_global_zero:
            self.keep_rollouts(self.global_step, rollouts, rewards, advantages)
        metrics = reward_metrics(rewards, min_std=self.min_std) | rollout_metrics(rollouts)
        metrics |= self.objective.reward.metrics() | judged.metrics | self.refill.metrics()
        num_tokens = metrics["rl/rollout/tokens"] * rewards.total.numel()
        metrics["rl/speed/rollout_tokens_per_second"] = num_tokens / (sampled - started)
        metrics["rl/speed/reward_seconds"] = rewarded - sampled
        self.report(metrics, note=f"reward {metrics['rl/reward/total']:.3f}")
        self.guard.check(metrics)

    def sample(self, prompts: Sequence[RlPrompt], *, sampling: Sampling, num_samples: int, seed: int) -> RolloutBatch:
        """Completions of the policy as it is now, read by the strict parser.

        Ranks draw a share of the prompts each, as one rank would, and all get the whole: rewards, advantages and guards
        then see on every rank what they would see on one.
        """
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        own = range(rank, len(prompts), world_size)
        drawn = self.engine.generate(
            self.policy, [prompts[i].token_ids for i in own], num_samples=num_samples, sampling=sampling, seed=seed,
            positions=own,
        )  # fmt: skip
        shares = self.gather_from_ranks(drawn)
        completions = [shares[i % world_size][i // world_size] for i in range(len(prompts))]
        parsed = [
            [self._parse(one, prompt) for one in group] for prompt, group in zip(prompts, completions, strict=True)
        ]
        return RolloutBatch(prompts=prompts, completions=completions, parsed=parsed, vocabulary=self.tags)

    def _parse(self, completion: Completion, prompt: RlPrompt) -> ParsedCompletion:
        return parse(completion.text, self.tags, prompt.prompt.thinking, is_valid=prompt.task.is_valid)

    def validate(self) -> dict[str, float]:
        """Mean task score of greedy answers to the same few questions of dev people, and whether they can be read."""
        greedy = Sampling(temperature=0.0, top_p=1.0, top_k=0, max_new_tokens=self.sampling.max_new_tokens)
        rollouts = self.sample(self.dev_prompts, sampling=greedy, num_samples=1, seed=self.seed)
        parsed = [group[0] for group in rollouts.parsed]
        scores = [
            prompt.task.score(one.answer, prompt.gold)
            for prompt, one in zip(self.dev_prompts, parsed, strict=True)
            if prompt.gold is not None
        ]
        metrics = {
            "rl/dev/score": sum(scores) / len(scores),
            "rl/dev/parse_failures": sum(not one.g_answer for one in parsed) / len(parsed),
        }
        if len(self.tags):
            metrics["rl/dev/g_tags"] = sum(bool(one.g_tags) for one in parsed) / len(parsed)
        return metrics

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["rl"] = {"window": self.window.state_dict(), "guard": self.guard.state_dict()}
        checkpoint["rl"]["refill"] = self.refill.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.window.load_state_dict(checkpoint["rl"]["window"])
        self.guard.load_state_dict(checkpoint["rl"]["guard"])
        self.refill.load_state_dict(checkpoint["rl"]["refill"])
