"""g_answer: whether a completion gives an answer at all. Known in every arm, tags or none."""

from __future__ import annotations

import torch
from torch import Tensor

from tagpr.rl.rollouts import RolloutBatch


def g_answer(rollouts: RolloutBatch) -> Tensor:
    """(B, G) 1.0 where the strict reader finds an answer: block closed, answer outside it, readable for the task, no
    tag text.

    A direct answer has no thinking block, and none is asked for. A completion cut off by the length limit has no end
    and gives no answer, whatever its text looks like.
    """
    return torch.tensor(
        [
            [
                float(parsed.g_answer and not completion.truncated)
                for parsed, completion in zip(parsed_group, group, strict=True)
            ]
            for parsed_group, group in zip(rollouts.parsed, rollouts.completions, strict=True)
        ]
    )
