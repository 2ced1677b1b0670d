"""The two training loops, ours and TRL's, as sides that pause after each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from tagpr.context import StageContext
from tagpr.schema import TrainerSettings
from tagpr.training.fit import fit
from tagpr.training.module import ManualModule
from tagpr.training.optimizer import OptimizerSettings, adamw, constant

LEARNING_RATE, CLIP_NORM = 1e-5, 0.5


class PausingLoader:
    """Batches by step number; pauses before each."""

    def __init__(self, batch: Callable[[int], Any], pause: Callable[[], None]) -> None:
        self.batch, self.pause = batch, pause

    def __iter__(self) -> Iterator[Any]:
        step = 0
        while True:
            self.pause()
            yield self.batch(step)
            step += 1

    def share(self, *, rank: int, world_size: int) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class PauseAfterSteps(TrainerCallback):
    """Pauses TRL before its first step and after every one."""

    def __init__(self, pause: Callable[[], None]) -> None:
        self.pause = pause

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self.pause()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.pause()


def our_optimizer() -> OptimizerSettings:
    return OptimizerSettings(
        create=partial(adamw, learning_rate=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0),
        schedule=partial(constant, warmup_steps=0),
        clip_norm=CLIP_NORM,
    )


def our_loop(
    module: Callable[[], ManualModule],
    batch: Callable[[int], Any],
    folder: Path,
    *,
    num_steps: int,
    threads: int,
    pause: Callable[[], None],
) -> None:
    """`fit`, as the stages call it."""
    folder.mkdir(parents=True)
    fit(
        module(),
        loader=PausingLoader(batch, pause),
        num_steps=num_steps,
        settings=TrainerSettings(
            accelerator="cpu",
            devices=1,
            strategy="auto",
            precision="32-true",
            threads=threads,
            checkpoint_every=num_steps,
            keep_last=1,
        ),
        output=folder,
        context=StageContext(stage="bench", seed=0, checkpoints=folder / "checkpoints"),
    )


def their_arguments(folder: Path, *, num_steps: int) -> dict[str, Any]:
    """What makes TRL fast on CPU in float32: no autocast, no activation checkpointing; and no talk."""
    return {
        "output_dir": str(folder),
        "max_steps": num_steps,
        "bf16": False,
        "gradient_checkpointing": False,
        "use_cpu": True,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "max_grad_norm": CLIP_NORM,
        "save_strategy": "no",
        "logging_steps": 10_000,
        "disable_tqdm": True,
        "report_to": "none",
    }
