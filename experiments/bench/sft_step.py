"""One SFT step on dialogues of uneven lengths against TRL's: same model, rows, lengths, threads.

    python -m experiments.bench.sft_step --loss-on completions

Prints one JSON line. `--loss-on all` counts every token but the first in the loss, on both sides.
`--chains 2` gives each prompt two completions, as the stage's records have: ours reads the prompt once for both, TRL
gets the same rows.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from experiments.bench.bodies import (
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
from tagpr.sft.datamodule import SftBatch, SftExample, make_batch
from tagpr.sft.module import SftModule


@dataclass(frozen=True, kw_only=True)
class Case:
    """The size of a step."""

    size: str  # of SIZES
    rows: int
    chains: int  # rows that follow one prompt, in the same step
    tokens: int  # mean length of a dialogue, a third more or less
    prompt_share: float  # of a dialogue's tokens; 0: the first token alone is the prompt
    micro_batch_tokens: int  # ours
    their_rows: int  # theirs: dialogues that go through the model at once

    def dialogues(self, step: int) -> list[tuple[list[int], list[int]]]:
        """(prompt, completion) of each row."""
        if self.chains > 1:
            return self._sharing(step)
        lengths = uneven(self.tokens, self.rows, spread=1 / 3, seed=step)
        cut = [max(1, round(length * self.prompt_share)) for length in lengths]
        lists = token_lists(lengths, size=self.size, seed=step)
        return [(tokens[:at], tokens[at:]) for tokens, at in zip(lists, cut, strict=True)]

    def _sharing(self, step: int) -> list[tuple[list[int], list[int]]]:
        prompt = round(self.tokens * self.prompt_share)
        prompts, completions = (
            token_lists(uneven(mean, number, spread=1 / 3, seed=seed), size=self.size, seed=seed)
            for mean, number, seed in (
                (prompt, self.rows // self.chains, step),
                (self.tokens - prompt, self.rows, -1 - step),
            )
        )
        return [(prompts[row // self.chains], completion) for row, completion in enumerate(completions)]


def our_training(case: Case, folder: Path, *, num_steps: int, threads: int) -> Callable[[Callable[[], None]], None]:
    def module() -> SftModule:
        policy = make_model(case.size, attention="two_part")
        return SftModule(policy=policy, dev=None, chunk_size=2048, optimizer=our_optimizer(), num_steps=num_steps)

    def batch(step: int) -> SftBatch:
        examples = [
            SftExample(record_id=str(row // case.chains), prompt_ids=tuple(prompt), completion_ids=tuple(completion))
            for row, (prompt, completion) in enumerate(case.dialogues(step))
        ]
        return make_batch(examples, micro_batch_tokens=case.micro_batch_tokens, pad_id=0)

    return lambda pause: our_loop(module, batch, folder, num_steps=num_steps, threads=threads, pause=pause)


def their_training(case: Case, folder: Path, *, num_steps: int) -> Callable[[Callable[[], None]], None]:
    """TRL padded, as it is fastest on CPU: its packing is slower there."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    def train(pause: Callable[[], None]) -> None:
        rows = [pair for step in range(num_steps) for pair in case.dialogues(step)]
        SFTTrainer(
            model=make_model(case.size, attention="sdpa"),  # pyright: ignore[reportArgumentType]
            args=SFTConfig(
                per_device_train_batch_size=case.their_rows,
                gradient_accumulation_steps=case.rows // case.their_rows,
                packing=False,
                completion_only_loss=True,
                train_sampling_strategy="sequential",
                **their_arguments(folder, num_steps=num_steps),
            ),
            train_dataset=Dataset.from_dict(
                {
                    "input_ids": [prompt + completion for prompt, completion in rows],
                    "completion_mask": [[0] * len(prompt) + [1] * len(completion) for prompt, completion in rows],
                }
            ),
            processing_class=make_tokenizer(case.size),
            callbacks=[PauseAfterSteps(pause)],
        ).train()

    return train


def main() -> None:
    parser = step_arguments(__doc__, micro_batch_tokens=2048)
    parser.add_argument("--rows", type=int, default=16, help="dialogues per step (default: %(default)s)")
    parser.add_argument("--chains", type=int, default=1, help="rows that follow one prompt (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=300, help="mean of a dialogue (default: %(default)s)")
    parser.add_argument("--loss-on", choices=("completions", "all"), default="completions")
    parser.add_argument("--prompt-share", type=float, default=0.65, help="of the tokens (default: %(default)s)")
    parser.add_argument("--their-rows", type=int, help="theirs, per forward pass (default: all)")
    run(parser.parse_args())


def run(given: argparse.Namespace) -> None:
    settle(given)
    case = Case(
        size=given.size,
        rows=given.rows,
        chains=given.chains,
        tokens=given.tokens,
        prompt_share=given.prompt_share if given.loss_on == "completions" else 0.0,
        micro_batch_tokens=given.micro_batch_tokens,
        their_rows=given.their_rows or given.rows,
    )
    name, num_steps = (
        f"sft_step/{case.size}/loss_on_{given.loss_on}/chains_{case.chains}",
        given.warmup + given.pairs + 1,
    )
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
