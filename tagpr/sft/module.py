"""The SFT step: one optimizer step on completion tokens."""

from __future__ import annotations

import time

from torch import nn
from transformers import PreTrainedModel

from tagpr.sft.datamodule import SftBatch
from tagpr.sft.loss import completion_loss
from tagpr.training.module import ManualModule
from tagpr.training.optimizer import OptimizerSettings


class SftModule(ManualModule):
    """Trains a policy to write the chains.

    Args:
        policy: trained in place.
        dev: held-out chains; None: nothing to validate on.
        chunk_size: rows whose logits exist at a time.
    """

    def __init__(
        self,
        *,
        policy: PreTrainedModel,
        dev: SftBatch | None,
        chunk_size: int,
        optimizer: OptimizerSettings,
        num_steps: int,
    ) -> None:
        super().__init__(optimizer=optimizer, num_steps=num_steps)
        self.policy = policy
        self.dev = dev
        self.chunk_size = chunk_size

    def trained(self) -> nn.Module:
        return self.policy

    def training_step(self, batch: SftBatch, batch_idx: int) -> None:
        started = time.monotonic()
        num_tokens = self.sum_over_ranks(batch.num_tokens)
        update = self.update(
            batch.micro_batches,
            lambda part: completion_loss(
                self.policy, part.to(self.device), num_tokens=num_tokens, chunk_size=self.chunk_size
            ),
        )
        self.report(
            {
                "sft/loss": update.loss,
                "sft/grad_norm": update.grad_norm,
                "sft/learning_rate": update.learning_rate,
                "sft/completion_tokens_per_second": num_tokens / (time.monotonic() - started),
            }
        )

    def validate(self) -> dict[str, float]:
        if self.dev is None:
            return {}
        losses = [
            completion_loss(
                self.policy, part.to(self.device), num_tokens=self.dev.num_tokens, chunk_size=self.chunk_size
            )
            for part in self.dev.micro_batches
        ]
        return {"sft/dev_loss": float(sum(losses))}
