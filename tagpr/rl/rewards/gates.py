"""What multiplies a whole reward: g_answer in every arm; g_tags beside it in a row of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from tagpr.errors import BadInputError
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


def g_answer_and_tags(rollouts: RolloutBatch) -> Tensor:
    """(B, G) 1.0 where g_answer and g_tags are both open: an answer behind broken tags earns nothing at all.

    Raises:
        BadInputError: the run has no tags, so this gate does not exist.
    """
    if not len(rollouts.vocabulary):
        raise BadInputError(
            "reward/tag_gate=all needs tags, but tags=none: set reward/tag_gate=own, or choose tags=three, six or nine."
        )
    tags = torch.tensor([[float(bool(parsed.g_tags)) for parsed in group] for group in rollouts.parsed])
    return g_answer(rollouts) * tags
