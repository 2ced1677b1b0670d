"""One GRPO step (rollout and update) against TRL's: same model, prompts, lengths, threads.

    python -m experiments.bench.grpo_step --prompt 1024 --completion 128

Prints one JSON line. `--memory ours` or `--memory theirs` runs one side alone and prints its peak memory instead.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from experiments.bench.bodies import (
    as_text,
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
from tagpr.chains.tags import TagVocabulary
from tagpr.lm.forward import check_against_padded, completion_logprobs
from tagpr.lm.generation.base import Completion, RolloutEngine, Sampling
from tagpr.lm.generation.torch_engine import TorchEngine
from tagpr.rl.advantages import group
from tagpr.rl.guards import WindowGuard
from tagpr.rl.kl import KlPenalty
from tagpr.rl.losses import dapo
from tagpr.rl.module import RlModule
from tagpr.rl.objective import Objective
from tagpr.rl.refill import PromptRefill
from tagpr.rl.rewards.combine import Rewards
from tagpr.rl.rewards.overlong import OverlongPenalty
from tagpr.rl.rollouts import RlPrompt, RolloutBatch, RolloutWindow
from tagpr.tasks import task_named
from tagpr.types import Prompt, Record

CLIP_LOW, CLIP_HIGH = 0.2, 0.28


@dataclass(frozen=True, kw_only=True)
class Case:
    """The size of a step."""

    size: str  # of SIZES
    prompt: int  # mean tokens, a tenth more or less
    completion: int  # tokens of every completion
    prompts: int
    group: int
    micro_batch_tokens: int  # ours: padded tokens that go through the model at once
    their_rows: int  # theirs: completions that go through the model at once

    def prompt_tokens(self, step: int) -> list[list[int]]:
        lengths = uneven(self.prompt, self.prompts, spread=0.1, seed=step)
        return token_lists(lengths, size=self.size, seed=step)


class Phases:
    """Seconds spent in the wrapped functions, by name, since the last `take`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

        return call

    def take(self) -> dict[str, float]:
        taken, self.seconds = self.seconds, {}
        return taken


def worth(token_ids: Sequence[int]) -> float:
    """The reward of both sides: the share of even tokens, which costs nothing and differs within a group."""
    return sum(token % 2 == 0 for token in token_ids) / len(token_ids)


class EvenTokens:
    """That reward as our RL module asks for it."""

    def __call__(self, rollouts: RolloutBatch, *, progress: float) -> Rewards:
        total = torch.tensor([[worth(one.token_ids) for one in answers] for answers in rollouts.completions])
        return Rewards(
            terms={"even": total},
            weights={"even": 1.0},
            gate=torch.ones_like(total),
            contributions={"even": total},
            total=total,
        )

    def metrics(self) -> dict[str, float]:
        return {}


class TimedEngine(RolloutEngine):
    def __init__(self, engine: RolloutEngine, phases: Phases) -> None:
        super().__init__(device=engine.device)
        self.call = phases.timed("rollout", engine.generate)

    def generate(self, *args: Any, **kwargs: Any) -> list[list[Completion]]:
        return self.call(*args, **kwargs)


def rl_prompts(case: Case, num_steps: int) -> list[RlPrompt]:
    record = Record(
        record_id="r", user_id="u", task="S3", split="train", purpose="rl", question="", query="", gold="3", profile=(),
        retrieved=(),
    )  # fmt: skip
    prompt = Prompt(record=record, text="", history=(), thinking=False, num_cut=0, num_dropped=0)
    return [
        RlPrompt(prompt=prompt, token_ids=tokens, task=task_named("S3"), gold="3")
        for step in range(num_steps)
        for tokens in case.prompt_tokens(step)
    ]


def our_training(case: Case, folder: Path, phases: Phases, *, num_steps: int, threads: int) -> Callable[..., None]:
    """The RL stage's own module and loop, with the defaults of conf/rl."""
    tokenizer = make_tokenizer(case.size)
    scoring: dict[str, Any] = {"temperature": 1.0, "method": "two_part", "chunk_size": 2048}
    score_tokens = partial(completion_logprobs, **scoring)
    engine = TorchEngine(tokenizer=tokenizer, max_tokens=32768, device="cpu")

    def module() -> RlModule:
        return RlModule(
            policy=make_model(case.size, attention="two_part"),
            engine=TimedEngine(engine, phases),
            score_tokens=score_tokens,
            self_check=partial(check_against_padded, **scoring),
            objective=Objective(
                reward=EvenTokens(),  # pyright: ignore[reportArgumentType]
                advantage=group,
                policy_loss=partial(dapo, clip_low=CLIP_LOW, clip_high=CLIP_HIGH),
                kl=KlPenalty(measured=False, in_reward=0.0, in_loss=0.0),
                overlong=OverlongPenalty(weight=0.0, buffer=1),
                entropy_weight=0.0,
                importance_cap=None,
                reference=None,
                score_spans=None,
                score_tokens=score_tokens,
                max_new_tokens=case.completion,
                min_std=1e-6,
                max_tokens=case.micro_batch_tokens,
                pad_id=0,
            ),
            tags=TagVocabulary(names=()),
            window=RolloutWindow(
                num_updates=1,
                max_new_tokens=case.completion,
                micro_batch_tokens=case.micro_batch_tokens,
                pad_id=0,
            ),
            guard=WindowGuard(patience=num_steps + 1, max_truncated=1.0),
            refill=PromptRefill(max_rounds=0, num_prompts=case.prompts * num_steps, min_std=1e-6, seed=0),
            sampling=Sampling(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=case.completion),
            group_size=case.group,
            min_std=1e-6,
            prompts=rl_prompts(case, num_steps),
            dev_prompts=[],
            keep_rollouts=lambda *window: None,
            optimizer=our_optimizer(),
            num_steps=num_steps,
            seed=0,
        )

    def batch(step: int) -> list[int]:
        return list(range(step * case.prompts, (step + 1) * case.prompts))

    return lambda pause: our_loop(module, batch, folder, num_steps=num_steps, threads=threads, pause=pause)


def their_training(case: Case, folder: Path, phases: Phases, *, num_steps: int) -> Callable[..., None]:
    """TRL as fast as it goes on CPU: float32, no checkpointing, static cache, no reference model."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    def train(pause: Callable[[], None]) -> None:
        rows = case.prompts * case.group
        prompts = [tokens for step in range(num_steps) for tokens in case.prompt_tokens(step)]
        trainer = GRPOTrainer(
            model=make_model(case.size, attention="sdpa"),  # pyright: ignore[reportArgumentType]
            reward_funcs=lambda prompts, completions, completion_ids, **rest: [worth(ids) for ids in completion_ids],
            args=GRPOConfig(
                per_device_train_batch_size=case.their_rows,
                gradient_accumulation_steps=rows // case.their_rows,
                num_generations=case.group,
                max_completion_length=case.completion,
                cache_implementation="static",
                beta=0.0,
                loss_type="dapo",
                epsilon=CLIP_LOW,
                epsilon_high=CLIP_HIGH,
                shuffle_dataset=False,
                **their_arguments(folder, num_steps=num_steps),
            ),
            train_dataset=Dataset.from_dict({"prompt": [as_text(tokens) for tokens in prompts]}),
            processing_class=make_tokenizer(case.size),
            callbacks=[PauseAfterSteps(pause)],
        )
        trainer._generate_single_turn = phases.timed("rollout", trainer._generate_single_turn)
        trainer.train()

    return train


def sides(
    case: Case, folder: Path, phases: dict[str, Phases], *, num_steps: int, threads: int, which: str
) -> dict[str, Side]:
    made = {}
    if which in ("both", "ours"):
        train = our_training(case, folder / "ours", phases["ours"], num_steps=num_steps, threads=threads)
        made["ours"] = Side("ours", train)
    if which in ("both", "theirs"):
        train = their_training(case, folder / "theirs", phases["theirs"], num_steps=num_steps)
        made["theirs"] = Side("theirs", train)
    return made


def main() -> None:
    parser = step_arguments(__doc__, micro_batch_tokens=2048)
    parser.add_argument("--prompt", type=int, default=200, help="mean tokens (default: %(default)s)")
    parser.add_argument("--completion", type=int, default=96, help="tokens (default: %(default)s)")
    parser.add_argument("--prompts", type=int, default=8, help="per step (default: %(default)s)")
    parser.add_argument("--group", type=int, default=8, help="completions per prompt (default: %(default)s)")
    parser.add_argument("--their-rows", type=int, help="theirs, per forward pass (default: all)")
    run(parser.parse_args())


def run(given: argparse.Namespace) -> None:
    settle(given)
    case = Case(
        size=given.size,
        prompt=given.prompt,
        completion=given.completion,
        prompts=given.prompts,
        group=given.group,
        micro_batch_tokens=given.micro_batch_tokens,
        their_rows=given.their_rows or given.prompts * given.group,
    )
    name = f"grpo_step/{case.size}/P{case.prompt}/C{case.completion}/G{case.group}/B{case.prompts}"
    phases = {"ours": Phases(), "theirs": Phases()}
    with tempfile.TemporaryDirectory() as folder:
        made = sides(
            case,
            Path(folder),
            phases,
            num_steps=given.warmup + given.pairs + 1,
            threads=given.threads,
            which=given.memory or "both",
        )
        if given.memory:
            figures = made[given.memory].memory(given.warmup + 1, peak_mb)
            report(f"{name}/memory", figures, threads=given.threads)
            return
        times, taken = [], []
        for pair in alternate(made["ours"], made["theirs"], pairs=given.warmup + given.pairs):
            times.append(pair)
            taken.append({side: timer.take()["rollout"] for side, timer in phases.items()})
        times, taken = times[given.warmup :], taken[given.warmup :]
        report(name, compared(times) | phase_figures(times, taken), threads=given.threads)


def phase_figures(times: list[Any], rollouts: list[dict[str, float]]) -> dict[str, float]:
    """Medians of each phase; what is not rollout is reward, update and the loop around them."""

    def median(values: list[float]) -> float:
        return float(torch.tensor(values, dtype=torch.float64).quantile(0.5))

    ours, theirs = [one["ours"] for one in rollouts], [one["theirs"] for one in rollouts]
    our_rest = [pair[0].seconds - seconds for pair, seconds in zip(times, ours, strict=True)]
    their_rest = [pair[1].seconds - seconds for pair, seconds in zip(times, theirs, strict=True)]
    figures = {
        "rollout_ratio": median([b / a for a, b in zip(ours, theirs, strict=True)]),
        "update_ratio": median([b / a for a, b in zip(our_rest, their_rest, strict=True)]),
        "ours_rollout_s": median(ours),
        "ours_update_s": median(our_rest),
        "theirs_rollout_s": median(theirs),
        "theirs_update_s": median(their_rest),
    }
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    main()
