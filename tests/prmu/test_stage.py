"""Both stages on a world of a few people: pairs from a policy that writes noise, PRMU from them, a reward from PRMU."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.chains.tags import TagVocabulary
from tagpr.context import StageContext
from tagpr.data.prompts import CompactStyle
from tagpr.data.retrieval import BM25Retriever
from tagpr.errors import BadInputError
from tagpr.lm.attention import TWO_PART
from tagpr.lm.backbone import Backbone, fresh_tiny, save_policy
from tagpr.lm.generation.base import Completion, RolloutEngine, Sampling
from tagpr.prmu import pairs_stage, stage
from tagpr.prmu.arch import Agnostic, Basis, Bilinear, HistoryText, Similarity
from tagpr.prmu.gate import GateNotMet, StopGate, WarnGate
from tagpr.prmu.judge import best_of_n
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.module import PrmuObjective
from tagpr.prmu.pairs import PolicySample
from tagpr.prmu.pairs.base import make_pair
from tagpr.prmu.pairs.making import PairSettings
from tagpr.prmu.reward import PrmuReward
from tagpr.schema import TrainerSettings
from tagpr.storage import read_json, read_pairs, read_parquet, read_records, write_pairs, write_records
from tagpr.training.optimizer import OptimizerSettings, adamw, constant

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"
LABELS = ("quiet", "cosy", "grand")
ANSWERS = ("eerie", *LABELS, "nonsense", "lively")
TRAINER = TrainerSettings(
    accelerator="cpu", devices=1, strategy="auto", precision="32-true", threads=1, checkpoint_every=4, keep_last=2
)
PAIRS = PairSettings(
    mix={"N1": 0.4, "N1_label": 0.2, "N2": 0.1, "N3": 0.1, "N4": 0.2, "N5": 0.1, "N6": 0.1},
    max_pairs=500,
    people_per_query=4,
    labels_per_record=2,
    label_margin=2.0,
    samples=4,
    dev_samples=4,
    no_history_samples=2,
    other_history_samples=3,
    lender_candidates=4,
    length_band=0.5,
    max_prompts=9,
    dev_prompts=5,
    min_gap=0.2,
    max_length_ratio=1.5,
    negatives_per_record=2,
    dev_query_share=0.5,
    shortcut_limit=0.65,
    temperature=1.0,
    max_new_tokens=8,
)
STYLE = CompactStyle(query_tokens=32, history_tokens=40, entry_tokens=20, order="ranked", thinking=False)


class LabelEngine(RolloutEngine):
    """Gives one of ANSWERS after another; one of them is no label."""

    def __init__(self, *, tokenizer: PreTrainedTokenizerBase, device: str = "cpu") -> None:
        super().__init__(device=device)
        self.tokenizer = tokenizer

    def generate(self, model, prompts, *, num_samples, sampling: Sampling, seed, on_done=None):
        groups = []
        for p in range(len(prompts)):
            texts = [ANSWERS[(p + i) % len(ANSWERS)] for i in range(num_samples)]
            groups.append([Completion(token_ids=(1,), logprobs=(0.0,), text=text, truncated=False) for text in texts])
            if on_done:
                on_done(num_samples)
        return groups


@dataclass(frozen=True, kw_only=True)
class ByteBackbone(Backbone):
    inner: PreTrainedTokenizerBase

    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self.inner

    def policy(self) -> PreTrainedModel:
        return fresh_tiny(
            self.inner,
            hidden_size=16,
            intermediate_size=24,
            num_layers=2,
            num_heads=2,
            num_kv_heads=1,
            head_dim=8,
            max_positions=128,
            init_std=0.2,
            seed=3,
            attention=self.attention,
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer, make_record) -> Path:
    """Records in which a person's label is always the same, and a policy folder."""
    root = tmp_path_factory.mktemp("prmu")
    records = []
    for split, people in (("train", range(9)), ("dev", range(9, 15))):
        for u in people:
            taste = LABELS[u % 3]
            records += [
                make_record(
                    f"{split}-{u}-{q}",
                    f"u{u}",
                    query=f"{split} venue {q}",
                    gold=taste,
                    history=tuple((f"place {u} {i}", taste) for i in range(3)),
                    split=split,
                    purpose="dev" if split == "dev" else ("pairs" if q else "rl"),
                )
                for q in range(4)
            ]
    write_records(root / "records", [replace(r, truth={"rule": "taste"}) for r in records])
    tokenizer.chat_template = TEMPLATE
    backbone = ByteBackbone(dtype="float32", attention="sdpa", inner=tokenizer)
    save_policy(backbone.policy(), tokenizer, root / "sft" / "policy")
    return root


@pytest.fixture(scope="module")
def backbone(tokenizer) -> ByteBackbone:
    return ByteBackbone(dtype="float32", attention="sdpa", inner=tokenizer)


def settings(**changes) -> stage.PrmuSettings:
    values = {
        "arch": functools.partial(Bilinear, dim=16, prior_entries=1.0, recency_buckets=3, pooling="mean_attention"),
        "objective": PrmuObjective(margin=0.0, temperature=1.0, contrast_weight=1.0, l2=0.01),
        "gate": WarnGate(num_resamples=50),
        "optimizer": OptimizerSettings(
            create=functools.partial(adamw, learning_rate=3e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0),
            schedule=functools.partial(constant, warmup_steps=1),
            clip_norm=1.0,
        ),
        "steps": 12,
        "block_pairs": 4,
        "blocks_per_step": 4,
        "blocks_per_micro_batch": 2,
        "max_dropout": 0.5,
        "train_entries": 2,
        "max_entries": 3,
        "max_tokens": 64,
        "batch_tokens": 2048,
        "cache_texts": 999,
        "seen_share": 0.5,
        "judged_pairs": 200,
        "validate_every": 6,
        "select_by": "best_of_n",
        "patience": None,
        "reference_people": 2,
        "reference_answers": 3,
        "calibration_bins": 5,
    }
    return stage.PrmuSettings(**(values | changes))


def context(folder: Path, name: str, seed: int = 0) -> StageContext:
    return StageContext(stage=name, seed=seed, checkpoints=folder / f"{name}-checkpoints")


@pytest.fixture(scope="module")
def made_pairs(folder, backbone) -> tuple[Path, dict]:
    output = folder / "pairs"
    output.mkdir()
    counts = pairs_stage.run(
        backbone=backbone,
        prompt=STYLE,
        tags=TagVocabulary(names=()),
        engine=LabelEngine,
        retrieval=BM25Retriever(k=3),
        pairs=PAIRS,
        inputs={"records": folder / "records", "sft": folder / "sft"},
        output=output,
        context=context(folder, "pairs"),
    )
    return output, counts


@pytest.fixture(scope="module")
def trained(folder, backbone, made_pairs) -> tuple[Path, dict]:
    output = folder / "prmu"
    output.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = stage.run(
            backbone=backbone,
            prmu=settings(),
            trainer=TRAINER,
            inputs={"records": folder / "records", "pairs": made_pairs[0]},
            output=output,
            context=context(folder, "prmu"),
        )
    return output, counts


def test_pairs_of_every_type_from_the_right_people(folder, made_pairs):
    output, counts = made_pairs
    pairs = read_pairs(output)
    records = {r.record_id: r for r in read_records(folder / "records")}
    # Of people who share a query, right labels are N1's already (N2), and labels are not edited (N5).
    assert {p.negative_type for p in pairs} == {"N1", "N1_label", "N3", "N4", "N6"}
    for pair in pairs:
        record = records[pair.record_id]
        assert record.split == pair.split
        assert record.purpose in ("pairs", "dev")
        assert pair.chosen == record.gold or pair.negative_type == "N4"
        assert pair.chosen != pair.rejected
    assert {p.query for p in pairs if p.split == "train"} & {p.query for p in pairs if p.split == "dev"} == set()
    assert sum(n for name, n in counts.items() if name.startswith(("train_", "dev_"))) == len(pairs)
    # Nine people with three `pairs` questions each, all compared with one another; dev keeps half of shared queries.
    assert counts["gold_labels"] == 27
    report = read_json(output / "pairs.json")
    assert report["shortcuts"]["accuracy"]["user_agnostic"]["N1"] == 0.5
    for split, by_type in report["accounts"].items():
        for kind, one in by_type.items():
            assert one["made"] == one["kept"] + sum(one["dropped"].values())
            assert one["kept"] == sum(p.negative_type == kind and p.split == split for p in pairs)
            assert counts.get(f"{split}_{kind}", 0) == one["kept"]
    assert "| N1 | " in (output / "pairs.md").read_text()


def test_answers_under_another_history(folder, backbone, tmp_path):
    # Prompts must show a history for another's to stand in its place.
    shown = [replace(record, retrieved=(0, 1, 2)) for record in read_records(folder / "records")]
    write_records(tmp_path / "records", shown)
    mix = dict.fromkeys(PAIRS.mix, 0.0) | {"N2": 1.0}
    counts = pairs_stage.run(
        backbone=backbone,
        prompt=STYLE,
        tags=TagVocabulary(names=()),
        engine=LabelEngine,
        retrieval=BM25Retriever(k=3),
        pairs=replace(PAIRS, mix=mix),
        inputs={"records": tmp_path / "records", "sft": folder / "sft"},
        output=tmp_path,
        context=context(tmp_path, "pairs"),
    )
    pairs = read_pairs(tmp_path)
    records = {record.record_id: record for record in shown}
    lenders = {
        row["record_id"]: row["lender_id"] for row in read_parquet(tmp_path / "samples.parquet") if row["lender_id"]
    }
    assert counts["train_N2"] == sum(p.split == "train" for p in pairs) > 0
    assert {p.negative_type for p in pairs} == {"N2"}
    for record_id, lender_id in lenders.items():
        own, lender = records[record_id], records[lender_id]
        assert (own.query, own.split) == (lender.query, lender.split)  # everybody is asked the same here
        assert own.gold != lender.gold
    for pair in pairs:
        own, other = records[pair.record_id], records[pair.other_record_id]
        assert (pair.chosen, pair.rejected) == (own.gold, other.gold)
        assert lenders.get(pair.record_id) == pair.other_record_id or lenders[pair.other_record_id] == pair.record_id
    # Of train people only asked and lending questions were looked at: nine at most, and no other type was wanted.
    golds = {r for p in pairs if p.split == "train" for r in (p.record_id, p.other_record_id)}
    asked = {row["record_id"] for row in read_parquet(tmp_path / "samples.parquet") if row["split"] == "train"}
    assert counts["gold_labels"] == len(golds | asked)


def test_samples_carry_their_scores(made_pairs):
    samples = [PolicySample(**row) for row in read_parquet(made_pairs[0] / "samples.parquet")]
    assert {s.split for s in samples} == {"train", "dev"}
    assert {s.with_history for s in samples} == {True, False}
    assert all(not s.parsed and s.score == 0.0 for s in samples if s.answer == "nonsense")
    assert any(s.score == 1.0 for s in samples)
    assert made_pairs[1]["samples_parsed"] == sum(s.parsed for s in samples) < len(samples)


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


def test_agnostic_is_at_half_and_stopped_by_the_gate(folder, backbone, made_pairs):
    output = folder / "agnostic"
    output.mkdir()
    with pytest.raises(GateNotMet, match=r"swap accuracy 0\.500"):
        stage.run(
            backbone=backbone,
            prmu=settings(arch=Agnostic, gate=StopGate(num_resamples=50), steps=4, validate_every=0, select_by="last"),
            trainer=TRAINER,
            inputs={"records": folder / "records", "pairs": made_pairs[0]},
            output=output,
            context=context(folder, "agnostic"),
        )
    assert read_json(output / "gate.json")["swap"]["accuracy"] == 0.5


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


def report_with(*exceeded: str) -> dict:
    return {"exceeded": list(exceeded), "limit": 0.65}


def test_a_shortcut_stops_simulated_runs_and_is_told_of_real_ones():
    found = report_with("length on N2: 0.700 of 90 questions")
    with pytest.raises(
        pairs_stage.ShortcutError, match=r"length on N2: 0\.700 of 90 .* at most 0\.65.*pairs\.mix\.N2=0"
    ):
        pairs_stage.judge_shortcuts(found, simulated=True)
    with pytest.warns(pairs_stage.ShortcutWarning, match=r"length on N2: 0\.700"):
        pairs_stage.judge_shortcuts(found, simulated=False)
    pairs_stage.judge_shortcuts(report_with(), simulated=True)


def test_repetition_is_taste_in_the_simulated_world_and_told_of_real_ones():
    found = report_with("history_overlap on N1: 0.800 of 90 questions")
    pairs_stage.judge_shortcuts(found, simulated=True)
    with pytest.warns(pairs_stage.ShortcutWarning, match="history_overlap"):
        pairs_stage.judge_shortcuts(found, simulated=False)


def test_golds_are_counted_once_and_only_where_they_were_looked_at(make_record):
    train = [
        make_record("a", "u", query="shared"),
        make_record("b", "v", query="shared"),
        make_record("c", "w", query="own"),
        make_record("d", "w", query="another", task="S5", gold="text"),
        make_record("e", "x", query="a third", task="S5", gold="text"),
    ]
    none = dict.fromkeys(PAIRS.mix, 0.0)
    pair = make_pair(train[0], "cosy", "N2", other_record_id="b")

    def count(*pairs, samples=(), **mix):
        return pairs_stage.num_golds(train, pairs, samples, mix=none | mix)

    assert count(N3=1.0) == 0
    assert count(pair, pair, N3=1.0) == 2
    assert count(N1=1.0) == 2  # compared, whether or not they disagree
    assert count(N1_label=1.0) == 3  # counted
    assert count(N5=1.0) == 2  # drawn from
    assert count(pair, N1=1.0, N1_label=1.0, N5=1.0) == 5
    dev = make_record("z", "z", split="dev")
    assert count(make_pair(dev, "cosy", "N3"), N3=1.0) == 0  # dev people's golds are not train people's
