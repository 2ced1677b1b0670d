"""R_task: the task's own metric, from the same code that evaluation uses."""

from __future__ import annotations

import torch
from torch import Tensor

from tagpr.rl.rollouts import RolloutBatch


def task_score(rollouts: RolloutBatch) -> Tensor:
    """(B, G) score in [0, 1] of each strict answer against gold; 0 for a whole group whose gold is withheld.

    Exact label; 1 - |error| / 4; mean of ROUGE-1 and ROUGE-L. A group without gold has no variance on this term, so
    the term neither helps nor harms it.
    """
    return torch.tensor(
        [
            [0.0 if prompt.gold is None else prompt.task.score(parsed.answer, prompt.gold) for parsed in group]
            for prompt, group in zip(rollouts.prompts, rollouts.parsed, strict=True)
        ]
    )
