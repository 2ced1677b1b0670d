"""The stage on disk: chains in, a Hugging Face folder out, also after a kill."""

from __future__ import annotations

import csv
import functools
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from tagpr.context import StageContext, StopRequested
from tagpr.errors import BadInputError
from tagpr.lm.adapter import Adapter, LoraAdapter, NoAdapter
from tagpr.lm.backbone import Backbone, ShippedBackbone
from tagpr.schema import TrainerSettings
from tagpr.sft.stage import SftSettings, run
from tagpr.storage import read_records, write_chains, write_records
from tagpr.training.optimizer import OptimizerSettings, adamw, constant
from tagpr.types import Record
from tests.devices import on_gpu
from tests.sft.conftest import TinyBackbone
from tests.stops import Interrupt

SETTINGS = SftSettings(
    steps=30,
    batch_size=4,
    micro_batch_tokens=300,
    chunk_size=64,
    validate_every=10,
    dev_records=3,
    keep_best=False,
    optimizer=OptimizerSettings(
        create=functools.partial(adamw, learning_rate=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0),
        schedule=functools.partial(constant, warmup_steps=3),
        clip_norm=1.0,
    ),
)
TRAINER = TrainerSettings(
    accelerator="cpu",
    devices=1,
    strategy="auto",
    precision="32-true",
    threads=1,
    checkpoint_every=7,
    keep_last=1,
)


@pytest.fixture
def inputs(folder: Path, records: dict[str, Record], make_chain: Any) -> dict[str, Path]:
    write_records(folder / "records", list(records.values()))
    write_chains(folder / "chains", [make_chain(record) for record in records.values()], [])
    return {"records": folder / "records", "chains": folder / "chains"}


def run_stage(folder: Path, inputs: dict[str, Path], *, name: str, backbone: Backbone, style: Any, **changes: Any):
    output = folder / name / "output"
    trainer, rank = changes.pop("trainer", TRAINER), changes.pop("rank", 0)
    output.mkdir(parents=True, exist_ok=True)
    context = StageContext(
        stage="sft",
        seed=3,
        checkpoints=folder / name / "checkpoints",
        stop=changes.pop("stop", threading.Event()),
        rank=rank,
    )
    counts = run(
        backbone=backbone,
        adapter=changes.pop("adapter", NoAdapter()),
        prompt=style,
        sft=replace(SETTINGS, **changes),
        trainer=trainer,
        inputs=inputs,
        output=output,
        context=context,
    )
    return counts, output


def test_policy_learns_and_loads(folder: Path, inputs: dict[str, Path], backbone: Backbone, style: Any) -> None:
    counts, output = run_stage(folder, inputs, name="whole", backbone=backbone, style=style)
    assert {k: counts[k] for k in ("steps", "train_chains", "dev_chains", "gold_labels", "gold_labels_dev")} == {
        "steps": 30,
        "train_chains": 10,
        "dev_chains": 3,
        "gold_labels": 10,
        "gold_labels_dev": 3,
    }
    assert counts["completion_tokens"] == 30 * 4 * len("<think><a>so : 1</a></think>1.")  # every chain has one length
    with open(output / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["sft/loss"]) for row in rows]
    assert losses[-1] < 0.5 * losses[0]
    assert counts["train_loss"] == losses[-1]
    assert [int(row["step"]) for row in rows if row["sft/dev_loss"]] == [10, 20, 30]
    assert counts["dev_loss"] < losses[0]
    model = AutoModelForCausalLM.from_pretrained(output / "policy")
    tokenizer = AutoTokenizer.from_pretrained(output / "policy")
    start = backbone.policy().state_dict()
    assert all(not torch.equal(value, start[name]) for name, value in model.state_dict().items())
    assert tokenizer.chat_template == backbone.tokenizer().chat_template
    assert tokenizer.eos_token == "<|im_end|>"


def test_stopped_run_ends_with_the_same_weights(
    folder: Path, inputs: dict[str, Path], backbone: Backbone, style: Any
) -> None:
    _, whole = run_stage(folder, inputs, name="whole", backbone=backbone, style=style)
    with pytest.raises(StopRequested):
        run_stage(folder, inputs, name="stopped", backbone=backbone, style=style, stop=Interrupt(11))
    counts, resumed = run_stage(folder, inputs, name="stopped", backbone=backbone, style=style)
    assert counts["steps"] == 30
    weights = "policy/model.safetensors"
    assert (resumed / weights).read_bytes() == (whole / weights).read_bytes()


def test_the_best_weights_are_written_where_that_is_asked_for(
    folder: Path, inputs: dict[str, Path], backbone: Backbone, style: Any
) -> None:
    # At this rate the dev loss falls first and is thrown about later.
    wild = replace(SETTINGS.optimizer, create=functools.partial(SETTINGS.optimizer.create, learning_rate=0.2))
    changes = {"backbone": backbone, "style": style, "optimizer": wild, "validate_every": 1, "steps": 8}
    last, output = run_stage(folder, inputs, name="last", **changes)
    with open(output / "metrics.csv") as file:
        losses = [float(row["sft/dev_loss"]) for row in csv.DictReader(file)]
    best, kept = run_stage(folder, inputs, name="best", **changes, keep_best=True)
    assert best["best_step"] == losses.index(min(losses)) + 1 < 8
    assert "best_step" not in last
    weights = "policy/model.safetensors"
    assert (kept / weights).read_bytes() != (output / weights).read_bytes()


def test_nothing_to_validate_on(
    folder: Path, inputs: dict[str, Path], backbone: Backbone, style: Any, make_chain: Any
) -> None:
    write_chains(
        inputs["chains"], [make_chain(record) for record in read_records(inputs["records"], splits=("train",))], []
    )
    counts, _ = run_stage(folder, inputs, name="few", backbone=backbone, style=style, dev_records=0, steps=2)
    assert counts["dev_chains"] == 0
    assert "dev_loss" not in counts


def test_no_chains_is_an_error(folder: Path, inputs: dict[str, Path], backbone: Backbone, style: Any) -> None:
    write_chains(inputs["chains"], [], [])
    with pytest.raises(BadInputError, match="holds no chain of a train person"):
        run_stage(folder, inputs, name="none", backbone=backbone, style=style)


LORA = LoraAdapter(rank=2, alpha=4.0, dropout=0.2, target_modules=["q_proj", "v_proj", "down_proj"])


def test_lora_learns_resumes_exactly_and_loads_with_peft(
    folder: Path, inputs: dict[str, Path], backbone: Backbone, style: Any
) -> None:
    changes = {"backbone": backbone, "style": style, "adapter": LORA, "steps": 12}
    _, whole = run_stage(folder, inputs, name="whole", **changes)
    with pytest.raises(StopRequested):
        run_stage(folder, inputs, name="stopped", **changes, stop=Interrupt(5))
    (checkpoint,) = (folder / "stopped" / "checkpoints").glob("step_*.ckpt")
    saved = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert saved.keys()
    assert all("lora_" in name for name in saved)  # the frozen weights are not copied into every checkpoint
    _, resumed = run_stage(folder, inputs, name="stopped", **changes)
    for file in ("adapter/adapter_model.safetensors", "policy/model.safetensors"):
        assert (resumed / file).read_bytes() == (whole / file).read_bytes()

    ids = torch.tensor([[5, 40, 41, 42, 43, 44]])
    merged = AutoModelForCausalLM.from_pretrained(whole / "policy").eval()
    with_adapter = PeftModel.from_pretrained(backbone.policy(), whole / "adapter").eval()
    with torch.no_grad():
        ours, theirs, start = merged(ids).logits, with_adapter(ids).logits, backbone.policy()(ids).logits
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert (ours - start).abs().max() > 1e-2
    before, after = backbone.policy().state_dict(), merged.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {name for name in after if name.split(".")[-2] in LORA.target_modules}
    assert str(folder) not in (whole / "adapter" / "adapter_config.json").read_text()


def test_lora_on_layers_that_are_not_there_is_refused(
    folder: Path, inputs: dict[str, Path], backbone: Backbone, style: Any
) -> None:
    adapter = replace(LORA, target_modules=["q_proj", "query"])
    with pytest.raises(BadInputError, match="names query, but the policy's linear layers are"):
        run_stage(folder, inputs, name="wrong", backbone=backbone, style=style, adapter=adapter)


def test_half_precision_forward_trains_full_precision_weights(
    folder: Path, inputs: dict[str, Path], backbone: Backbone, style: Any
) -> None:
    trainer = TrainerSettings(**(vars(TRAINER) | {"precision": "bf16-mixed"}))
    changes = {"backbone": backbone, "style": style, "steps": 6}
    half, _ = run_stage(folder, inputs, name="half", **changes, trainer=trainer)
    full, _ = run_stage(folder, inputs, name="full", **changes)
    assert half["train_loss"] != full["train_loss"]
    assert half["train_loss"] == pytest.approx(full["train_loss"], rel=0.05)
    policy = AutoModelForCausalLM.from_pretrained(folder / "half" / "output" / "policy", dtype="auto")
    assert policy.dtype == torch.float32


@dataclass(frozen=True, kw_only=True)
class RoundedBackbone(TinyBackbone):
    """Weights that bfloat16 can hold, in `dtype`."""

    def policy(self) -> PreTrainedModel:
        policy = super().policy().to(torch.bfloat16).to(getattr(torch, self.dtype))
        policy.config.dtype = policy.dtype  # as `from_pretrained` leaves it
        return policy


@pytest.mark.parametrize("adapter", [NoAdapter(), replace(LORA, dropout=0.0)], ids=["all", "lora"])
def test_small_steps_of_a_bfloat16_backbone_are_not_lost(
    folder: Path, inputs: dict[str, Path], style: Any, adapter: Adapter
) -> None:
    """Steps of 1e-5 are below what bfloat16 can add to most weights: the sum is rounded at the end, not each step."""
    create = functools.partial(adamw, learning_rate=1e-5, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0)
    changes = {
        "style": style,
        "adapter": adapter,
        "steps": 12,
        "optimizer": replace(SETTINGS.optimizer, create=create),
    }
    results = {}
    for dtype in ("bfloat16", "float32"):
        backbone = RoundedBackbone(dtype=dtype, attention="two_part")
        _, results[dtype] = run_stage(folder, inputs, name=dtype, backbone=backbone, **changes)
    policies = {
        dtype: AutoModelForCausalLM.from_pretrained(output / "policy", dtype="auto")
        for dtype, output in results.items()
    }
    assert {dtype: str(policy.dtype) for dtype, policy in policies.items()} == {
        dtype: f"torch.{dtype}" for dtype in policies
    }
    if isinstance(adapter, NoAdapter):
        exact = policies["float32"].state_dict()
        for name, value in policies["bfloat16"].state_dict().items():
            assert torch.equal(value, exact[name].to(torch.bfloat16)), name
    else:
        moved = load_file(results["bfloat16"] / "adapter" / "adapter_model.safetensors")
        assert all(value.dtype == torch.float32 for value in moved.values())
        between = torch.cat([(value != value.to(torch.bfloat16).float()).flatten() for value in moved.values()])
        assert between.float().mean() > 0.9  # nearly no weight stands where bfloat16 could hold it


@on_gpu
@pytest.mark.parametrize("attention", ["flex", "two_part", "sdpa"])
def test_on_a_gpu(folder: Path, inputs: dict[str, Path], style: Any, attention: str) -> None:
    """The shipped base, whose heads are wide enough for FlexAttention; the first loss is that of a CPU."""
    backbone = ShippedBackbone(dtype="float32", attention=attention)
    losses = []
    for accelerator in ("cpu", "cuda"):
        changes = {"trainer": replace(TRAINER, accelerator=accelerator), "steps": 2, "micro_batch_tokens": 2000}
        _, output = run_stage(folder, inputs, name=accelerator, backbone=backbone, style=style, **changes)
        with open(output / "metrics.csv") as file:
            losses.append([float(row["sft/loss"]) for row in csv.DictReader(file)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
