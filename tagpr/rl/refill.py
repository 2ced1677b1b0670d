"""Dynamic sampling within a budget: prompts whose rollouts all score alike give way to others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tagpr.errors import UserError
from tagpr.rl.advantages import without_variance
from tagpr.rl.rewards.gates import g_answer
from tagpr.rl.rewards.task import task_score
from tagpr.rl.rollouts import RolloutBatch

Sample = Callable[[Sequence[int], int], RolloutBatch]  # (positions of prompts, seed of the engine) -> their rollouts


def tied_on_task(rollouts: RolloutBatch, *, min_std: float) -> list[int]:
    """Groups whose gold is known and whose R_task, behind g_answer, is the same for every rollout.

    A group without gold never has a task reward; it is there for the other terms, and stays.
    """
    tied = without_variance(g_answer(rollouts) * task_score(rollouts), min_std=min_std).tolist()
    return [b for b, prompt in enumerate(rollouts.prompts) if prompt.gold is not None and tied[b]]


class PromptRefill:
    """Samples a window and replaces its tied groups by groups of other prompts, at most `max_rounds` times.

    Source: DAPO, arXiv:2503.14476, section 3.2, which goes on until the window is full; ours stops at a stated budget,
    and keeps the groups that are tied then, so that a window has always B groups. Which prompts come in is a function
    of (seed, step, round) alone. Its counts are part of the checkpoint.

    Args:
        max_rounds: extra rounds of a window; 0: off. A window costs at most (1 + max_rounds) * B * G samples.
        num_prompts: that there are to ask.
    """

    def __init__(self, *, max_rounds: int, num_prompts: int, min_std: float, seed: int) -> None:
        if max_rounds < 0:
            raise UserError(f"rl.extra_rounds={max_rounds}, expected 0 (off) or more.")
        self.max_rounds = max_rounds
        self.num_prompts = num_prompts
        self.min_std = min_std
        self.seed = seed
        self.drawn = 0  # completions, those of replaced groups included
        self.extra = 0  # of them in extra rounds
        self.asked: set[int] = set()  # positions of prompts that came in as replacements
        self.last: dict[str, float] = {}

    def sample(self, indices: Sequence[int], sample: Sample, *, step: int, seed: int) -> RolloutBatch:
        """The window's rollouts.

        Args:
            indices: positions of the window's prompts.
            sample: draws G completions for each prompt.
            step: of the trainer; all ranks make the same choices.
            seed: of the engine in the first round.
        """
        rollouts = sample(indices, seed)
        self.drawn += _num_samples(rollouts)
        seen, replaced, rounds = set(indices), 0, 0
        while rounds < self.max_rounds and (tied := tied_on_task(rollouts, min_std=self.min_std)):
            generator = np.random.default_rng([self.seed, step, rounds])
            fresh = [int(one) for one in generator.permutation(self.num_prompts) if one not in seen][: len(tied)]
            if not fresh:
                break
            new = sample(fresh, int(generator.integers(2**31)))
            rollouts = _put(rollouts, tied[: len(fresh)], new)
            seen.update(fresh)
            self.asked.update(fresh)
            self.drawn += _num_samples(new)
            self.extra += _num_samples(new)
            replaced += len(fresh)
            rounds += 1
        self.last = {"rounds": rounds, "replaced": replaced, "samples_drawn": self.drawn}
        return rollouts

    def metrics(self) -> dict[str, float]:
        """Of the last window: extra rounds, groups replaced; and all completions drawn so far. Nothing when off."""
        return {f"rl/refill/{name}": float(value) for name, value in self.last.items()} if self.max_rounds else {}

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn, "extra": self.extra, "asked": sorted(self.asked)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.drawn, self.extra, self.asked = state["drawn"], state["extra"], set(state["asked"])


def _num_samples(rollouts: RolloutBatch) -> int:
    return rollouts.shape[0] * rollouts.shape[1]


def _put(rollouts: RolloutBatch, places: Sequence[int], new: RolloutBatch) -> RolloutBatch:
    """The rollouts with the groups of `new` at `places`."""
    prompts, completions, parsed = list(rollouts.prompts), list(rollouts.completions), list(rollouts.parsed)
    for b, prompt, group, own in zip(places, new.prompts, new.completions, new.parsed, strict=True):
        prompts[b], completions[b], parsed[b] = prompt, group, own
    return replace(rollouts, prompts=prompts, completions=completions, parsed=parsed)
