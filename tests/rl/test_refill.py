"""Prompts whose rollouts all score alike give way to others, within a budget, the same ones in every run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tagpr.errors import UserError
from tagpr.rl.refill import PromptRefill, tied_on_task
from tagpr.rl.rollouts import RolloutBatch

TIED, VARIED = ["<think>x</think>4"] * 2, ["<think>x</think>4", "<think>x</think>1"]


def new_refill(**changes) -> PromptRefill:
    return PromptRefill(**{"max_rounds": 2, "num_prompts": 9, "min_std": 1e-6, "seed": 5, **changes})


class Sampler:
    """Prompt number n varies if n is in `varied`; remembers what it was asked for."""

    def __init__(self, rollouts_of, varied: Sequence[int]) -> None:
        self.rollouts_of = rollouts_of
        self.varied = varied
        self.calls: list[tuple[list[int], int]] = []

    def __call__(self, indices: Sequence[int], seed: int) -> RolloutBatch:
        self.calls.append((list(indices), seed))
        return self.rollouts_of([VARIED if n in self.varied else TIED for n in indices], golds=["4"] * len(indices))


def test_groups_are_tied_on_the_task_behind_the_gate(rollouts_of) -> None:
    groups = [TIED, VARIED, ["<think>x</think>1", "<think>x"], ["<think>x</think>4", "<think>x"], VARIED, TIED]
    rollouts = rollouts_of(groups, golds=["4", "4", "5", "4", None, None])
    # Group 2: 0 points for |1 - 5| = 4 and a shut gate are the same. Without gold nothing is to be had: it stays.
    assert tied_on_task(rollouts, min_std=1e-6) == [0, 2]


def test_tied_groups_are_replaced_by_prompts_that_are_not_in_the_window(rollouts_of) -> None:
    sampler = Sampler(rollouts_of, varied=[1, 3, 4, 5, 6, 7, 8])
    refill = new_refill()
    rollouts = refill.sample([0, 1, 2], sampler, step=4, seed=77)
    assert sampler.calls[0] == ([0, 1, 2], 77)
    ((fresh, seed),) = sampler.calls[1:]
    assert len(fresh) == 2
    assert not {0, 1, 2} & set(fresh)
    assert seed != 77
    assert tied_on_task(rollouts, min_std=1e-6) == []
    assert [group[0].text for group in rollouts.completions] == [VARIED[0]] * 3
    assert (refill.drawn, refill.extra, refill.asked) == (10, 4, set(fresh))
    assert refill.metrics() == {"rl/refill/rounds": 1, "rl/refill/replaced": 2, "rl/refill/samples_drawn": 10}


def test_the_budget_ends_it_and_the_window_stays_full(rollouts_of) -> None:
    sampler = Sampler(rollouts_of, varied=[])
    refill = new_refill()
    rollouts = refill.sample([0, 1, 2], sampler, step=0, seed=0)
    assert rollouts.shape == (3, 2)
    assert len(sampler.calls) == 3
    asked = [index for indices, _ in sampler.calls for index in indices]
    assert sorted(asked) == list(range(9))  # nobody twice
    assert refill.drawn == (1 + 2) * 3 * 2


def test_a_small_pool_runs_out(rollouts_of) -> None:
    refill = new_refill(num_prompts=3, max_rounds=5)
    sampler = Sampler(rollouts_of, varied=[])
    assert refill.sample([0, 1], sampler, step=0, seed=0).shape == (2, 2)
    assert [len(indices) for indices, _ in sampler.calls] == [2, 1]


def test_off_it_samples_once_and_says_nothing(rollouts_of) -> None:
    refill = new_refill(max_rounds=0)
    sampler = Sampler(rollouts_of, varied=[])
    refill.sample([0, 1], sampler, step=0, seed=3)
    assert sampler.calls == [([0, 1], 3)]
    assert refill.metrics() == {}


@pytest.mark.parametrize(("step", "same"), [(4, True), (5, False)])
def test_replacements_depend_on_seed_and_step_alone(rollouts_of, step: int, same: bool) -> None:
    asked = []
    for one in (4, step):
        sampler = Sampler(rollouts_of, varied=[])
        new_refill(num_prompts=40).sample([0, 1, 2], sampler, step=one, seed=0)
        asked.append(sampler.calls[1:])
    assert (asked[0] == asked[1]) is same


def test_counts_survive_a_checkpoint(rollouts_of) -> None:
    refill, resumed = new_refill(), new_refill()
    refill.sample([0, 1], Sampler(rollouts_of, varied=[]), step=0, seed=0)
    state = refill.state_dict()
    resumed.load_state_dict(state)
    assert (resumed.drawn, resumed.extra, resumed.asked) == (refill.drawn, refill.extra, refill.asked)


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(UserError, match="extra_rounds=-1"):
        new_refill(max_rounds=-1)
