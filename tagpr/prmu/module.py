"""Training PRMU: one step is a few blocks of pairs and one optimizer step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tagpr.prmu.datamodule import PairBatch
from tagpr.prmu.loss import contrast_loss, pair_loss, personal_contrast, score_penalty, win_share
from tagpr.prmu.model import PrmuModel
from tagpr.training.module import ManualModule
from tagpr.training.optimizer import OptimizerSettings


@dataclass(frozen=True, kw_only=True)
class PrmuObjective:
    """Loss = pairs + contrast_weight * contrast + l2 * penalty. Built from `prmu.objective`.

    Args:
        margin: m >= 0, reward by which chosen should lead.
        temperature: tau > 0 of the training loss.
        contrast_weight: l_s >= 0.
        l2: >= 0.
    """

    margin: float
    temperature: float
    contrast_weight: float
    l2: float

    def __call__(self, rewards: Tensor, batch: PairBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a micro-batch and its parts, from R of shape (U, B)."""
        device = rewards.device
        user, weights = batch.user.to(device), batch.weights.to(device)
        chosen, rejected = rewards[user, batch.chosen.to(device)], rewards[user, batch.rejected.to(device)]
        at, other = batch.contrast.to(device), batch.other.to(device)
        other_margin = rewards[other, batch.chosen.to(device)[at]] - rewards[other, batch.rejected.to(device)[at]]
        contrast = personal_contrast((chosen - rejected)[at], other_margin)
        parts = {
            "pairs": pair_loss(chosen, rejected, weights, margin=self.margin, temperature=self.temperature),
            "contrast": contrast_loss(contrast, batch.contrast_weights.to(device), temperature=self.temperature),
            "l2": score_penalty(chosen, rejected, weights),
        }
        loss = parts["pairs"] + self.contrast_weight * parts["contrast"] + self.l2 * parts["l2"]
        with torch.no_grad():
            parts["wins"] = win_share(chosen - rejected).sum()
            told_apart = batch.contrast_weights > 0
            parts["swap_wins"] = win_share(contrast.detach().cpu()[told_apart]).sum()
        return loss, parts


class PrmuModule(ManualModule):
    """Thin Lightning shell around PrmuModel.

    Args:
        model: trained in place, backbone included.
        evaluate: metrics on held-out pairs, called by `fit` now and then.
    """

    def __init__(
        self,
        *,
        model: PrmuModel,
        objective: PrmuObjective,
        optimizer: OptimizerSettings,
        num_steps: int,
        evaluate: Callable[[PrmuModel], dict[str, float]],
    ) -> None:
        super().__init__(optimizer=optimizer, num_steps=num_steps)
        self.model = model
        self.objective = objective
        self.evaluate = evaluate

    def trained(self) -> nn.Module:
        return self.model

    def validate(self) -> dict[str, float]:
        return self.evaluate(self.model)

    def training_step(self, micro_batches: list[PairBatch], batch_idx: int) -> None:
        sums: dict[str, float] = {}

        def loss(batch: PairBatch) -> Tensor:
            value, parts = self.objective(self.model(batch.users, batch.candidates, batch.needed), batch)
            for name, part in parts.items():
                sums[name] = sums.get(name, 0.0) + float(part.detach())
            return value

        update = self.update(micro_batches, loss)
        sums["num_pairs"] = sum(len(batch.user) for batch in micro_batches)
        sums["num_contrasts"] = sum(int((batch.contrast_weights > 0).sum()) for batch in micro_batches)
        sums = self.sums_over_ranks(sums)
        num_pairs, num_contrasts = sums["num_pairs"], sums["num_contrasts"]
        metrics = {
            "prmu/loss": update.loss,
            "prmu/loss/pairs": sums["pairs"],
            "prmu/loss/contrast": sums["contrast"],
            "prmu/loss/l2": sums["l2"],
            "prmu/accuracy": sums["wins"] / num_pairs,
            "prmu/num_pairs": num_pairs,
            "prmu/grad_norm": update.grad_norm,
            "prmu/learning_rate": update.learning_rate,
        }
        if num_contrasts:
            metrics["prmu/swap_accuracy"] = sums["swap_wins"] / num_contrasts
        self.report(metrics, note=f"loss {update.loss:.3f} acc {metrics['prmu/accuracy']:.2f}")
