"""What both stages are run with on a world of a few people: settings, an engine that writes noise, a tiny backbone."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.context import StageContext
from tagpr.data.prompts import CompactStyle
from tagpr.lm.backbone import Backbone, fresh_tiny
from tagpr.lm.generation.base import Completion, RolloutEngine, Sampling
from tagpr.prmu import stage
from tagpr.prmu.arch import Bilinear
from tagpr.prmu.gate import WarnGate
from tagpr.prmu.module import PrmuObjective
from tagpr.prmu.pairs.making import PairSettings
from tagpr.schema import TrainerSettings
from tagpr.training.optimizer import OptimizerSettings, adamw, constant

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
