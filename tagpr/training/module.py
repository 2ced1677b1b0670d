"""The base of every module that trains: one `training_step` is exactly one optimizer step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tagpr.training.optimizer import OptimizerSettings


class TrainingDiverged(RuntimeError):
    """The loss or the gradient is NaN or infinite; the weights are those before the step."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """What one optimizer step was."""

    loss: float  # sum over the micro-batches and ranks
    grad_norm: float  # before clipping
    learning_rate: float


class ManualModule(pl.LightningModule):
    """Manual optimization with one optimizer.

    A subclass writes `training_step(batch, batch_idx)`, in which it calls `self.update(...)` exactly once and
    `self.report(...)` as it likes, and `validate()` where it has something to validate. State that a step depends on
    (an RL window, a running mean) goes into the checkpoint through `on_save_checkpoint` / `on_load_checkpoint` as
    tensors, numbers, strings, lists and dictionaries: checkpoints are loaded with `weights_only=True`.

    Args:
        optimizer: settings of the group `optimizer`.
        num_steps: optimizer steps of the whole training, for the schedule.
    """

    def __init__(self, *, optimizer: OptimizerSettings, num_steps: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.optimizer_settings = optimizer
        self.num_steps = num_steps
        self.metrics: dict[str, float] = {}  # of the current step; `fit` empties it
        self.note = ""

    def validate(self) -> dict[str, float]:
        """Metrics on held-out data; called without gradient, in eval mode, on a random state of its own."""
        return {}

    def trained(self) -> nn.Module:
        """The part whose parameters the optimizer gets; a subclass with frozen parts may narrow it."""
        return self

    def configure_optimizers(self) -> Optimizer:
        optimizer = self.optimizer_settings.create(self.trained())
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
        return optimizer

    def update(self, micro_batches: Iterable[Any], loss: Callable[[Any], Tensor]) -> Update:
        """One optimizer step from the sum of `loss` over the micro-batches.

        Every micro-batch's loss is already divided by the whole step's count (of tokens, pairs, ...), fixed beforehand
        and over all ranks, so that 8 micro-batches of 1 equal 1 of 8.

        Raises:
            TrainingDiverged: the loss or the gradient norm is not finite; no weight has changed.
        """
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        micro_batches = list(micro_batches)
        total = torch.zeros((), device=self.device)
        optimizer.zero_grad()
        for i, micro_batch in enumerate(micro_batches):
            with self._synchronised(last=i == len(micro_batches) - 1):
                part = loss(micro_batch)
                self.manual_backward(part)
            total += part.detach()
        # Ranks hold parts of one loss, whereas DDP averages their gradients: undo the division.
        world_size = self.trainer.world_size
        if world_size > 1:
            total = self.trainer.strategy.reduce(total, reduce_op="sum")
            for parameter in self.trained().parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(world_size)
        parameters = [parameter for parameter in self.trained().parameters() if parameter.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.optimizer_settings.clip_norm)
        step_loss, grad_norm = float(total), float(norm)
        if not (torch.isfinite(torch.tensor([step_loss, grad_norm])).all()):
            optimizer.zero_grad()
            raise TrainingDiverged(
                f"Step {self.global_step + 1}: loss {step_loss}, gradient norm {grad_norm}; both must be finite. "
                "The last good checkpoint is kept. Lower the learning rate or clip_norm of this stage's optimizer."
            )
        factor = self.optimizer_settings.schedule(self.global_step, self.num_steps)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        learning_rate = optimizer.param_groups[0]["lr"]
        optimizer.step()
        self.note = f"loss {step_loss:.3f}"
        return Update(loss=step_loss, grad_norm=grad_norm, learning_rate=learning_rate)

    def sum_over_ranks(self, count: int) -> int:
        """A count of this rank's batch (tokens, pairs, ...) as the whole step's: what losses are divided by."""
        if self.trainer.world_size == 1:
            return count
        return int(self.trainer.strategy.reduce(torch.tensor(count, device=self.device), reduce_op="sum"))

    def sums_over_ranks(self, sums: Mapping[str, Tensor | float]) -> dict[str, float]:
        """What every rank has summed over its share of a step, as the whole step's sums; all ranks name the same."""
        values = torch.tensor([float(value) for value in sums.values()], dtype=torch.float64)
        if self.trainer.world_size > 1:
            # Lightning's reduce takes float64 on CPU and CUDA; MPS, which lacks it, has no second device.
            values = self.trainer.strategy.reduce(values.to(self.device), reduce_op="sum").cpu()
        return dict(zip(sums, values.tolist(), strict=True))

    def gather_from_ranks(self, mine: Any) -> list[Any]:
        """Every rank's object, in the order of ranks; plain data that pickles."""
        if self.trainer.world_size == 1:
            return [mine]
        gathered: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(gathered, mine)
        return gathered

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Batches stay where the loader made them; a step moves each micro-batch when its turn comes."""
        return batch

    def report(self, metrics: Mapping[str, float], *, note: str = "") -> None:
        """Metrics of this step, named `stage/quantity`, for metrics.csv and the loggers; the note goes to the bar."""
        self.metrics |= {name: float(value) for name, value in metrics.items()}
        self.note = note or self.note

    def _synchronised(self, *, last: bool) -> Any:
        """Ranks exchange gradients at the last micro-batch only."""
        wrapped = self.trainer.strategy.model
        if last or not isinstance(wrapped, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return wrapped.no_sync()
