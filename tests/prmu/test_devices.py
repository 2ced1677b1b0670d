"""Where PRMU's model is when it is asked: with the trainer in its stage, then where RL and the command line say."""

from __future__ import annotations

import functools
import json
import shutil
import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from tagpr.chains.tags import TagVocabulary
from tagpr.data.retrieval import BM25Retriever
from tagpr.prmu import pairs_stage, stage
from tagpr.prmu.arch import Similarity
from tagpr.prmu.command import main
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.reward import PrmuReward
from tagpr.storage import read_json, read_records
from tests.devices import DEVICES, watch_places
from tests.prmu.stages import PAIRS, STYLE, TRAINER, LabelEngine, context, settings
from tests.prmu.test_command import ANSWERS, HISTORIES, write_lines


def run_prmu(folder, backbone, pairs, output, *, accelerator: str, **changes: Any) -> dict[str, int | float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return stage.run(
            backbone=backbone,
            prmu=settings(**changes),
            trainer=replace(TRAINER, accelerator=accelerator),
            inputs={"records": folder / "records", "pairs": pairs},
            output=output,
            context=context(output, "prmu"),
        )


def test_pairs_ask_the_policy_where_the_engine_says(folder, backbone, tmp_path, monkeypatch):
    found = watch_places(monkeypatch, LabelEngine)
    pairs_stage.run(
        backbone=backbone,
        prompt=STYLE,
        tags=TagVocabulary(names=()),
        engine=functools.partial(LabelEngine, device="cuda:1"),
        retrieval=BM25Retriever(k=3),
        pairs=PAIRS,
        inputs={"records": folder / "records", "sft": folder / "sft"},
        output=tmp_path,
        context=context(tmp_path, "pairs"),
    )
    assert len(found) > 1
    assert set(found) == {"cuda:1"}


@pytest.mark.parametrize("is_trained", [True, False])
def test_the_model_is_asked_where_it_was_trained(folder, backbone, made_pairs, tmp_path, monkeypatch, is_trained):
    """Moves to a GPU are watched instead of made; training itself is on CPU, where Lightning leaves a model."""
    places, asked = ["cpu"], []
    fit, score = stage.fit, PrmuModel.score

    def fit_on_cpu(module, *, settings, **more):
        assert settings.accelerator == "cuda"
        places.append("trainer")
        result = fit(module, settings=replace(settings, accelerator="cpu"), **more)
        places.append("cpu")
        return result

    def watched_score(model, *arguments, **keywords):
        asked.append(places[-1])
        return score(model, *arguments, **keywords)

    def to(model, device):
        places.append(device)
        return model

    monkeypatch.setattr(stage, "fit", fit_on_cpu)
    monkeypatch.setattr(PrmuModel, "score", watched_score)
    monkeypatch.setattr(PrmuModel, "to", to)
    changes = {} if is_trained else {"arch": functools.partial(Similarity, prior_entries=2.0)}
    run_prmu(folder, backbone, made_pairs[0], tmp_path, accelerator="cuda", steps=2, **changes)
    assert set(asked) == ({"trainer", "cuda"} if is_trained else {"cuda"})
    assert asked[-1] == "cuda"


@pytest.mark.parametrize("device", DEVICES)
def test_figures_are_those_of_a_cpu(folder, backbone, made_pairs, tmp_path, device):
    """As far as rounding lets them: a GPU's products are summed in another order at each of a few steps."""
    found = []
    for name, accelerator in (("own", device), ("expected", "cpu")):
        output = tmp_path / name
        output.mkdir()
        run_prmu(folder, backbone, made_pairs[0], output, accelerator=accelerator, steps=3)
        found.append((read_json(output / "calibration.json"), read_json(output / "model" / "reward.json")))
    (calibration, scale), (expected, expected_scale) = found
    assert calibration["num_pairs"] == expected["num_pairs"] > 0
    assert calibration["temperature"] == pytest.approx(expected["temperature"], rel=1e-2)
    for part in ("own", "blind"):
        assert scale["samples"][part] == pytest.approx(expected_scale["samples"][part], abs=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_rewards_are_those_of_a_cpu(folder, trained, device):
    """RL's reward on a device of its own: a function of its arguments alone, handed over on CPU."""
    people = {"blind_share": 0.5, "clip": 3.0, "max_records": 4, "cache_texts": 999}
    records = read_records(folder / "records", splits=["train"])
    answers = [["quiet", "cosy", "nonsense"]] * 6
    ours, expected = (PrmuReward.from_stage(trained[0], records, device=one, **people) for one in (device, "cpu"))
    backbone_of = ours.model.encoder.backbone
    assert isinstance(backbone_of, PreTrainedModel)
    assert backbone_of.device.type == device
    found = ours.prmu_scores(records[:6], answers).rewards
    assert (found.device.type, found.shape) == ("cpu", (6, 3))
    assert torch.allclose(found, expected.prmu_scores(records[:6], answers).rewards, atol=1e-4)
    assert found.equal(ours.prmu_scores(records[:6], answers).rewards)
    assert float(found.std()) > 0.01


@pytest.mark.parametrize("device", DEVICES)
def test_the_command_scores_where_it_is_told(trained, tmp_path, monkeypatch, device):
    asked = []
    score = PrmuModel.score

    def watched(model, *arguments, **keywords):
        asked.append(model.encoder.backbone.device.type)
        return score(model, *arguments, **keywords)

    monkeypatch.setattr(PrmuModel, "score", watched)
    answers = write_lines(tmp_path / "answers.jsonl", ANSWERS)
    histories = write_lines(tmp_path / "histories.jsonl", HISTORIES)
    found = []
    for name in (device, "cpu"):
        output = tmp_path / f"{name}.jsonl"
        arguments = ["--input", str(answers), "--histories", str(histories), "--output", str(output)]
        assert main(["score", "--model", str(trained[0]), *arguments, "--device", name]) == 0
        found.append([json.loads(line) for line in output.read_text().splitlines()])
    assert set(asked) == {device, "cpu"}
    assert [line.get("score") for line in found[0]] == pytest.approx([line.get("score") for line in found[1]], abs=1e-4)


@pytest.mark.parametrize("command", ["score", "page"])
def test_a_device_that_is_not_there_is_refused(trained, tmp_path, monkeypatch, capsys, command):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    files = [write_lines(tmp_path / name, lines) for name, lines in (("a.jsonl", ANSWERS), ("h.jsonl", HISTORIES))]
    model = shutil.copytree(trained[0], tmp_path / "prmu")
    manifest = {"stage": "prmu", "config": {}, "inputs": {}}
    (model / "manifest.json").write_text(json.dumps(manifest))
    arguments = {
        "score": ["--model", model, "--input", files[0], "--histories", files[1], "--output", tmp_path / "out"],
        "page": [model, "--out", tmp_path / "out"],
    }[command]
    assert main([command, *map(str, arguments), "--device", "cuda"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("--device cuda, but torch")
    assert told.endswith("or set --device cpu.\n")
    assert not (tmp_path / "out").exists()
