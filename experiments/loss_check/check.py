"""Our policy losses and advantages against TRL's own code: values and gradients over several updates of one window.

    python -m experiments.loss_check.check

A GRPOTrainer is made for each loss, on a small random model, and its own `_compute_loss` is called. Four updates are
taken from one window of uneven rollouts, so that from the second on ratios are not 1 and some are clipped. Each update
is compared twice:

- `loss`: TRL is handed our log-probs (in its `_get_per_token_logps_and_entropies`), in float64. Loss, gradient by the
  log-probs, clipped shares: the formulas alone.
- `whole`: each side reads the tokens itself, in float32: TRL row by row with padding, ours with the prompt shared by
  its group. Loss, gradient by all weights.

Advantages: TRL's `_generate_and_score_completions`, its generation replaced by the completions at hand. Prints a table;
the exit code is 1 where a relative difference exceeds 1e-5. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from transformers import PreTrainedModel

from experiments.bench.bodies import as_text, make_model, make_tokenizer, settle, token_lists
from experiments.bench.loops import their_arguments
from tagpr.compose import conf_dir
from tagpr.lm.batches import GroupedBatch
from tagpr.lm.forward import completion_logprobs
from tagpr.rl.advantages import group, group_mean
from tagpr.rl.losses import LossBatch, PolicyLoss, WindowCounts, dapo, dr_grpo, grpo, gspo
from tagpr.rl.rewards.combine import Rewards

SIZE = "1.0M"
PROMPTS = (9, 30, 17)  # tokens of each; B = 3
COMPLETIONS = ((12, 5, 1, 20), (7, 7, 16, 3), (20, 2, 11, 9))  # G = 4
MAX_NEW_TOKENS = 24
UPDATES = 4
LEARNING_RATE = 1e-3  # Adam; enough to leave the clip range on both sides within the window
MIN_STD = 1e-6
TRL_EPS = 1e-4  # what TRL adds to the group's std
ALLOWED = 1e-5

OURS: Mapping[str, Callable[..., tuple[Tensor, dict[str, Tensor]]]] = {
    "grpo": grpo, "dr_grpo": dr_grpo, "dapo": dapo, "gspo": gspo,
}  # fmt: skip
THEIRS: Mapping[str, Mapping[str, Any]] = {
    "grpo": {"loss_type": "grpo"},
    "dr_grpo": {"loss_type": "dr_grpo"},
    "dapo": {"loss_type": "dapo"},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
}


@dataclass(frozen=True, kw_only=True)
class Window:
    """Rollouts of one window, as each side wants them."""

    tokens: GroupedBatch
    old: Tensor  # (B, G, T) log-probs of the model that the window began with
    advantages: Tensor  # (B, G)

    @property
    def counts(self) -> WindowCounts:
        mask = self.tokens.completion_mask
        return WindowCounts(
            num_rollouts=mask.shape[0] * mask.shape[1], num_tokens=int(mask.sum()), max_new_tokens=MAX_NEW_TOKENS
        )

    def ours(self, groups: Tensor, dtype: torch.dtype) -> LossBatch:
        return LossBatch(
            rollout_logprobs=self.old[groups].to(dtype),
            advantages=self.advantages[groups].to(dtype),
            completion_mask=self.tokens.completion_mask[groups],
            counts=self.counts,
        )

    def theirs(self, groups: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
        """The same groups, a row per completion, prompts padded on the left."""
        chosen = self.tokens.select(groups)
        size = chosen.completion_ids.shape[1]
        lengths = chosen.prompt_lengths
        longest = int(lengths.max())
        ids, mask = torch.zeros(len(groups), longest, dtype=torch.long), torch.zeros(len(groups), longest)
        for row, length in enumerate(lengths.tolist()):
            ids[row, longest - length :] = chosen.prompt_ids[row, :length]
            mask[row, longest - length :] = 1
        return {
            "prompt_ids": ids.repeat_interleave(size, dim=0),
            "prompt_mask": mask.long().repeat_interleave(size, dim=0),
            "completion_ids": chosen.completion_ids.flatten(0, 1),
            "completion_mask": chosen.completion_mask.flatten(0, 1).long(),
            "old_per_token_logps": self.old[groups].flatten(0, 1).to(dtype),
            "advantages": self.advantages[groups].flatten().to(dtype),
            "num_items_in_batch": torch.tensor(self.counts.num_tokens),
        }


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One loss in one setting: the largest over all updates."""

    loss: str
    what: str
    micro_batches: int
    value: float  # |ours - theirs| / the loss's size were no term to cancel another (advantages without sign)
    gradient: float  # norm of the difference / norm of theirs
    clipped: tuple[float, float]  # below, above; mean over updates
    clip_gap: float  # largest |ours - theirs| of the clipped shares; NaN where cut in micro-batches


def settings_of(name: str) -> dict[str, float]:
    """clip_low and clip_high as shipped."""
    node = yaml.safe_load((conf_dir() / "policy_loss" / f"{name}.yaml").read_text(encoding="utf-8"))
    return {key: float(node[key]) for key in ("clip_low", "clip_high")}


def make_window(model: PreTrainedModel, rewards: Tensor) -> Window:
    lengths = [length for row in COMPLETIONS for length in row]
    flat = token_lists(lengths, size=SIZE, seed=1)
    size = len(COMPLETIONS[0])
    completions = [flat[start : start + size] for start in range(0, len(flat), size)]
    tokens = GroupedBatch.from_lists(token_lists(PROMPTS, size=SIZE, seed=2), completions, pad_id=0)
    with torch.no_grad():
        old = read(model, tokens)
    return Window(tokens=tokens, old=old, advantages=group(rewards_of(rewards), min_std=MIN_STD))


def rewards_of(total: Tensor) -> Rewards:
    return Rewards(
        terms={"task": total}, weights={"task": 1.0}, gate=torch.ones_like(total), contributions={"task": total},
        total=total,
    )  # fmt: skip


def read(model: PreTrainedModel, tokens: GroupedBatch) -> Tensor:
    """(B, G, T) log-probs by the shared-prefix forward."""
    return completion_logprobs(model, tokens, temperature=1.0, method="two_part", chunk_size=2048).logprobs


def make_trainer(model: PreTrainedModel, folder: Path, reward: Callable[..., Any], **settings: Any) -> Any:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    rows = len(PROMPTS) * len(COMPLETIONS[0])
    prompts = [{"prompt": as_text(tokens)} for tokens in token_lists(PROMPTS, size=SIZE, seed=2)]
    trainer = GRPOTrainer(
        model=model,  # pyright: ignore[reportArgumentType]
        reward_funcs=reward,
        args=GRPOConfig(
            **their_arguments(folder, num_steps=UPDATES),
            num_generations=len(COMPLETIONS[0]),
            max_completion_length=MAX_NEW_TOKENS,
            beta=0.0,
            num_iterations=UPDATES,
            per_device_train_batch_size=rows // settings["gradient_accumulation_steps"],
            **settings,
        ),
        train_dataset=Dataset.from_list(prompts),
        processing_class=make_tokenizer(SIZE),
    )
    trainer.model.train()
    # As in the training loop, which sets it before every step.
    trainer.current_gradient_accumulation_steps = settings["gradient_accumulation_steps"]
    return trainer


def their_loss(trainer: Any, window: Window, cuts: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """The micro-batches of a step added up, as the training loop's backward passes do."""
    return torch.stack([trainer._compute_loss(trainer.model, window.theirs(groups, dtype)) for groups in cuts]).sum()


def compare_loss(name: str, *, micro_batches: int, folder: Path) -> list[Difference]:
    """One loss over the updates of a window; our gradient moves the weights of both."""
    clip = settings_of(name)
    loss: PolicyLoss = partial(OURS[name], **clip)
    model, twin = make_model(SIZE, attention="two_part"), make_model(SIZE, attention="sdpa")
    window = make_window(model, torch.tensor([[0.9, 0.1, 0.4, 0.4], [0.5, 0.5, 0.5, 0.5], [0.0, 1.0, 1.0, 0.3]]))
    trainer = make_trainer(
        twin, folder, lambda completions, **_: [0.0] * len(completions), epsilon=clip["clip_low"],
        epsilon_high=clip["clip_high"], gradient_accumulation_steps=micro_batches, **THEIRS[name],
    )  # fmt: skip
    own_reader = trainer._get_per_token_logps_and_entropies
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    everything = torch.arange(len(PROMPTS))
    cuts = list(everything.tensor_split(micro_batches))
    values: dict[str, list[float]] = {"loss": [], "whole": []}
    gradients: dict[str, list[float]] = {"loss": [], "whole": []}
    clipped, gaps = [], []
    for _ in range(UPDATES):
        twin.load_state_dict(model.state_dict())
        logprobs = read(model, window.tokens)

        # The formulas alone: both differentiate one float64 tensor of log-probs.
        same = logprobs.detach().double().requires_grad_()
        parts = [loss(same[groups], window.ours(groups, torch.double)) for groups in cuts]
        handed = iter([same[groups].flatten(0, 1) for groups in cuts])
        # One entropy per token is asked for and only logged.
        trainer._get_per_token_logps_and_entropies = lambda *a, handed=handed, **k: (
            (own := next(handed)), torch.zeros_like(own), None
        )  # fmt: skip
        ours, theirs = torch.stack([part for part, _ in parts]).sum(), their_loss(trainer, window, cuts, torch.double)
        by_logprobs = [torch.autograd.grad(one, same, retain_graph=True)[0].flatten() for one in (ours, theirs)]
        size = loss(same, replace(window.ours(everything, torch.double), advantages=window.advantages.double().abs()))
        values["loss"].append(abs(float(ours - theirs) / float(size[0])))
        gradients["loss"].append(relative(*by_logprobs))
        shares = [float(sum(stats[key] for _, stats in parts)) for key in ("clip_low", "clip_high")]
        clipped.append(shares)
        logged = [trainer._metrics["train"][f"clip_ratio/{side}_mean"][-1] for side in ("low", "high")]
        gaps.append(max(abs(a - b) for a, b in zip(shares, logged, strict=True)))

        # Each side's own forward as well.
        trainer._get_per_token_logps_and_entropies = own_reader
        optimizer.zero_grad()
        twin.zero_grad()
        whole = torch.stack([loss(logprobs[groups], window.ours(groups, torch.float))[0] for groups in cuts]).sum()
        whole.backward()
        theirs = their_loss(trainer, window, cuts, torch.float)
        theirs.backward()
        values["whole"].append(abs(float(whole - theirs) / float(size[0])))
        gradients["whole"].append(relative(gradient_of(model), gradient_of(twin)))
        optimizer.step()
    low, high = (sum(one[side] for one in clipped) / UPDATES for side in (0, 1))
    return [
        Difference(
            loss=name, what=what, micro_batches=micro_batches,
            value=max(values[what]),
            gradient=max(gradients[what]), clipped=(low, high),
            clip_gap=max(gaps) if micro_batches == 1 else float("nan"),
        )
        for what in values
    ]  # fmt: skip


def gradient_of(model: PreTrainedModel) -> Tensor:
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).detach().norm() / theirs.detach().norm())


def compare_advantages(scale: str, *, folder: Path) -> tuple[float, float]:
    """Largest relative difference of GRPO's (scale=group) or Dr. GRPO's (none) advantages, as they are and after the
    constant that TRL adds to the std is taken out."""
    rewards = torch.tensor([[0.9, 0.1, 0.4, 0.45], [0.5, 0.5, 0.5, 0.5], [0.0, 1.0, 0.7, 0.3]])
    model = make_model(SIZE, attention="sdpa")
    trainer = make_trainer(
        model, folder, lambda completions, **_: rewards.flatten().tolist(), gradient_accumulation_steps=1,
        scale_rewards=scale,
    )  # fmt: skip
    size = len(COMPLETIONS[0])
    prompts = [tokens for tokens in token_lists(PROMPTS, size=SIZE, seed=2) for _ in range(size)]
    completions = token_lists([length for row in COMPLETIONS for length in row], size=SIZE, seed=1)
    texts = [as_text(tokens) for tokens in completions]
    trainer._generate = lambda given: (prompts, completions, None, texts, None, {}, None, None)
    given = trainer._generate_and_score_completions([{"prompt": as_text(tokens)} for tokens in prompts])
    theirs = given["advantages"].view(rewards.shape)
    ours = (group if scale == "group" else group_mean)(rewards_of(rewards), min_std=MIN_STD)
    std = rewards.std(dim=1, keepdim=True)
    mended = theirs * (std + TRL_EPS) / std.clamp(min=TRL_EPS) if scale == "group" else theirs
    assert ours[1].tolist() == theirs[1].tolist() == [0.0] * size, "a group without variance has no advantages"
    return relative(ours, theirs), relative(ours, mended)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
    parser.add_argument("--cores", default="0", help="which ones, on Linux (default: %(default)s)")
    settle(parser.parse_args())
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        print("| loss | compared | micro-batches | value | gradient | clipped below, above | gap of clipped shares |")
        print("|---|---|---|---|---|---|---|")
        for name in OURS:
            for micro_batches in (1, 3):
                for one in compare_loss(name, micro_batches=micro_batches, folder=Path(folder)):
                    low, high = one.clipped
                    gap = "-" if one.clip_gap != one.clip_gap else f"{one.clip_gap:.1e}"
                    print(
                        f"| {one.loss} | {one.what} | {one.micro_batches} | {one.value:.1e} | {one.gradient:.1e} | "
                        f"{low:.1%}, {high:.1%} | {gap} |", flush=True,
                    )  # fmt: skip
                    assert min(low, high) > 0, "the window must be clipped on both sides to test clipping"
                    worst = max(worst, one.value, one.gradient)
        print("\n| advantages | as they are | without TRL's 1e-4 in the std |\n|---|---|---|")
        for name, scale in (("group", "group"), ("group_mean", "none")):
            raw, mended = compare_advantages(scale, folder=Path(folder))
            print(f"| {name} | {raw:.1e} | {mended:.1e} |")
            worst = max(worst, mended)
    print(f"\nlargest relative difference {worst:.1e}, allowed {ALLOWED:.0e}")
    sys.exit(0 if worst <= ALLOWED else 1)


if __name__ == "__main__":
    main()
