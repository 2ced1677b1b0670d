"""PRMU's stage on a world of a few people: what it learns from their pairs, what it says of it, a reward from it."""

from __future__ import annotations

import functools
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from tagpr.errors import BadInputError
from tagpr.lm.attention import TWO_PART
from tagpr.prmu import stage
from tagpr.prmu.arch import Agnostic, Basis, HistoryText, Similarity
from tagpr.prmu.gate import GateNotMet, StopGate
from tagpr.prmu.judge import best_of_n
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.reward import PrmuReward
from tagpr.storage import read_json, read_records, write_pairs
from tagpr.types import PreferencePair, Record
from tests.prmu.stages import LABELS, TRAINER, context, settings


def test_prmu_learns_taste_and_says_so(trained):
    output, counts = trained
    assert counts["steps"] == 12
    assert counts["unseen_accuracy_N1"] > 0.9
    assert counts["unseen_swap_accuracy"] > 0.9
    assert counts["seen_accuracy_N1"] > 0.9
    gate = read_json(output / "gate.json")
    assert gate["swap"]["met"]
    assert gate["best_of_n"]["gain_over_random"] > 0
    calibration = read_json(output / "calibration.json")
    assert calibration["temperature"] > 0
    assert read_json(output / "model" / "prmu.json")["temperature"] == calibration["temperature"]
    assert "prmu/unseen/swap_accuracy" in (output / "metrics.csv").read_text()


def test_the_reward_likes_what_the_person_likes(folder, trained):
    records = read_records(folder / "records", splits=["train"])
    reward = PrmuReward.from_stage(
        trained[0], records, blind_share=0.5, clip=3.0, max_records=4, cache_texts=999, device="cpu"
    )
    asked = [r for r in records if r.purpose == "rl"]
    scores = reward.prmu_scores(asked, [list(LABELS)] * len(asked))
    liked = [LABELS[i] for i in scores.rewards.argmax(dim=1)]
    assert sum(a == r.gold for a, r in zip(liked, asked, strict=True)) >= 8
    assert 0.0 <= scores.saturated_share <= 1.0
    assert torch.isfinite(scores.rewards).all()


def test_agnostic_is_at_half_and_stopped_by_the_gate(folder, backbone, made_pairs, tmp_path):
    with pytest.raises(GateNotMet, match=r"swap accuracy 0\.500"):
        stage.run(
            backbone=backbone,
            prmu=settings(arch=Agnostic, gate=StopGate(num_resamples=50), steps=4, validate_every=0, select_by="last"),
            trainer=TRAINER,
            inputs={"records": folder / "records", "pairs": made_pairs[0]},
            output=tmp_path,
            context=context(tmp_path, "agnostic"),
        )
    assert read_json(tmp_path / "gate.json")["swap"]["accuracy"] == 0.5


ARCH = {
    "basis": functools.partial(
        Basis, num_prototypes=4, dim=16, prior_entries=1.0, recency_buckets=3, pooling="query_aware"
    ),
    "history_text": functools.partial(HistoryText, history_tokens=60),
    "similarity": functools.partial(Similarity, prior_entries=1.0),
}


@pytest.mark.parametrize("name", ARCH)
def test_other_architectures_go_the_same_way(name, folder, backbone, made_pairs, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = stage.run(
            backbone=replace(backbone, attention=TWO_PART),
            prmu=settings(arch=ARCH[name], steps=8, validate_every=4),
            trainer=TRAINER,
            inputs={"records": folder / "records", "pairs": made_pairs[0]},
            output=tmp_path,
            context=context(tmp_path, "prmu"),
        )
    assert counts["steps"] == (0 if name == "similarity" else 8)
    assert 0.0 <= counts["ece"] <= 1.0
    assert read_json(tmp_path / "model" / "prmu.json")["arch"] == name
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert "prmu/best_of_n/picked" in rows[0]
    records = read_records(folder / "records", splits=["train"])
    reward = PrmuReward.from_stage(
        tmp_path, records, blind_share=0.5, clip=3.0, max_records=4, cache_texts=999, device="cpu"
    )
    asked = [r for r in records if r.purpose == "rl"]
    assert torch.isfinite(reward.prmu_scores(asked, [list(LABELS)] * len(asked)).rewards).all()
    if name != "similarity":
        assert counts["best_step"] in (4, 8)
        return
    # Untrained: no gold of train people, the base's own weights, one row of figures; calibrated all the same.
    assert counts["gold_labels"] == counts["train_pairs"] == counts["best_step"] == 0
    assert len(rows) == 2
    assert counts["unseen_accuracy_N1"] == 1.0  # these people always give the same label
    assert read_json(tmp_path / "calibration.json")["temperature"] != 1.0
    assert "None: the backbone is the base" in (tmp_path / "model" / "README.md").read_text()
    base, kept = backbone.policy().base_model.state_dict(), reward.model.encoder.backbone.state_dict()
    assert all(torch.equal(kept[key], value) for key, value in base.items())


def test_the_weights_kept_are_those_that_pick_best(folder, backbone, made_pairs, tmp_path, monkeypatch):
    """The middle of three validations picks best: its weights are saved, not the last ones."""
    picked, weights = iter([0.5, 0.75, 0.25]), []

    def planned(best, *, prefix):
        return {f"{prefix}/picked": next(picked)}

    def spied(model, *rest, **others):
        weights.append({key: value.clone() for key, value in model.state_dict().items()})
        return best_of_n(model, *rest, **others)

    monkeypatch.setattr(stage, "pick_metrics", planned)
    monkeypatch.setattr(stage, "best_of_n", spied)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = stage.run(
            backbone=backbone,
            prmu=settings(steps=6, validate_every=2),
            trainer=TRAINER,
            inputs={"records": folder / "records", "pairs": made_pairs[0]},
            output=tmp_path,
            context=context(tmp_path, "prmu"),
        )
    assert (counts["steps"], counts["best_step"]) == (6, 4)
    _, second, third, kept = weights
    assert all(torch.equal(kept[key], value) for key, value in second.items())
    assert not all(torch.equal(kept[key], value) for key, value in third.items())
    saved = PrmuModel.from_pretrained(tmp_path / "model").state_dict()
    assert all(torch.equal(saved[key], value) for key, value in second.items())
    assert "; 4 optimizer steps" in (tmp_path / "model" / "README.md").read_text()


def test_training_ends_when_the_picks_get_no_better(folder, backbone, made_pairs, tmp_path, monkeypatch):
    picked = iter([0.5, 0.75, 0.7, 0.6])
    monkeypatch.setattr(stage, "pick_metrics", lambda best, *, prefix: {f"{prefix}/picked": next(picked)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = stage.run(
            backbone=backbone,
            prmu=settings(steps=6, validate_every=1, patience=2),
            trainer=TRAINER,
            inputs={"records": folder / "records", "pairs": made_pairs[0]},
            output=tmp_path,
            context=context(tmp_path, "prmu"),
        )
    assert (counts["steps"], counts["best_step"]) == (4, 2)


def test_no_pairs_is_an_error(folder, backbone, made_pairs, tmp_path):
    write_pairs(tmp_path, [])
    with pytest.raises(BadInputError, match="no training pairs"):
        stage.run(
            backbone=backbone,
            prmu=settings(),
            trainer=TRAINER,
            inputs={"records": folder / "records", "pairs": tmp_path},
            output=tmp_path,
            context=context(tmp_path, "empty"),
        )


def test_a_task_without_training_pairs_has_reference_people_all_the_same():
    """Pairs of few questions may all be of one task; RL and the choice of weights ask about every task."""

    def record(task, number, split="train"):
        return Record(
            record_id=f"{task}-{number}", user_id=f"u{number}", task=task, split=split, purpose="rl", question="q",
            query="q", gold="3", profile=(), retrieved=(),
        )  # fmt: skip

    pairs = [
        PreferencePair(
            record_id=f"LaMP_3-{n}", user_id=f"u{n}", task="LaMP_3", query="q", chosen="1", rejected="2",
            negative_type="N4",
        )
        for n in range(3)
    ]  # fmt: skip
    records = [record("LaMP_3", n) for n in range(5)] + [record("LaMP_4", n) for n in range(5)]
    records += [record("LaMP_7", 9, split="dev")]
    chosen = stage._choose_people(pairs, records, 2, np.random.default_rng(0))
    assert [name.split("-")[0] for name in chosen] == ["LaMP_3", "LaMP_3", "LaMP_4", "LaMP_4"]
    assert {name for name in chosen if "LaMP_3" in name} <= {pair.record_id for pair in pairs}
    assert len(set(chosen)) == 4
