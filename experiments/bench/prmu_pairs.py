"""One PRMU step on pairs of a generated world against TRL's RewardTrainer on the same pairs.

    python -m experiments.bench.prmu_pairs --ours bilinear --theirs blind

Pairs are those that the `pairs` stage makes of shared questions: up to six people answer one question, and every two
that differ are a pair in both directions. Both sides take the shipped base's shape, float32, the same pairs in the same
steps (four questions each, of equally many pairs), and the same threads. What each side reads:

- ours, bilinear: the stage's own PairData, PrmuModule and settings: every distinct answer to a question once, the
  question once for all of them, and up to `prmu.train_entries` past answers of every person, each once; tokenising is
  part of the step. It trains a reward that knows the person.
- ours, agnostic: the same without people: questions and answers alone.
- theirs, blind: question and answer of each side of each pair, tokenised beforehand: the cheapest that TRL can do. It
  trains a reward that does not know the person, for whom both directions of a pair cancel.
- theirs, history: the person's past answers as text before that, as `prmu/arch=history_text` shows them (at most
  `train_entries` of them, to read no more than ours).

Prints one JSON line.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import numpy as np
from omegaconf import DictConfig, OmegaConf
from transformers import PreTrainedModel, Qwen3ForSequenceClassification

from experiments.bench.bodies import arguments, make_tokenizer, report, settle
from experiments.bench.loops import PauseAfterSteps, our_loop, our_optimizer, their_arguments
from experiments.bench.turns import Side, alternate, compared
from tagpr.compose import composed
from tagpr.lm.attention import TWO_PART
from tagpr.lm.backbone import ShippedBackbone
from tagpr.markup import escape
from tagpr.prmu.datamodule import PairBatch, PairData, histories_of, make_blocks
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.module import PrmuModule
from tagpr.prmu.pairs.shared_query import shared_query_pairs
from tagpr.prmu.text_encoder import TextEncoder
from tagpr.prmu.texts import Exchange, Pasted
from tagpr.types import PreferencePair

HISTORY_TOKENS = 512  # room enough for all entries


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The pairs, and what the stage's own loader makes of them."""

    data: PairData
    pairs: int  # in every step

    def indices(self, step: int) -> list[int]:
        loader = self.data.loader()
        return loader.indices(*divmod(step, loader.steps_per_epoch))

    def ours(self, step: int) -> list[PairBatch]:
        return self.data.collate(self.indices(step), np.random.default_rng(step))

    def theirs(self, step: int) -> list[PreferencePair]:
        return [pair for index in self.indices(step) for pair in self.data.blocks[index].pairs]


def settings(arch: str) -> DictConfig:
    """Of conf/: the demo's world and PRMU."""
    return composed(["experiment=demo", f"prmu/arch={arch}"])


def make_steps(cfg: DictConfig) -> Steps:
    """Blocks of the most frequent number of pairs alone: TRL's batches have one size."""
    data = OmegaConf.masked_copy(cfg.data, [key for key in cfg.data if key != "seed"])
    records = [
        record
        for record in hydra.utils.instantiate(data).draw(seed=0, advance=lambda people: None)
        if record.split == "train" and record.purpose == "pairs"
    ]
    made = shared_query_pairs(records, people_per_query=cfg.pairs.people_per_query, generator=np.random.default_rng(0))
    size = Counter(map(len, made)).most_common(1)[0][0]
    pairs = [pair for block in made if len(block) == size for pair in block]
    blocks = {len(block.pairs) for block in make_blocks(pairs)}
    assert blocks == {size}, f"blocks of {blocks} pairs, expected {size} in each"
    histories, contexts = histories_of(pairs, records)
    data = PairData(
        pairs=pairs,
        histories=histories,
        contexts=contexts,
        block_pairs=cfg.prmu.block_pairs,
        blocks_per_step=cfg.prmu.blocks_per_step,
        blocks_per_micro_batch=cfg.prmu.blocks_per_micro_batch,
        max_dropout=cfg.prmu.max_dropout,
        max_entries=cfg.prmu.train_entries,
        seed=0,
    )
    return Steps(data=data, pairs=size * cfg.prmu.blocks_per_step)


def make_encoder(cfg: DictConfig) -> TextEncoder:
    backbone = ShippedBackbone(dtype="float32", attention=TWO_PART)
    body = backbone.policy().base_model
    assert isinstance(body, PreTrainedModel)
    return TextEncoder(
        backbone=body,
        tokenizer=backbone.tokenizer(),
        max_tokens=cfg.prmu.max_tokens,
        batch_tokens=cfg.prmu.batch_tokens,
    )


def our_training(
    cfg: DictConfig, steps: Steps, folder: Path, *, num_steps: int, threads: int
) -> Callable[[Callable[[], None]], None]:
    def module() -> PrmuModule:
        encoder = make_encoder(cfg)
        arch = hydra.utils.instantiate(cfg.prmu.arch)(hidden_size=encoder.hidden_size)
        return PrmuModule(
            model=PrmuModel(encoder=encoder, arch=arch, max_entries=cfg.prmu.max_entries),
            objective=hydra.utils.instantiate(cfg.prmu.objective),
            optimizer=our_optimizer(),
            num_steps=num_steps,
            evaluate=lambda model: {},
        )

    return lambda pause: our_loop(module, steps.ours, folder, num_steps=num_steps, threads=threads, pause=pause)


def their_tokens(cfg: DictConfig, steps: Steps, *, num_steps: int, with_history: bool) -> dict[str, list[list[int]]]:
    encoder = make_encoder(cfg)
    sides: dict[str, list[list[int]]] = {"chosen_ids": [], "rejected_ids": []}
    for pair in (pair for step in range(num_steps) for pair in steps.theirs(step)):
        history = tuple(entry.text() for entry in steps.data.histories[pair.record_id][-cfg.prmu.train_entries :])
        for name, answer in (("chosen_ids", pair.chosen), ("rejected_ids", pair.rejected)):
            text: Any = Exchange(steps.data.contexts[pair.record_id], escape(answer))
            if with_history:
                text = Pasted(history, text, HISTORY_TOKENS)
            ((before, response),) = encoder.token_ids([text])
            sides[name].append([*before, *response])
    return sides


def their_training(
    cfg: DictConfig, tokens: dict[str, list[list[int]]], folder: Path, *, num_steps: int, pairs: int
) -> Callable[[Callable[[], None]], None]:
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    def train(pause: Callable[[], None]) -> None:
        config = ShippedBackbone(dtype="float32", attention="sdpa").policy().config
        config.num_labels = 1
        config.pad_token_id = 0
        RewardTrainer(
            model=Qwen3ForSequenceClassification(config),  # pyright: ignore[reportArgumentType]
            args=RewardConfig(
                per_device_train_batch_size=pairs,
                train_sampling_strategy="sequential",
                max_length=None,
                **their_arguments(folder, num_steps=num_steps),
            ),
            train_dataset=Dataset.from_dict(tokens),
            processing_class=make_tokenizer("1.0M"),
            callbacks=[PauseAfterSteps(pause)],
        ).train()

    return train


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--ours", choices=("bilinear", "agnostic"), default="bilinear")
    parser.add_argument("--theirs", choices=("blind", "history"), default="blind")
    run(parser.parse_args())


def run(given: argparse.Namespace) -> None:
    settle(given)
    cfg = settings(given.ours)
    steps, num_steps = make_steps(cfg), given.warmup + given.pairs + 1
    tokens = their_tokens(cfg, steps, num_steps=num_steps, with_history=given.theirs == "history")
    with tempfile.TemporaryDirectory() as folder:
        ours = our_training(cfg, steps, Path(folder, "ours"), num_steps=num_steps, threads=given.threads)
        theirs = their_training(cfg, tokens, Path(folder, "theirs"), num_steps=num_steps, pairs=steps.pairs)
        times = list(alternate(Side("ours", ours), Side("theirs", theirs), pairs=given.warmup + given.pairs))
    figures = compared(times[given.warmup :])
    rate = {f"{side}_pairs_per_s": round(steps.pairs / figures[f"{side}_s"]) for side in ("ours", "theirs")}
    lengths = [len(ids) for side in tokens.values() for ids in side]
    facts = {"pairs_per_step": steps.pairs, "their_tokens_per_pair": round(2 * sum(lengths) / len(lengths))}
    report(f"prmu_pairs/{given.ours}/trl_{given.theirs}", figures | rate | facts, threads=given.threads)


if __name__ == "__main__":
    main()
