"""Rewards for verl, which loads a function from a file and calls it with keywords alone.

    reward.custom_reward_function.path=<this file> reward.custom_reward_function.name=compute_score
    reward.custom_reward_function.reward_kwargs='{reward: composite, prmu: runs/demo/full/seed_0-1a2b3c4d}'

`extra_info` carries the columns of `tagpr.callables.asked`; `data_source` is the task where it names none, and
`ground_truth` the gold. (Older versions of verl leave out the leading `reward.`.) verl's naive manager calls from
several threads and one answer at a time: a text then needs `reference_answers` for PRMU; its batch manager takes
`compute_score_batch` and needs none.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tagpr.callables.asked import asked, completion_text
from tagpr.callables.rewards import COMPOSITE, Opened, open_reward
from tagpr.rl.rewards.combine import Rewards

# PRMU remembers what it has read, and the boilerplate check compares a batch with itself: one call at a time.
_ONE_AT_A_TIME = threading.Lock()


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | None,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward: str = "task",
    prmu: str | None = None,
    records: str | None = None,
    settings: Sequence[str] = (),
    reward_router_address: object = None,  # verl hands these two over where it serves a reward model: not ours to use
    reward_model_tokenizer: object = None,
) -> float | dict[str, float]:
    """The reward of one answer; of `composite`, a dictionary with `score`, each raw term, and `readable`.

    0.0 where the completion cannot be read, and for `task` where there is no gold.

    Raises:
        BadInputError: `extra_info` lacks what the reward needs.
    """
    rewards = _rewards([data_source], [solution_str], [ground_truth], [extra_info], reward, prmu, records, settings)
    score = float(rewards.total)
    if reward != COMPOSITE:
        return score
    terms = {name: float(values) for name, values in rewards.terms.items()}
    return {"score": score, **terms, "readable": float(rewards.gate)}


def compute_score_batch(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[str | None],
    extra_infos: Sequence[Mapping[str, Any] | None],
    *,
    reward: str = "task",
    prmu: str | None = None,
    records: str | None = None,
    settings: Sequence[str] = (),
) -> list[float]:
    """The same for a batch, whose answers to one question are judged together."""
    if not len(solution_strs):
        return []
    rewards = _rewards(data_sources, solution_strs, ground_truths, extra_infos, reward, prmu, records, settings)
    return rewards.total.flatten().tolist()


def _rewards(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[str | None],
    extra_infos: Sequence[Mapping[str, Any] | None],
    reward: str,
    prmu: str | None,
    records: str | None,
    settings: Sequence[str],
) -> Rewards:
    with _ONE_AT_A_TIME:
        opened = _opened(reward, prmu, records, tuple(settings))
        rows = [
            asked(
                {"task": source, **(extra or {}), "gold": gold},
                where=f"answer {i}, data_source {source!r}, extra_info",
                needs_history=opened.needs_history,
            )
            for i, (source, gold, extra) in enumerate(zip(data_sources, ground_truths, extra_infos, strict=True))
        ]
        return opened(rows, [completion_text(text, "") for text in solution_strs])


@cache
def _opened(reward: str, prmu: str | None, records: str | None, settings: tuple[str, ...]) -> Opened:
    return open_reward(
        reward, prmu=None if prmu is None else Path(prmu), records=None if records is None else Path(records),
        settings=settings,
    )  # fmt: skip
