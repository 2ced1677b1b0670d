"""Train a module for a number of steps with Lightning, so that a killed run goes on exactly where it was."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.warnings import PossibleUserWarning
from pytorch_lightning.strategies import DDPStrategy

from tagpr.context import RankDone, StageContext, StopRequested
from tagpr.schema import TrainerSettings
from tagpr.training.best import BestBy, BestWeights
from tagpr.training.checkpoints import checkpoint_path, checkpoint_step, keep_last, newest_sound, write_atomically
from tagpr.training.metrics_log import MetricsLog
from tagpr.training.module import ManualModule
from tagpr.training.rng import isolated_rng, rng_state, seed_everything, set_rng_state


class StatefulLoader(Protocol):
    """What `fit` asks of a loader: endless batches and a place in them. `ResumableLoader` is one."""

    def __iter__(self) -> Iterator[Any]: ...

    def share(self, *, rank: int, world_size: int) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class FitResult:
    steps: int  # optimizer steps that the weights have seen
    resumed_from: int  # step of the checkpoint this call went on from; 0 where it began anew
    seconds: float  # of training, earlier calls included
    best_step: int | None  # the step whose weights the module holds, where `best` was asked for
    final: Mapping[str, float]  # last value of each metric


def fit(
    module: ManualModule,
    *,
    loader: StatefulLoader,
    num_steps: int,
    settings: TrainerSettings,
    output: Path,
    context: StageContext,
    validate_every: int = 0,
    validates_start: bool = False,
    best: BestBy | None = None,
    patience: int | None = None,
) -> FitResult:
    """Train `module` in place for `num_steps` optimizer steps and write `output/metrics.csv`.

    A checkpoint goes to `context.checkpoints` every `settings.checkpoint_every` steps, at the last step and when
    `context.stop` is set; a call that finds one there goes on from it. On CPU the weights at the end are then the same,
    bit for bit, as without the interruption, if the module's and the loader's state is complete.

    Args:
        validate_every: steps between calls of `module.validate()`, which is also called at the last step; 0: never.
        validates_start: also before the first step, as step 0 of the metrics; it is no candidate for `best`.
        best: keep the weights with the best validation metric and load them at the end.
        patience: end training before `num_steps` after so many validations in a row without a new best; None: never.
    Raises:
        TrainingDiverged: NaN or infinity in loss or gradient; earlier checkpoints stay.
        StopRequested: `context.stop` was set on a rank; a checkpoint of the last step done has been written.
        RankDone: always, on ranks other than 0, in place of a result.
    """
    if best and not validate_every:
        raise ValueError(
            f"The best weights by {best.metric} were asked for, but validate_every=0: set it to 1 or more."
        )
    if patience is not None and not best:
        raise ValueError(f"patience={patience} counts validations since the best ones: it needs `best`.")
    context.checkpoints.mkdir(parents=True, exist_ok=True)
    checkpoint = newest_sound(context.checkpoints)
    resumed_from = checkpoint_step(checkpoint) if checkpoint else 0
    first = context.rank == 0
    # A row of step 0 is made again, too, where nothing was saved.
    log = MetricsLog(context.checkpoints / "metrics.jsonl", last_step=resumed_from if checkpoint else -1, writes=first)
    keeper = BestWeights(folder=context.checkpoints, best=best) if best and first else None
    with (
        _quiet(),
        _threads(settings.threads),
        _process_group_closed(),
        context.progress(f"training {context.stage}", total=num_steps, done=resumed_from, leaves=False) as advance,
    ):
        each_step = _EachStep(
            loader=loader,
            num_steps=num_steps,
            settings=settings,
            context=context,
            rows=log,
            advance=advance,
            validate_every=validate_every,
            validates_start=validates_start and validate_every > 0 and checkpoint is None,
            keeper=keeper,
            patience=patience,
        )
        trainer = pl.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=_strategy(settings),
            plugins=[LightningEnvironment()] if settings.devices > 1 else None,
            precision=settings.precision,  # pyright: ignore[reportArgumentType]
            max_steps=num_steps,
            max_epochs=-1,
            logger=(context.make_loggers(output) if first else []) or False,
            callbacks=[each_step],
            default_root_dir=context.checkpoints,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            # Lightning's own sampler would shuffle again: ranks are sliced by the loader.
            use_distributed_sampler=False,
        )
        if _frozen(module):
            module.strict_loading = False  # checkpoints leave frozen weights out
        trainer.fit(module, _Steps(loader, num_steps), ckpt_path=checkpoint, weights_only=True)
        if trainer.global_step != num_steps and not each_step.out_of_patience:
            raise RuntimeError(f"Training ended at step {trainer.global_step} of {num_steps}.")
    if not first:
        raise RankDone
    if keeper:
        keeper.load_into(module)
    log.write_csv(output / "metrics.csv")
    return FitResult(
        steps=trainer.global_step,
        resumed_from=resumed_from,
        seconds=each_step.seconds,
        best_step=keeper.step if keeper else None,
        final=log.final(),
    )


class _Steps:
    """The whole training as one Lightning epoch: given a length, Lightning fetches nothing ahead and meets no edges."""

    def __init__(self, loader: StatefulLoader, num_steps: int) -> None:
        self.loader = loader
        self.num_steps = num_steps

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[Any]:
        yield from self.loader

    def state_dict(self) -> dict[str, Any]:
        return self.loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.loader.load_state_dict(state_dict)


class _EachStep(pl.Callback):
    """After every step: validate, write metrics, save, show, and leave when asked to. Holds the random state."""

    def __init__(
        self,
        *,
        loader: StatefulLoader,
        num_steps: int,
        settings: TrainerSettings,
        context: StageContext,
        rows: MetricsLog,
        advance: Callable[..., None],
        validate_every: int,
        validates_start: bool,
        keeper: BestWeights | None,
        patience: int | None,
    ) -> None:
        self.loader = loader
        self.num_steps = num_steps
        self.settings = settings
        self.context = context
        self.rows = rows
        self.advance = advance
        self.validate_every = validate_every
        self.validates_start = validates_start
        self.keeper = keeper
        self.patience = patience
        self.out_of_patience = False
        self.seconds = 0.0
        self.saved_rng: list[dict[str, Any]] | None = None
        self.best_of_kept: list[int] = []  # the best step known to each checkpoint that is kept
        self.step_before = 0
        # Lightning puts its own handler before ours, which ends the process at a place where nothing has been saved.
        in_main = threading.current_thread() is threading.main_thread()
        self.handlers = {signal.SIGTERM: signal.getsignal(signal.SIGTERM)} if in_main else {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.loader.share(rank=trainer.global_rank, world_size=trainer.world_size)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.started = time.monotonic() - self.seconds
        if self.saved_rng is None and trainer.world_size > 1:
            seed_everything(self.context.seed + trainer.global_rank)
        if self.validates_start:
            assert isinstance(pl_module, ManualModule)
            metrics = _validated(pl_module)
            self.rows.add(0, metrics)
            for logger in trainer.loggers:
                logger.log_metrics(metrics, step=0)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # As late as possible: whatever Lightning or a logger draws while starting up must not count.
        if self.saved_rng is not None:
            set_rng_state(self.saved_rng[trainer.global_rank])
            self.saved_rng = None
        self.step_before = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, ManualModule)
        step = trainer.global_step
        if step != self.step_before + 1:
            raise RuntimeError(
                f"{type(pl_module).__name__}.training_step made {step - self.step_before} optimizer steps, "
                "expected 1: call self.update() exactly once."
            )
        self.seconds = time.monotonic() - self.started
        metrics, pl_module.metrics = pl_module.metrics, {}
        if self.validate_every and (step % self.validate_every == 0 or step == self.num_steps):
            metrics |= _validated(pl_module)
            if self.keeper:
                self.keeper.consider(pl_module, step=step, metrics=metrics)
        # All ranks leave after the same step, or the others would wait for ever. Only the first one keeps the best.
        stopping = trainer.strategy.reduce_boolean_decision(self.context.stop.is_set(), all=False)
        if self.patience is not None:
            old = self.keeper is not None and self.keeper.stood >= self.patience
            self.out_of_patience = trainer.strategy.reduce_boolean_decision(old, all=False)
        self.rows.add(step, metrics)
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=step)
        done = self.out_of_patience or step == self.num_steps
        if stopping or done or step % self.settings.checkpoint_every == 0:
            self._save(trainer, step)
        self.advance(note=pl_module.note)
        trainer.should_stop = self.out_of_patience
        if stopping:
            raise StopRequested(f"step {step} of {self.num_steps}")

    def _save(self, trainer: pl.Trainer, step: int) -> None:
        self.rows.flush()
        if self.keeper and self.keeper.step is not None:
            self.best_of_kept = [*self.best_of_kept, self.keeper.step][-self.settings.keep_last :]
        path = checkpoint_path(self.context.checkpoints, step)
        if trainer.world_size == 1:
            write_atomically(path, trainer.save_checkpoint)
        else:
            # Every rank takes part in saving (it gathers their random states), the first one writes and renames.
            temporary = path.with_name(path.name + ".tmp")
            trainer.save_checkpoint(temporary)
            if trainer.is_global_zero:
                write_atomically(path, lambda to: temporary.rename(to) and None)
        if trainer.is_global_zero:
            keep_last(self.context.checkpoints, self.settings.keep_last)
            if self.keeper:
                self.keeper.prune(self.best_of_kept)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        rng: list[Any] = [rng_state()]
        if trainer.world_size > 1:
            rng = [None] * trainer.world_size
            torch.distributed.all_gather_object(rng, rng_state())
        # Frozen weights are the start's, which a resumed stage loads again.
        for name in _frozen(pl_module):
            checkpoint["state_dict"].pop(name)
        checkpoint["tagpr"] = {
            "rng": rng,
            "seconds": self.seconds,
            "best": self.keeper.state_dict() if self.keeper else {},
            "best_of_kept": self.best_of_kept,
            "out_of_patience": self.out_of_patience,
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint["tagpr"]
        self.seconds = state["seconds"]
        if len(state["rng"]) != trainer.world_size:
            raise ValueError(
                f"The checkpoint in {self.context.checkpoints} was made by {len(state['rng'])} processes, now there "
                f"are {trainer.world_size}: set trainer.devices back, or remove that folder to begin anew."
            )
        self.saved_rng = state["rng"]
        self.best_of_kept = state["best_of_kept"]
        if self.keeper:
            self.keeper.load_state_dict(state["best"])
        self.out_of_patience = trainer.should_stop = state["out_of_patience"]  # killed after the last step


def _validated(module: ManualModule) -> dict[str, float]:
    was_training = {part: part.training for part in module.modules()}
    module.eval()
    with torch.no_grad(), isolated_rng():
        metrics = module.validate()
    # Part by part: a frozen part that the module keeps in eval mode stays there.
    for part, training in was_training.items():
        part.training = training
    return metrics


def _frozen(module: torch.nn.Module) -> list[str]:
    """Names of parameters that are not trained, tied ones by each of their names."""
    return [name for name, one in module.named_parameters(remove_duplicate=False) if not one.requires_grad]


def _strategy(settings: TrainerSettings) -> str | DDPStrategy:
    """DDP that bears a parameter without a gradient in some micro-batch; processes are started by the pipeline."""
    return DDPStrategy(find_unused_parameters=True) if settings.devices > 1 else settings.strategy


@contextlib.contextmanager
def _process_group_closed() -> Iterator[None]:
    """The next stage has other helpers: it must not find this one's connections."""
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice about devices, workers and loggers is not for our users; its errors are."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric)\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
