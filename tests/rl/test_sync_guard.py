"""A run is stopped when its engine samples with old weights."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from tagpr.lm.generation.torch_engine import TorchEngine
from tagpr.rl.sync_guard import EngineOutOfStep, SyncGuard
from tests.rl.test_stage import LORA, inputs, run_stage  # noqa: F401


def test_only_unchanged_weights_after_a_real_step_count() -> None:
    guard = SyncGuard()
    guard.check("a")
    guard.check("a")  # nothing was trained in between
    guard.updated(grad_norm=0.0, learning_rate=0.1)
    guard.check("a")  # a window of ties
    guard.updated(grad_norm=1.0, learning_rate=0.1)
    guard.check("b")
    guard.updated(grad_norm=1.0, learning_rate=0.1)
    with pytest.raises(EngineOutOfStep, match="did not change, although the policy was updated"):
        guard.check("b")


def test_the_digest_sees_one_weight_of_the_adapter(backbone) -> None:
    engine = TorchEngine(tokenizer=backbone.tokenizer(), max_tokens=64, device="cpu")
    policy = LORA.attach(backbone.policy())
    before = engine.weights_digest(policy)
    weights = dict(policy.named_parameters())
    with torch.no_grad():
        weights["model.norm.weight"][0] += 1.0  # frozen: no step can have done that
    assert engine.weights_digest(policy) == before
    with torch.no_grad():
        next(value for name, value in weights.items() if "lora_B" in name)[0, 0] += 1e-7
    assert engine.weights_digest(policy) != before


class CopyingEngine(TorchEngine):
    """Keeps the weights of its first call, as one whose adapter sync fails."""

    kept: PreTrainedModel | None = None

    def generate(self, model, *arguments, **keywords):
        self.kept = self.kept or copy.deepcopy(model)
        return super().generate(self.kept, *arguments, **keywords)

    def weights_digest(self, model: PreTrainedModel) -> str:
        return super().weights_digest(self.kept or model)


def test_a_run_whose_engine_keeps_the_first_adapter_stops(tmp_path: Path, inputs, backbone, no_tags) -> None:  # noqa: F811
    with pytest.raises(EngineOutOfStep):
        run_stage(tmp_path, inputs, backbone, no_tags, adapter=LORA, engine=CopyingEngine, dev_records=0)
