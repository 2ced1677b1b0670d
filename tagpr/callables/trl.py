"""Rewards for TRL's GRPOTrainer (checked with TRL 1.16), which calls
`reward(prompts=..., completions=..., completion_ids=..., **columns, trainer_state=..., log_extra=..., log_metric=...)`.

    from tagpr.callables.trl import reward_function
    trainer = GRPOTrainer(
        reward_funcs=[reward_function("task"), reward_function("prmu", prmu="runs/demo/full/seed_0-1a2b3c4d")],
        args=GRPOConfig(reward_weights=[1.0, 0.72], remove_unused_columns=False, ...), ...)

The data set carries the columns of `tagpr.callables.asked`. Each reward is gated on a readable answer, so TRL's
weighted sum is our gated composite; `reward_function("composite", ...)` is the same with our own weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagpr.callables.asked import COLUMNS, asked, completion_text
from tagpr.callables.rewards import Opened, open_reward

Text = str | Sequence[Mapping[str, Any]]  # plain, or a conversation's messages


class TrlReward:
    """One reward in TRL's form; `__name__` is what TRL logs it under."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.__name__ = f"tagpr_{opened.name}"

    def __call__(
        self,
        prompts: Sequence[Text],
        completions: Sequence[Text],
        *,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """A reward per completion: 0.0 where it cannot be read, None where `task` is asked for and there is no gold.

        Raises:
            BadInputError: a column that is needed is missing or damaged; the message names the row.
        """
        given = {name: columns[name] for name in COLUMNS if columns.get(name) is not None}
        rows = [
            asked(
                {name: values[i] for name, values in given.items()},
                where=f"row {i} of the batch",
                needs_history=self.opened.needs_history,
            )
            for i in range(len(completions))
        ]
        texts = [completion_text(said, prompt) for said, prompt in zip(completions, prompts, strict=True)]
        rewards = self.opened(rows, texts)
        if log_metric is not None and rows:
            log_metric(f"{self.__name__}/unreadable", 1.0 - float(rewards.gate.mean()))
        unknown = [self.opened.name == "task" and row.record.gold is None for row in rows]
        values = rewards.total.flatten().tolist()
        return [None if gone else value for value, gone in zip(values, unknown, strict=True)]


def reward_function(
    name: str, *, prmu: str | Path | None = None, records: str | Path | None = None, settings: Sequence[str] = ()
) -> TrlReward:
    """`task`, `tag`, `prmu` or `composite` for `reward_funcs`. Arguments as of `open_reward`."""
    return TrlReward(
        open_reward(
            name,
            prmu=None if prmu is None else Path(prmu),
            records=None if records is None else Path(records),
            settings=tuple(settings),
        )
    )
