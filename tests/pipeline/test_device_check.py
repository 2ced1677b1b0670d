"""One setting says where everything is computed; a device that is not there is refused before anything runs."""

from __future__ import annotations

import pytest
import torch
from omegaconf import DictConfig

from tagpr.errors import UserError
from tagpr.pipeline.device_check import devices_of
from tagpr.pipeline.fingerprint import FileHashes
from tagpr.pipeline.graph import Stage, build_graph
from tests.pipeline.test_rl_check import composed

FULL = ("experiment=smoke", "diagnostics=full")
# What asks a policy and trains none; the others train, or take no model.
ASKING = {"pairs", "evaluate", "swap", "attribution"}


def stages_of(cfg: DictConfig, tmp_path) -> list[Stage]:
    return list(build_graph(cfg, FileHashes(tmp_path / "known.json"), lambda ablation: cfg).stages)


def devices_by_kind(cfg: DictConfig, tmp_path) -> dict[str, dict[str, str]]:
    return {
        stage.kind: {key: name for key, name, _ in devices_of(stage.settings)} for stage in stages_of(cfg, tmp_path)
    }


@pytest.mark.parametrize("trainer, engine, device", [("cpu", "hf", "cpu"), ("gpu", "torch", "cuda")])
def test_whatever_holds_a_model_follows_the_trainer(tmp_path, trainer, engine, device):
    found = devices_by_kind(composed(*FULL, f"trainer={trainer}", f"engine={engine}"), tmp_path)
    for kind in ASKING:
        assert found.pop(kind) == {"engine.device": device}, kind
    assert found["sft"] == found["prmu"] == {"trainer.accelerator": device}
    assert set(found.pop("rl").items()) == {
        ("trainer.accelerator", device), ("engine.device", device), ("reward.terms.prmu.score.device", device),
    }  # fmt: skip
    assert (found["records"], found["chains"]) == ({}, {})


def test_each_may_be_put_elsewhere_and_rl_samples_where_it_trains(tmp_path):
    paid = composed(*FULL, "trainer=gpu", "engine=torch")
    unpaid = paid.copy()
    unpaid.rl.stages.guided.weights.prmu = 0.0  # without pairs, RL does not hang on where policies are asked
    for cfg, same in ((paid, {"records", "chains", "sft"}), (unpaid, {"records", "chains", "sft", "rl"})):
        other = cfg.copy()
        other.engine.device = "cpu"
        assert devices_by_kind(other, tmp_path)["rl"]["engine.device"] == "cuda"
        assert devices_by_kind(other, tmp_path)["evaluate"] == {"engine.device": "cpu"}
        shared = set(stages_of(cfg, tmp_path)) & set(stages_of(other, tmp_path))
        assert {stage.kind for stage in shared} == same


def test_ranks_are_counted():
    settings = {
        "trainer": {"accelerator": "cuda", "devices": 2, "precision": "32-true"},
        "reward": {"terms": {"tag": {"score": None}, "prmu": {"score": {"device": "cuda:1"}}}},
    }
    assert list(devices_of(settings)) == [
        ("trainer.accelerator", "cuda", 2), ("reward.terms.prmu.score.device", "cuda:1", 1),
    ]  # fmt: skip


def test_only_what_is_still_to_run_needs_its_device(room, watched, make_stage, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    sft = make_stage("sft", trainer={"accelerator": "cuda", "devices": 1})
    pairs = make_stage("pairs", {"policy": sft}, engine={"device": "cuda"})
    with pytest.raises(UserError, match=r"^trainer\.accelerator=cuda, but .*, or set trainer=cpu\.$"):
        watched.executor.check([sft, pairs])
    watched.executor.run(sft, force=False)  # as if on another machine
    with pytest.raises(UserError, match=r"^engine\.device=cuda, but .*, or set engine\.device=cpu\.$"):
        watched.executor.check([sft, pairs])
    watched.executor.run(pairs, force=False)
    watched.executor.check([sft, pairs])


def test_the_command_says_it_before_the_first_stage_and_plans_without_a_gpu(tagpr, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    arguments = ("experiment=smoke", "trainer=gpu", f"paths.runs={tmp_path}")
    answer = tagpr(*arguments)
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "trainer.accelerator=cuda, but torch" in answer.err
    assert not (tmp_path / "cache" / "records").exists()
    assert tagpr(*arguments, "plan=true").code == 0
    answer = tagpr(*arguments, "trainer.accelerator=gpu", "plan=true")
    assert (answer.code, "expected one of cpu, cuda, mps (trainer=gpu is cuda)" in answer.err) == (1, True)
