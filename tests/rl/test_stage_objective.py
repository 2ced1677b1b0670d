"""The stage with what is off by default: it resumes exactly, replays exactly, and every knob does something."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from transformers import AutoModelForCausalLM

from tagpr.compose import composed
from tagpr.context import StageContext, StopRequested
from tagpr.data.prompts import CompactStyle
from tagpr.errors import BadInputError
from tagpr.lm.adapter import NoAdapter
from tagpr.lm.backbone import Backbone, save_policy
from tagpr.lm.generation.torch_engine import TorchEngine
from tagpr.rl.advantages import SegmentAdvantage, group, group_mean
from tagpr.rl.guards import WindowGuard
from tagpr.rl.kl import KlPenalty
from tagpr.rl.losses import grpo
from tagpr.rl.replay import replay_window, windows_of
from tagpr.rl.rewards.combine import additive
from tagpr.rl.rewards.composite import RewardSettings, TermSettings
from tagpr.rl.rewards.gates import g_answer
from tagpr.rl.rewards.overlong import OverlongPenalty
from tagpr.rl.rewards.process import ProcessReward, ProcessRewards, SpanReward
from tagpr.rl.rewards.schedules import constant
from tagpr.rl.rewards.task import task_score
from tagpr.rl.rollouts import RolloutBatch
from tagpr.rl.stage import RlSettings, RlStageSettings, run
from tagpr.schema import TrainerSettings
from tagpr.storage import read_rollouts, write_records
from tagpr.training.checkpoints import newest_sound
from tagpr.training.module import TrainingDiverged
from tagpr.training.optimizer import OptimizerSettings, adamw
from tagpr.training.optimizer import constant as constant_rate
from tests.stops import Interrupt

UNGATED = partial(additive, gate_weight=0.0)  # random weights hardly ever write an answer that can be read
OFF = KlPenalty(measured=False, in_reward=0.0, in_loss=0.0)


def fours(rollouts: RolloutBatch) -> torch.Tensor:
    return torch.tensor([[completion.text.count("4") / 2 for completion in group] for group in rollouts.completions])


@dataclass(frozen=True, kw_only=True)
class FirstTokens(ProcessReward):
    """A completion's first token is a span, worth 1 where it is a 4; the rest is another, worth nothing."""

    needs_reference = False

    def open(self, *, reference, tokenizer) -> Callable[[RolloutBatch], ProcessRewards]:
        def score(rollouts: RolloutBatch) -> ProcessRewards:
            spans, lengths = [], []
            for group_of in rollouts.completions:
                sizes = [len(one.token_ids) for one in group_of]
                firsts = [one.text.startswith("4") for one in group_of]
                spans.append(
                    [
                        [SpanReward(tag="a", first=0, end=1, reward=float(first))]
                        + [SpanReward(tag="b", first=1, end=size, reward=0.0)] * (size > 1)
                        for first, size in zip(firsts, sizes, strict=True)
                    ]
                )
                lengths.append(sizes)
            return ProcessRewards(spans=spans, lengths=lengths, scored_tokens=0)

        return score


SEGMENT = SegmentAdvantage(span_weight=0.5, process=FirstTokens())
EVERYTHING: dict[str, Any] = {
    "kl": KlPenalty(measured=True, in_reward=0.05, in_loss=0.1),
    "overlong": OverlongPenalty(weight=0.3, buffer=2),
    "entropy_weight": 0.01,
    "importance_cap": 2.0,
    "extra_rounds": 2,
    "advantage": SEGMENT,
}


@pytest.fixture
def inputs(tmp_path: Path, backbone: Backbone, record_of) -> dict[str, Path]:
    write_records(tmp_path / "records", [record_of(n) for n in range(12)])
    save_policy(backbone.policy(), backbone.tokenizer(), tmp_path / "sft" / "policy")
    return {"records": tmp_path / "records", "policy": tmp_path / "sft"}


@pytest.fixture
def stage_of(inputs, backbone, no_tags) -> Callable[..., dict[str, int | float]]:
    settings = RlSettings(
        steps=4,
        prompts_per_window=2,
        rollouts_per_prompt=4,
        updates_per_window=2,
        temperature=1.0,
        max_new_tokens=3,
        micro_batch_tokens=48,
        method="two_part",
        chunk_size=64,
        purposes=("rl",),
        gold_fraction=1.0,
        min_std=1e-6,
        kl=OFF,
        overlong=OverlongPenalty(weight=0.0, buffer=1),
        entropy_weight=0.0,
        importance_cap=None,
        extra_rounds=0,
        dev_records=0,
        dev_every=0,
        keep_best=False,
        guard=WindowGuard(patience=20, max_truncated=1.0),
        optimizer=OptimizerSettings(
            create=partial(adamw, learning_rate=0.005, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0),
            schedule=partial(constant_rate, warmup_steps=0),
            clip_norm=1.0,
        ),
    )

    def stage(
        folder: Path,
        *,
        stop: Event | None = None,
        policy: Path | None = None,
        rl_stage: RlStageSettings | None = None,
        advantage=group,
        policy_loss=grpo,
        **changes: Any,
    ) -> dict[str, int | float]:
        output = folder / "output"
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        weights = {"task": 1.0, "tag": 0.5}
        terms = {"task": (1.0, task_score), "tag": (0.4, fours), "prmu": (0.1, fours)}
        return run(
            rl_stage=rl_stage or RlStageSettings(share=1.0, weights=weights, schedule=constant),
            rl=replace(settings, **changes),
            reward=RewardSettings(
                terms={name: TermSettings(weight=weight, score=score) for name, (weight, score) in terms.items()},
                tag_gate=g_answer,
                combine=UNGATED,
            ),
            advantage=advantage,
            policy_loss=partial(policy_loss, clip_low=0.2, clip_high=0.2),
            backbone=backbone,
            adapter=NoAdapter(),
            engine=partial(TorchEngine, max_tokens=1024, device="cpu"),
            prompt=CompactStyle(thinking=False, query_tokens=20, history_tokens=20, entry_tokens=10, order="ranked"),
            tags=no_tags,
            trainer=TrainerSettings(
                accelerator="cpu",
                devices=1,
                strategy="auto",
                precision="32-true",
                threads=1,
                checkpoint_every=1,
                keep_last=2,
            ),
            inputs={**inputs, "policy": policy or inputs["policy"]},
            output=output,
            context=StageContext(
                stage="rl_guided",
                seed=3,
                checkpoints=folder / "checkpoints",
                stop=stop if stop is not None else Event(),
            ),
        )

    return stage


def weights_of(folder: Path) -> torch.Tensor:
    state = AutoModelForCausalLM.from_pretrained(folder / "output" / "policy").state_dict()
    return torch.cat([value.flatten() for _, value in sorted(state.items())])


def metrics_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "output" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def column(folder: Path, name: str) -> list[float]:
    return [float(row[name]) for row in metrics_of(folder) if row[name]]


def test_with_everything_on_a_stopped_run_goes_on_exactly_and_replays_exactly(tmp_path: Path, stage_of) -> None:
    counts = stage_of(tmp_path / "whole", **EVERYTHING)
    for steps_before in (1, 2, 3):  # inside the first window, between windows, inside the second
        folder = tmp_path / f"stopped{steps_before}"
        with pytest.raises(StopRequested):
            stage_of(folder, stop=Interrupt(steps_before), **EVERYTHING)
        assert stage_of(folder, **EVERYTHING) == counts
        assert torch.equal(weights_of(folder), weights_of(tmp_path / "whole"))
        assert read_rollouts(folder / "output" / "rollouts") == read_rollouts(
            tmp_path / "whole" / "output" / "rollouts"
        )
        ours, theirs = (
            [{name: value for name, value in row.items() if "/speed/" not in name} for row in metrics_of(one)]
            for one in (folder, tmp_path / "whole")
        )
        assert ours == theirs
    kept = read_rollouts(tmp_path / "whole" / "output" / "rollouts")
    assert {"overlong", "kl", "task", "tag", "g_answer"} == set(kept[0].reward_terms)
    for window in windows_of(kept):
        replayed = replay_window(window, weights={}, combine=UNGATED, advantage=SEGMENT, min_std=1e-6)
        assert replayed.rollouts == window
    # What the panel says of it.
    whole = tmp_path / "whole"
    drawn = column(whole, "rl/refill/samples_drawn")
    assert drawn[-1] == counts["rollouts"] > 16
    assert drawn[-1] <= 3 * 16
    assert max(column(whole, "rl/importance/gap")) < 1e-5  # our own engine is its own trainer
    assert column(whole, "rl/policy/importance") == pytest.approx([1.0] * 4, abs=1e-5)
    assert column(whole, "rl/policy/reference_kl")[0] == pytest.approx(0.0, abs=1e-8)
    assert column(whole, "rl/policy/reference_kl")[-1] > 1e-6
    assert column(whole, "rl/kl/k1")[0] == pytest.approx(0.0, abs=1e-6)
    assert 0 <= column(whole, "rl/process/a")[0] <= 1


@pytest.mark.parametrize(
    "knob",
    [
        {"kl": KlPenalty(measured=False, in_reward=20.0, in_loss=0.0)},
        {"kl": KlPenalty(measured=False, in_reward=0.0, in_loss=0.5)},
        {"overlong": OverlongPenalty(weight=0.3, buffer=2)},
        {"entropy_weight": 0.1},
        {"extra_rounds": 2},
        {"advantage": SEGMENT},
    ],
    ids=lambda knob: "-".join(map(str, knob)),
)
def test_every_knob_changes_the_result(tmp_path: Path, stage_of, knob: dict[str, Any]) -> None:
    stage_of(tmp_path / "plain")
    stage_of(tmp_path / "other", **knob)
    assert (weights_of(tmp_path / "plain") - weights_of(tmp_path / "other")).abs().max() > 1e-5


def test_a_cap_below_one_halves_every_token(tmp_path: Path, stage_of) -> None:
    stage_of(tmp_path / "a", steps=1, importance_cap=0.5)
    assert column(tmp_path / "a", "rl/policy/importance") == pytest.approx([0.5])
    assert column(tmp_path / "a", "rl/importance/capped") == [1.0]


def test_measuring_the_distance_changes_nothing(tmp_path: Path, stage_of) -> None:
    stage_of(tmp_path / "plain")
    stage_of(tmp_path / "other", kl=KlPenalty(measured=True, in_reward=0.0, in_loss=0.0))
    assert torch.equal(weights_of(tmp_path / "plain"), weights_of(tmp_path / "other"))
    assert "rl/kl/k3" not in metrics_of(tmp_path / "plain")[0]
    assert column(tmp_path / "other", "rl/policy/reference_kl")[-1] > 0


def test_kl_holds_the_policy_back_and_entropy_keeps_it_open(tmp_path: Path, stage_of) -> None:
    runs = {
        "plain": {},
        "reward": {"kl": KlPenalty(measured=True, in_reward=1.0, in_loss=0.0), "advantage": group_mean},
        "loss": {"kl": KlPenalty(measured=True, in_reward=0.0, in_loss=5.0)},
        "entropy": {"entropy_weight": 1.0},
    }
    for name, changes in runs.items():
        watched = {"kl": KlPenalty(measured=True, in_reward=0.0, in_loss=0.0)} | changes
        stage_of(tmp_path / name, steps=8, updates_per_window=1, **watched)
    last = {name: sum(column(tmp_path / name, "rl/policy/reference_kl")[-3:]) / 3 for name in runs}
    assert last["loss"] < 0.5 * last["plain"]
    assert last["reward"] < 0.5 * last["plain"]
    entropy = {name: column(tmp_path / name, "rl/policy/entropy")[-1] for name in ("plain", "entropy")}
    assert entropy["entropy"] > entropy["plain"] + 0.01


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path: Path, stage_of) -> None:
    calls = []

    def breaks(policy_logprobs, batch, **clips):
        loss, stats = grpo(policy_logprobs, batch, **clips)
        calls.append(loss)
        return (loss * float("nan") if len(calls) > 4 else loss), stats  # two micro-batches a step: the third step

    with pytest.raises(TrainingDiverged, match="Step 3: loss nan"):
        stage_of(tmp_path / "a", policy_loss=breaks)
    checkpoint = newest_sound(tmp_path / "a" / "checkpoints")
    assert checkpoint is not None
    state = torch.load(checkpoint, weights_only=True)
    assert state["global_step"] == 2
    assert all(bool(torch.isfinite(value).all()) for value in state["state_dict"].values())


def test_replacing_prompts_needs_the_task_reward(tmp_path: Path, stage_of) -> None:
    only_tags = RlStageSettings(share=1.0, weights={"tag": 1.0}, schedule=constant)
    with pytest.raises(BadInputError, match="does not pay it"):
        stage_of(tmp_path / "a", rl_stage=only_tags, extra_rounds=1)


def test_five_stages_in_an_order_of_the_config_run_one_after_another(tmp_path: Path, stage_of) -> None:
    """guided, single, exploratory and two more of the same kinds; each begins where the one before it ended."""
    again = (
        "+rl/stage@rl.stages.warm=exploratory",
        "+rl/stage@rl.stages.again=guided",
        "+rl/stage@rl.stages.last=single",
    )
    order = "rl.order=[last,guided,warm,again,exploratory]"
    shares = (f"rl.stages.{name}.share=0.2" for name in ("warm", "again", "last", "guided", "exploratory"))
    cfg = composed([*again, order, *shares])
    before: Path | None = None
    for name in cfg.rl.order:
        built = instantiate(cfg.rl.stages[name], _convert_="object")
        counts = stage_of(tmp_path / name, policy=before, rl_stage=built, steps=10, updates_per_window=1)
        assert counts["steps"] == 2
        if before is not None:
            assert not torch.equal(weights_of(tmp_path / name), weights_of(before.parent))
        before = tmp_path / name / "output"
    # beta falls to 0 over a guided stage (half of it is done at its second step), and stays in a single one.
    assert column(tmp_path / "guided", "rl/reward_weight/tag") == pytest.approx([0.4, 0.2])
    assert column(tmp_path / "last", "rl/reward_weight/tag") == pytest.approx([0.4, 0.4])
    assert column(tmp_path / "guided", "rl/reward_weight/prmu") == pytest.approx([0.1, 0.1])
    assert "rl/reward_weight/tag" not in metrics_of(tmp_path / "warm")[0]
