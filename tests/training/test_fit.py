"""Training goes on exactly where it was killed."""

from __future__ import annotations

import csv
import functools
import multiprocessing
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn

from tagpr.context import StageContext, StopRequested
from tagpr.schema import TrainerSettings
from tagpr.training.best import BestBy
from tagpr.training.checkpoints import DamagedCheckpoint, list_checkpoints
from tagpr.training.fit import fit
from tagpr.training.loader import ResumableLoader
from tagpr.training.module import ManualModule, TrainingDiverged
from tagpr.training.optimizer import OptimizerSettings, adamw, linear
from tagpr.training.rng import seed_everything

NUM_ITEMS, BATCH_SIZE, STEPS = 22, 4, 14  # 6 steps per epoch: epochs end at 6 and 12
FEATURES = torch.randn(NUM_ITEMS, 3, generator=torch.Generator().manual_seed(1))


class Killed(Exception):
    pass


class Regression(ManualModule):
    """Dropout makes each step depend on torch's random state; the loader's noise on its own."""

    def __init__(self, *, die_at: int | None = None, nan_at: int | None = None, seconds_per_step: float = 0.0) -> None:
        settings = OptimizerSettings(
            create=functools.partial(adamw, learning_rate=0.05, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1),
            schedule=functools.partial(linear, warmup_steps=2, final_factor=0.1),
            clip_norm=1.0,
        )
        super().__init__(optimizer=settings, num_steps=STEPS)
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.die_at = die_at
        self.nan_at = nan_at
        self.seconds_per_step = seconds_per_step

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        if self.global_step == self.die_at:
            raise Killed
        time.sleep(self.seconds_per_step)
        scale = float("nan") if self.global_step == self.nan_at else 1.0
        update = self.update(batch.split(3), lambda part: scale * self.net(part).square().sum() / BATCH_SIZE)
        self.report({"toy/loss": update.loss, "toy/rate": update.learning_rate})

    def validate(self) -> dict[str, float]:
        assert not self.net.training
        return {"toy/dev": float(self.net(FEATURES).abs().mean())}


def settings(**changes: Any) -> TrainerSettings:
    values = {
        "accelerator": "cpu",
        "devices": 1,
        "strategy": "auto",
        "precision": "32-true",
        "threads": 1,
        "checkpoint_every": 1,
        "keep_last": 3,
    }
    return TrainerSettings(**(values | changes))


def train(
    folder: Path, *, stop: threading.Event | None = None, trainer: TrainerSettings | None = None, **arguments: Any
):
    """One call as a stage makes it, on a fresh module; returns the module and the result."""
    seed_everything(5)
    module = Regression(
        **{name: arguments.pop(name) for name in ("die_at", "nan_at", "seconds_per_step") if name in arguments}
    )
    loader = ResumableLoader(
        num_items=NUM_ITEMS,
        batch_size=BATCH_SIZE,
        seed=3,
        collate=lambda indices, generator: FEATURES[indices] + torch.tensor(generator.normal(), dtype=torch.float32),
    )
    loggers = [arguments.pop("logger")] if "logger" in arguments else []
    context = StageContext(
        stage="toy",
        seed=5,
        checkpoints=folder / "checkpoints",
        stop=stop or threading.Event(),
        make_loggers=lambda output: loggers,
    )
    output = folder / "output"
    output.mkdir(exist_ok=True, parents=True)
    result = fit(
        module,
        loader=loader,
        num_steps=STEPS,
        settings=trainer or settings(),
        output=output,
        context=context,
        **arguments,
    )
    return module, result


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "output" / "metrics.csv") as file:
        return list(csv.DictReader(file))


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Regression, list[dict[str, str]]]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    module, result = train(folder, validate_every=4)
    assert (result.steps, result.resumed_from, result.best_step) == (STEPS, 0, None)
    return module, rows(folder)


@pytest.mark.parametrize("die_at", [1, 3, 5, 6, 7, 9, 12, 13])
def test_killed_and_resumed_is_bit_identical(tmp_path: Path, uninterrupted: Any, die_at: int) -> None:
    with pytest.raises(Killed):
        train(tmp_path, die_at=die_at, validate_every=4)
    module, result = train(tmp_path, validate_every=4)
    assert result.resumed_from == die_at
    assert same_weights(module, uninterrupted[0])
    assert rows(tmp_path) == uninterrupted[1]


def test_kill_9_is_survived(tmp_path: Path, uninterrupted: Any) -> None:
    every_third = settings(checkpoint_every=3)
    # Forked, not started anew: torch is imported already. The child is killed between two checkpoints, mid-step.
    child = multiprocessing.get_context("fork").Process(
        target=train, args=(tmp_path,), kwargs={"validate_every": 4, "trainer": every_third, "seconds_per_step": 0.05}
    )
    child.start()
    rows_so_far = tmp_path / "checkpoints" / "metrics.jsonl"
    while not rows_so_far.exists() or len(rows_so_far.read_text().splitlines()) < 8:
        assert child.is_alive()
        time.sleep(0.005)
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    module, result = train(tmp_path, validate_every=4, trainer=every_third)
    assert result.resumed_from == 6
    assert same_weights(module, uninterrupted[0])
    assert rows(tmp_path) == uninterrupted[1]


@pytest.mark.parametrize("die_at", [4, 8])
def test_steps_since_the_last_checkpoint_are_made_again(tmp_path: Path, uninterrupted: Any, die_at: int) -> None:
    with pytest.raises(Killed):
        train(tmp_path, die_at=die_at, validate_every=4, trainer=settings(checkpoint_every=3))
    module, result = train(tmp_path, validate_every=4, trainer=settings(checkpoint_every=3))
    assert result.resumed_from == 3 * (die_at // 3)
    assert same_weights(module, uninterrupted[0])
    assert rows(tmp_path) == uninterrupted[1]


def test_killed_after_the_last_step(tmp_path: Path, uninterrupted: Any) -> None:
    train(tmp_path, validate_every=4)
    module, result = train(tmp_path, validate_every=4)
    assert result.resumed_from == STEPS
    assert same_weights(module, uninterrupted[0])
    assert rows(tmp_path) == uninterrupted[1]


def test_validation_does_not_change_training(tmp_path: Path, uninterrupted: Any) -> None:
    module, _ = train(tmp_path)
    assert same_weights(module, uninterrupted[0])


def test_metrics_have_one_row_per_step(uninterrupted: Any) -> None:
    table = uninterrupted[1]
    assert [int(row["step"]) for row in table] == list(range(1, STEPS + 1))
    assert [int(row["step"]) for row in table if row["toy/dev"]] == [4, 8, 12, 14]
    assert float(table[0]["toy/rate"]) == pytest.approx(0.025)  # half of the rate: step 1 of 2 of the warm-up
    assert float(table[-1]["toy/rate"]) == pytest.approx(0.005)


@pytest.mark.parametrize("die_at", [None, 1, 6])
def test_the_start_is_validated_once_and_changes_nothing(
    tmp_path: Path, uninterrupted: Any, die_at: int | None
) -> None:
    if die_at:  # 1: before the first checkpoint, so that step 0 is made again
        with pytest.raises(Killed):
            train(tmp_path, die_at=die_at, validate_every=4, validates_start=True, trainer=settings(checkpoint_every=3))
    module, _ = train(tmp_path, validate_every=4, validates_start=True, trainer=settings(checkpoint_every=3))
    assert same_weights(module, uninterrupted[0])
    table = rows(tmp_path)
    assert [int(row["step"]) for row in table] == list(range(STEPS + 1))
    assert [int(row["step"]) for row in table if row["toy/dev"]] == [0, 4, 8, 12, 14]
    assert not table[0]["toy/rate"]


def test_stop_saves_and_leaves(tmp_path: Path, uninterrupted: Any) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StopRequested, match="step 1 of 14"):
        train(tmp_path, stop=stop, trainer=settings(checkpoint_every=100), validate_every=4)
    module, result = train(tmp_path, validate_every=4)
    assert result.resumed_from == 1
    assert same_weights(module, uninterrupted[0])


def test_the_last_step_is_saved_and_left_as_well(tmp_path: Path, uninterrupted: Any) -> None:
    stop = threading.Event()

    class StopsAtTheEnd(Remembers):
        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            if step == STEPS - 1:
                stop.set()

    with pytest.raises(StopRequested, match=f"step {STEPS} of {STEPS}"):
        train(tmp_path, stop=stop, logger=StopsAtTheEnd(), validate_every=4)
    module, result = train(tmp_path, validate_every=4)
    assert result.resumed_from == STEPS
    assert same_weights(module, uninterrupted[0])


def test_the_handler_of_the_command_stays_in_place(tmp_path: Path) -> None:
    """Lightning's own would end the process between two of our looks, unsaved and with exit code 0."""
    seen = []

    class Looks(Remembers):
        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            seen.append(signal.getsignal(signal.SIGTERM))

    def ours(number: int, frame: Any) -> None: ...

    before = signal.signal(signal.SIGTERM, ours)
    try:
        train(tmp_path, logger=Looks())
        assert seen == [ours] * STEPS
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


def test_divergence_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match="Step 6: loss nan"):
        train(tmp_path, nan_at=5)
    checkpoint = list_checkpoints(tmp_path / "checkpoints")[-1]
    assert checkpoint.name == "step_00000005.ckpt"
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(torch.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, uninterrupted: Any, damage: str) -> None:
    with pytest.raises(Killed):
        train(tmp_path, die_at=7, validate_every=4)
    newest = list_checkpoints(tmp_path / "checkpoints")[-1]
    content = bytearray(newest.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        bias = torch.load(newest, weights_only=True)["state_dict"]["net.0.bias"]
        content[content.index(bias.numpy().tobytes())] ^= 0x01
    newest.write_bytes(content)
    with pytest.warns(DamagedCheckpoint, match="going on from step 6"):
        module, result = train(tmp_path, validate_every=4)
    assert result.resumed_from == 6
    assert same_weights(module, uninterrupted[0])
    assert rows(tmp_path) == uninterrupted[1]


def test_only_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    train(tmp_path, trainer=settings(checkpoint_every=4, keep_last=2))
    assert [path.name for path in list_checkpoints(tmp_path / "checkpoints")] == [
        "step_00000012.ckpt",
        "step_00000014.ckpt",
    ]
    assert not list((tmp_path / "checkpoints").glob("*.tmp"))


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_best_weights_are_loaded_also_after_a_kill(tmp_path: Path, higher_is_better: bool) -> None:
    best = BestBy(metric="toy/dev", higher_is_better=higher_is_better)
    whole, result = train(tmp_path / "whole", validate_every=1, best=best)
    values = [float(row["toy/dev"]) for row in rows(tmp_path / "whole")]
    expected = int(np.argmax(values) if higher_is_better else np.argmin(values)) + 1
    assert result.best_step == expected
    assert whole.eval().net(FEATURES).abs().mean().item() == pytest.approx(values[expected - 1])
    with pytest.raises(Killed):
        train(tmp_path / "killed", validate_every=1, best=best, die_at=11, trainer=settings(checkpoint_every=4))
    resumed, again = train(tmp_path / "killed", validate_every=1, best=best, trainer=settings(checkpoint_every=4))
    assert again.best_step == expected
    assert same_weights(whole, resumed)


def test_training_ends_when_the_best_has_stood_for_long(tmp_path: Path) -> None:
    """The best step and `patience` more; killed anywhere, the last step included, it ends there all the same."""
    best = BestBy(metric="toy/dev", higher_is_better=False)
    train(tmp_path / "whole", validate_every=1, best=best)
    values = [float(row["toy/dev"]) for row in rows(tmp_path / "whole")]
    lowest = np.minimum.accumulate(values)
    # The first step whose value and the one before it are no new lows.
    last = next(i for i in range(2, STEPS) if lowest[i] == lowest[i - 2]) + 1
    assert last < STEPS
    stopped, result = train(tmp_path / "stopped", validate_every=1, best=best, patience=2)
    assert (result.steps, result.best_step) == (last, last - 2)
    assert [int(row["step"]) for row in rows(tmp_path / "stopped")] == list(range(1, last + 1))
    assert stopped.eval().net(FEATURES).abs().mean().item() == pytest.approx(values[last - 3])
    again, result = train(tmp_path / "stopped", validate_every=1, best=best, patience=2)
    assert (result.resumed_from, result.steps) == (last, last)
    with pytest.raises(Killed):
        train(tmp_path / "killed", validate_every=1, best=best, patience=2, die_at=last - 1)
    resumed, _ = train(tmp_path / "killed", validate_every=1, best=best, patience=2)
    assert rows(tmp_path / "killed") == rows(tmp_path / "stopped")
    assert same_weights(stopped, again)
    assert same_weights(stopped, resumed)


def test_patience_needs_something_to_wait_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="patience=2 counts validations since the best ones"):
        train(tmp_path, validate_every=1, patience=2)


class Remembers(Logger):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    @property
    def name(self) -> str:
        return "remembers"

    @property
    def version(self) -> int:
        return 0

    def log_hyperparams(self, params: Any) -> None:
        raise AssertionError("hyperparameters are the manifest's matter")

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, metrics))


def test_loggers_get_every_step_once(tmp_path: Path) -> None:
    logger = Remembers()
    with pytest.raises(Killed):
        train(tmp_path, die_at=5, logger=logger)
    train(tmp_path, logger=logger, validate_every=7)
    assert [step for step, _ in logger.rows] == list(range(1, STEPS + 1))
    assert [step for step, metrics in logger.rows if "toy/dev" in metrics] == [7, 14]


def test_two_updates_in_one_step_are_refused(tmp_path: Path) -> None:
    class Twice(Regression):
        def training_step(self, batch: Tensor, batch_idx: int) -> None:
            super().training_step(batch, batch_idx)
            super().training_step(batch, batch_idx)

    loader = ResumableLoader(num_items=8, batch_size=4, seed=0, collate=lambda indices, generator: FEATURES[indices])
    context = StageContext(stage="toy", seed=0, checkpoints=tmp_path / "checkpoints")
    with pytest.raises(RuntimeError, match="made 2 optimizer steps, expected 1"):
        fit(Twice(), loader=loader, num_steps=3, settings=settings(), output=tmp_path, context=context)


def test_terminal_stays_quiet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    train(tmp_path)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""
    assert not list(recwarn)
