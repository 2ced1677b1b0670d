"""One step of a text reward model on pairs that share their prompt, against TRL's RewardTrainer.

    python -m experiments.bench.reward_model

Both sides read prompt and answer with the same model, score the last token with a linear head and minimise
Bradley-Terry; ours encodes the prompt of a pair once (`tagpr.lm.forward.last_completion_states`). Prints one JSON line.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import Qwen3ForSequenceClassification

from experiments.bench.bodies import (
    SIZES,
    make_model,
    make_tokenizer,
    peak_mb,
    report,
    settle,
    step_arguments,
    token_lists,
    uneven,
)
from experiments.bench.loops import PauseAfterSteps, our_loop, our_optimizer, their_arguments
from experiments.bench.turns import Side, alternate, compared
from tagpr.lm.batches import GroupedBatch, split_groups
from tagpr.lm.forward import last_completion_states
from tagpr.prmu.loss import pair_loss
from tagpr.training.module import ManualModule


@dataclass(frozen=True, kw_only=True)
class Case:
    """The size of a step."""

    size: str  # of SIZES
    pairs: int
    prompt: int  # mean tokens, a tenth more or less
    answer: int  # mean tokens, a third more or less
    micro_batch_tokens: int  # ours
    their_pairs: int  # theirs: pairs that go through the model at once

    def texts(self, step: int) -> list[tuple[list[int], list[int], list[int]]]:
        """(prompt, chosen, rejected) of each pair."""
        prompts = token_lists(uneven(self.prompt, self.pairs, spread=0.1, seed=step), size=self.size, seed=step)
        lengths = uneven(self.answer, 2 * self.pairs, spread=1 / 3, seed=step)
        answers = token_lists(lengths, size=self.size, seed=-1 - step)
        return list(zip(prompts, answers[::2], answers[1::2], strict=True))


class PairModule(ManualModule):
    """A backbone and a linear head, trained on pairs of completions."""

    def __init__(self, case: Case, *, num_steps: int) -> None:
        super().__init__(optimizer=our_optimizer(), num_steps=num_steps)
        self.case = case
        self.policy = make_model(case.size, attention="two_part")
        self.head = nn.Linear(SIZES[case.size][0], 1, bias=False)

    def training_step(self, batch: list[GroupedBatch], batch_idx: int) -> None:
        def loss(part: GroupedBatch) -> Tensor:
            rewards = self.head(last_completion_states(self.policy, part, method="two_part"))[..., 0]
            weights = torch.full((len(rewards),), 1 / self.case.pairs)
            return pair_loss(rewards[:, 0], rewards[:, 1], weights, margin=0.0, temperature=1.0)

        self.update(batch, loss)


def our_training(case: Case, folder: Path, *, num_steps: int, threads: int) -> Callable[[Callable[[], None]], None]:
    def batch(step: int) -> list[GroupedBatch]:
        texts = case.texts(step)
        whole = GroupedBatch.from_lists(
            [prompt for prompt, _, _ in texts], [[chosen, rejected] for _, chosen, rejected in texts], pad_id=0
        )
        return [whole.select(index) for index in split_groups(whole, max_tokens=case.micro_batch_tokens)]

    return lambda pause: our_loop(
        lambda: PairModule(case, num_steps=num_steps), batch, folder, num_steps=num_steps, threads=threads, pause=pause
    )


def their_training(case: Case, folder: Path, *, num_steps: int) -> Callable[[Callable[[], None]], None]:
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    def train(pause: Callable[[], None]) -> None:
        config = make_model(case.size, attention="sdpa").config
        config.num_labels = 1
        texts = [text for step in range(num_steps) for text in case.texts(step)]
        RewardTrainer(
            model=Qwen3ForSequenceClassification(config),  # pyright: ignore[reportArgumentType]
            args=RewardConfig(
                per_device_train_batch_size=case.their_pairs,
                gradient_accumulation_steps=case.pairs // case.their_pairs,
                train_sampling_strategy="sequential",
                max_length=None,
                **their_arguments(folder, num_steps=num_steps),
            ),
            train_dataset=Dataset.from_dict(
                {
                    "chosen_ids": [prompt + chosen for prompt, chosen, _ in texts],
                    "rejected_ids": [prompt + rejected for prompt, _, rejected in texts],
                }
            ),
            processing_class=make_tokenizer(case.size),
            callbacks=[PauseAfterSteps(pause)],
        ).train()

    return train


def main() -> None:
    parser = step_arguments(__doc__, micro_batch_tokens=2048)
    parser.add_argument("--rows", type=int, default=8, help="pairs per step (default: %(default)s)")
    parser.add_argument("--prompt", type=int, default=240, help="mean tokens (default: %(default)s)")
    parser.add_argument("--answer", type=int, default=60, help="mean tokens of a side (default: %(default)s)")
    parser.add_argument("--their-pairs", type=int, help="theirs, per forward pass (default: all)")
    run(parser.parse_args())


def run(given: argparse.Namespace) -> None:
    settle(given)
    case = Case(
        size=given.size,
        pairs=given.rows,
        prompt=given.prompt,
        answer=given.answer,
        micro_batch_tokens=given.micro_batch_tokens,
        their_pairs=given.their_pairs or given.rows,
    )
    name, num_steps = f"reward_model/{case.size}/P{case.prompt}/A{case.answer}", given.warmup + given.pairs + 1
    with tempfile.TemporaryDirectory() as folder:
        ours = Side("ours", our_training(case, Path(folder, "ours"), num_steps=num_steps, threads=given.threads))
        theirs = Side("theirs", their_training(case, Path(folder, "theirs"), num_steps=num_steps))
        if given.memory:
            side = {"ours": ours, "theirs": theirs}[given.memory]
            report(f"{name}/memory", side.memory(given.warmup + 1, peak_mb), threads=given.threads)
        else:
            times = list(alternate(ours, theirs, pairs=given.warmup + given.pairs))
            report(name, compared(times[given.warmup :]), threads=given.threads)


if __name__ == "__main__":
    main()
