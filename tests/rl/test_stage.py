"""The whole stage on a policy of a few words: it learns, it resumes exactly, it keeps every rollout once."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from tagpr.context import StageContext, StopRequested
from tagpr.data.prompts import CompactStyle
from tagpr.errors import BadInputError, UserError
from tagpr.lm.adapter import Adapter, LoraAdapter, NoAdapter
from tagpr.lm.backbone import Backbone, fresh_tiny, save_policy
from tagpr.lm.forward import Method, check_against_padded
from tagpr.lm.generation.torch_engine import TorchEngine
from tagpr.rl.advantages import group
from tagpr.rl.guards import NothingToLearn, WindowGuard
from tagpr.rl.kl import KlPenalty
from tagpr.rl.losses import grpo
from tagpr.rl.rewards.combine import additive
from tagpr.rl.rewards.composite import RewardSettings, TermSettings
from tagpr.rl.rewards.gates import g_answer
from tagpr.rl.rewards.overlong import OverlongPenalty
from tagpr.rl.rewards.schedules import constant
from tagpr.rl.rewards.task import task_score
from tagpr.rl.rollouts import RolloutBatch
from tagpr.rl.stage import RlSettings, RlStageSettings, may_use_gold, run
from tagpr.schema import TrainerSettings
from tagpr.storage import read_rollouts, write_records
from tagpr.training.optimizer import OptimizerSettings, adamw
from tagpr.training.optimizer import constant as constant_rate
from tests.devices import on_gpu
from tests.rl.conftest import TinyBackbone
from tests.stops import Interrupt

NUM_STEPS = 6


def fours(rollouts: RolloutBatch) -> torch.Tensor:
    """(B, G) a reward that varies in every group: how often the completion says 4."""
    return torch.tensor([[completion.text.count("4") / 2 for completion in group] for group in rollouts.completions])


@pytest.fixture
def inputs(tmp_path: Path, backbone: Backbone, record_of) -> dict[str, Path]:
    records = [record_of(n) for n in range(5)]
    records += [record_of(5, purpose="sft"), record_of(0, split="dev", purpose="dev")]
    write_records(tmp_path / "records", records)
    save_policy(backbone.policy(), backbone.tokenizer(), tmp_path / "sft" / "policy")
    return {"records": tmp_path / "records", "policy": tmp_path / "sft"}


def rl_settings(**changes: Any) -> RlSettings:
    settings = RlSettings(
        steps=NUM_STEPS,
        prompts_per_window=2,
        rollouts_per_prompt=8,
        updates_per_window=2,
        temperature=1.0,
        max_new_tokens=2,
        micro_batch_tokens=48,
        method="two_part",
        chunk_size=64,
        purposes=("rl",),
        gold_fraction=1.0,
        min_std=1e-6,
        kl=KlPenalty(measured=False, in_reward=0.0, in_loss=0.0),
        overlong=OverlongPenalty(weight=0.0, buffer=1),
        entropy_weight=0.0,
        importance_cap=None,
        extra_rounds=0,
        dev_records=4,
        dev_every=3,
        keep_best=False,
        guard=WindowGuard(patience=20, max_truncated=1.0),
        optimizer=OptimizerSettings(
            create=partial(adamw, learning_rate=0.005, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0),
            schedule=partial(constant_rate, warmup_steps=0),
            clip_norm=1.0,
        ),
    )
    return replace(settings, **changes)


def run_stage(
    folder: Path,
    inputs: dict[str, Path],
    backbone: Backbone,
    tags,
    *,
    stop: Event | None = None,
    share=1.0,
    with_fours=True,
    adapter: Adapter = NoAdapter(),
    engine: type[TorchEngine] = TorchEngine,
    devices: int = 1,
    accelerator: str = "cpu",
    precision: str = "32-true",
    rank: int = 0,
    **changes: Any,
) -> dict[str, int | float]:
    """One stage in `folder`; `output` begins empty each time, `checkpoints` stays, as in the pipeline."""
    output = folder / "output"
    if output.exists():
        for path in sorted(output.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
    output.mkdir(parents=True, exist_ok=True)
    return run(
        rl_stage=RlStageSettings(share=share, weights={"task": 1.0, "fours": 0.5}, schedule=constant),
        rl=rl_settings(**changes),
        reward=RewardSettings(
            terms={
                "task": TermSettings(weight=1.0, score=task_score),
                "fours": TermSettings(weight=0.4, score=fours if with_fours else None),
            },
            tag_gate=g_answer,
            combine=partial(additive, gate_weight=0.0),
        ),
        advantage=group,
        policy_loss=partial(grpo, clip_low=0.2, clip_high=0.2),
        backbone=backbone,
        adapter=adapter,
        engine=partial(engine, max_tokens=1024, device="cpu"),
        prompt=CompactStyle(thinking=False, query_tokens=20, history_tokens=20, entry_tokens=10, order="ranked"),
        tags=tags,
        trainer=TrainerSettings(
            accelerator=accelerator,
            devices=devices,
            strategy="auto",
            precision=precision,
            threads=1,
            checkpoint_every=4,
            keep_last=2,
        ),
        inputs=inputs,
        output=output,
        context=StageContext(
            stage="rl_guided",
            seed=3,
            checkpoints=folder / "checkpoints",
            stop=stop if stop is not None else Event(),
            rank=rank,
        ),
    )


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder / "output" / "policy").state_dict()


def metrics_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "output" / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True, kw_only=True)
class WideHeads(TinyBackbone):
    """Heads as wide as FlexAttention's kernels ask for."""

    def policy(self) -> PreTrainedModel:
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2, "num_kv_heads": 1}
        return fresh_tiny(
            self.tokenizer(), **sizes, head_dim=16, max_positions=64, init_std=0.05, seed=7, attention=self.attention
        )


@pytest.fixture
def uninterrupted(tmp_path: Path, inputs, backbone, no_tags) -> Path:
    run_stage(tmp_path / "whole", inputs, backbone, no_tags)
    return tmp_path / "whole"


def test_counts_metrics_and_rollouts(tmp_path: Path, inputs, backbone, no_tags) -> None:
    counts = run_stage(tmp_path / "a", inputs, backbone, no_tags)
    # Windows at steps 0, 2 and 4 ask 2 of the 5 questions each; the third tops up the epoch's end.
    assert counts == {
        "steps": 6,
        "windows": 3,
        "rollouts": 48,
        "prmu_calls": 0,
        "questions": 5,
        "gold_labels": 5,
        "weight_task": 1.0,
        "weight_fours": 0.2,
    }
    rollouts = read_rollouts(tmp_path / "a" / "output" / "rollouts")
    assert len(rollouts) == 48
    assert {rollout.step for rollout in rollouts} == {0, 2, 4}
    assert {rollout.stage for rollout in rollouts} == {"rl_guided"}
    assert all(rollout.record_id.startswith("train") for rollout in rollouts)
    for rollout in rollouts:
        terms = rollout.reward_terms
        assert rollout.reward == pytest.approx(terms["task"] + 0.2 * terms["fours"])
        assert terms["g_answer"] == float(rollout.answer == "4" and not rollout.truncated)
    start, *rows = metrics_of(tmp_path / "a")
    assert start["step"] == "0"
    assert bool(start["rl/dev/score"])
    assert not start["rl/loss"]
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    sampled = [bool(row["rl/reward/task"]) for row in rows]
    assert sampled == [True, False, True, False, True, False]
    assert [bool(row["rl/dev/score"]) for row in rows] == [False, False, True, False, False, True]
    # On policy at the first step of each window, off it at the second.
    assert [abs(float(row["rl/policy/ratio"]) - 1) < 1e-5 for row in rows[::2]] == [True] * 3
    assert any(float(row["rl/policy/kl"]) > 1e-6 for row in rows[1::2])
    assert all(float(row["rl/policy/entropy"]) > 0 for row in rows)


def test_where_no_prmu_spends_golds_rl_asks_those_questions_too(inputs, backbone, no_tags, tmp_path, record_of):
    records = [record_of(0), record_of(1, purpose="pairs"), record_of(2, purpose="sft"), record_of(0, split="dev")]
    write_records(tmp_path / "few", records)
    known = inputs | {"records": tmp_path / "few"}
    for purposes, questions in ((("rl",), 1), (("rl", "pairs"), 2)):
        counts = run_stage(tmp_path / "_".join(purposes), known, backbone, no_tags, purposes=purposes)
        assert counts["questions"] == counts["gold_labels"] == questions


@pytest.mark.parametrize("steps_before", [1, 2, 3, 5])
def test_a_stopped_run_goes_on_exactly(tmp_path: Path, inputs, backbone, no_tags, uninterrupted, steps_before) -> None:
    folder = tmp_path / "stopped"
    with pytest.raises(StopRequested):
        run_stage(folder, inputs, backbone, no_tags, stop=Interrupt(steps_before))
    run_stage(folder, inputs, backbone, no_tags)
    expected = weights_of(uninterrupted)
    for name, value in weights_of(folder).items():
        assert torch.equal(value, expected[name]), name
    assert read_rollouts(folder / "output" / "rollouts") == read_rollouts(uninterrupted / "output" / "rollouts")
    ours, theirs = metrics_of(folder), metrics_of(uninterrupted)
    for row in (*ours, *theirs):
        for name in [name for name in row if "/speed/" in name]:
            del row[name]
    assert ours == theirs


LORA = LoraAdapter(rank=2, alpha=4.0, dropout=0.0, target_modules=["q_proj", "o_proj", "up_proj"])


def test_lora_resumes_exactly_and_the_engine_writes_what_the_adapter_learned(
    tmp_path: Path, inputs, backbone, no_tags
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run_stage(whole, inputs, backbone, no_tags, adapter=LORA)
    with pytest.raises(StopRequested):
        run_stage(stopped, inputs, backbone, no_tags, adapter=LORA, stop=Interrupt(3))  # between two steps of a window
    run_stage(stopped, inputs, backbone, no_tags, adapter=LORA)
    for file in ("adapter/adapter_model.safetensors", "policy/model.safetensors"):
        assert (stopped / "output" / file).read_bytes() == (whole / "output" / file).read_bytes()
    assert read_rollouts(stopped / "output" / "rollouts") == read_rollouts(whole / "output" / "rollouts")
    # On policy at the first step of every window: the engine samples with the adapter as it is then.
    assert [abs(float(row["rl/policy/ratio"]) - 1) < 1e-5 for row in metrics_of(whole)[1::2]] == [True] * 3


def test_half_precision_passes_its_own_self_check(tmp_path: Path, inputs, backbone, no_tags) -> None:
    run_stage(tmp_path / "half", inputs, backbone, no_tags, precision="bf16-mixed", steps=2)
    ratio = float(metrics_of(tmp_path / "half")[1]["rl/policy/ratio"])
    assert ratio == pytest.approx(1.0, abs=0.02)  # on policy up to the rounding of bfloat16
    assert ratio != 1.0
    assert {value.dtype for value in weights_of(tmp_path / "half").values()} == {torch.float32}


def test_micro_batches_do_not_change_the_update(tmp_path: Path, inputs, backbone, no_tags, uninterrupted) -> None:
    """One window of 2 groups at once, and one group at a time (the other test's budget)."""
    run_stage(tmp_path / "one", inputs, backbone, no_tags, micro_batch_tokens=10_000)
    expected = weights_of(uninterrupted)
    for name, value in weights_of(tmp_path / "one").items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-5)


def test_the_policy_learns_what_the_task_pays(tmp_path: Path, inputs, backbone, no_tags) -> None:
    run_stage(
        tmp_path / "learn",
        inputs,
        backbone,
        no_tags,
        steps=30,
        updates_per_window=1,
        prompts_per_window=4,
        dev_records=0,
    )
    rewards = [float(row["rl/reward/total"]) for row in metrics_of(tmp_path / "learn")]
    assert sum(rewards[:3]) / 3 < 0.4  # an answer that cannot be read still scores .25 here
    assert sum(rewards[-3:]) / 3 > 0.8  # always 4 and nothing else: 1.1


def test_a_share_of_the_steps(tmp_path: Path, inputs, backbone, no_tags) -> None:
    counts = run_stage(tmp_path / "half", inputs, backbone, no_tags, share=0.5, dev_records=0)
    assert (counts["steps"], counts["windows"]) == (3, 2)
    assert "rl/dev/score" not in metrics_of(tmp_path / "half")[-1]


def test_rewards_that_never_vary_stop_the_run(tmp_path: Path, inputs, backbone, no_tags) -> None:
    with pytest.raises(NothingToLearn, match="2 windows in a row"):
        run_stage(
            tmp_path / "tied",
            inputs,
            backbone,
            no_tags,
            gold_fraction=0.0,
            with_fours=False,
            guard=WindowGuard(patience=2, max_truncated=1.0),
        )


def test_no_question_to_ask(tmp_path: Path, inputs, backbone, no_tags, record_of) -> None:
    write_records(tmp_path / "none", [record_of(0, purpose="sft")])
    with pytest.raises(BadInputError, match="purpose=rl"):
        run_stage(tmp_path / "x", {**inputs, "records": tmp_path / "none"}, backbone, no_tags)


def test_a_prompt_that_leaves_no_room_is_refused(tmp_path: Path, inputs, backbone, no_tags) -> None:
    with pytest.raises(BadInputError, match="64 positions"):
        run_stage(tmp_path / "x", inputs, backbone, no_tags, max_new_tokens=60)


def test_gold_fractions_are_nested(record_of) -> None:
    records = [record_of(n) for n in range(2000)]
    chosen = {f: {r.record_id for r in records if may_use_gold(r, f)} for f in (0.0, 0.1, 0.3, 1.0)}
    assert (len(chosen[0.0]), len(chosen[1.0])) == (0, 2000)
    assert chosen[0.1] < chosen[0.3]
    assert abs(len(chosen[0.1]) - 200) < 40
    assert abs(len(chosen[0.3]) - 600) < 60


def test_flex_attention_passes_its_self_check_before_it_says_where_it_trains(
    tmp_path: Path, inputs, backbone, no_tags, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def check(*args: Any, **scoring: Any) -> None:
        check_against_padded(*args, **scoring)
        checked.append(scoring["method"])

    monkeypatch.setattr("tagpr.rl.stage.check_against_padded", check)
    with pytest.raises(UserError, match=r"no backward pass on cpu: set rl\.method=two_part"):
        run_stage(tmp_path / "a", inputs, replace(backbone, attention="flex"), no_tags, method="flex")
    assert checked == ["flex"]


def test_each_rank_takes_its_gpu_before_prmu_is_put_on_one(
    tmp_path: Path, inputs, backbone, no_tags, monkeypatch
) -> None:
    said: list[Any] = []

    def stop_here(*args: Any, **kwargs: Any) -> None:
        raise StopRequested

    monkeypatch.setattr("tagpr.rl.stage.take_own_device", lambda *args, **kwargs: said.append((args, kwargs)))
    monkeypatch.setattr("tagpr.rl.stage.stage_reward", stop_here)
    with pytest.raises(StopRequested):
        run_stage(tmp_path / "a", inputs, backbone, no_tags, accelerator="cuda", rank=1)
    assert said == [(("cuda",), {"rank": 1})]


@on_gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("method", ["flex", "two_part", "padded"])
def test_on_a_gpu(tmp_path: Path, inputs, no_tags, precision: str, method: Method) -> None:
    """With a reference and importance weights, stopped and resumed; the first step is that of a CPU."""
    backbone = WideHeads(dtype="float32", attention="flex")
    save_policy(backbone.policy(), backbone.tokenizer(), tmp_path / "wide" / "policy")
    inputs = inputs | {"policy": tmp_path / "wide"}
    more = {"kl": KlPenalty(measured=True, in_reward=0.0, in_loss=0.01), "importance_cap": 2.0}
    run_stage(tmp_path / "cpu", inputs, backbone, no_tags, **more)
    on_gpu = {"accelerator": "cuda", "precision": precision, "method": method, **more}
    with pytest.raises(StopRequested):
        run_stage(tmp_path / "gpu", inputs, backbone, no_tags, stop=Interrupt(3), **on_gpu)
    assert run_stage(tmp_path / "gpu", inputs, backbone, no_tags, **on_gpu)["steps"] == NUM_STEPS
    _, ours, *_ = metrics_of(tmp_path / "gpu")
    _, expected, *_ = metrics_of(tmp_path / "cpu")
    if precision == "32-true":
        for name in ("rl/reward/total", "rl/policy/entropy", "rl/grad_norm"):
            assert float(ours[name]) == pytest.approx(float(expected[name]), rel=1e-4), name
    assert all(tensor.isfinite().all() for tensor in weights_of(tmp_path / "gpu").values())
