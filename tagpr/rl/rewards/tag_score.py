"""R_tag as a reward term."""

from __future__ import annotations

import torch
from torch import Tensor

from tagpr.errors import BadInputError
from tagpr.rl.rewards.composite import MeasuredTerm
from tagpr.rl.rewards.probes import probe_scores
from tagpr.rl.rewards.tag import TagReward, boilerplate_flags, tag_reward
from tagpr.rl.rollouts import RolloutBatch

PARTS = ("coverage", "order", "body", "grounding", "extra_spans", "duplicates", "copying", "boilerplate")


class TagScore(MeasuredTerm):
    """R_tag of every rollout, boilerplate judged over the whole batch.

    Args:
        min_words, max_words: a sane length of a required span.
        probed: chains of a batch whose cheap imitations are scored beside them; 0: none.
    """

    def __init__(self, *, min_words: int, max_words: int, probed: int) -> None:
        self.min_words = min_words
        self.max_words = max_words
        self.probed = probed
        self.probes: dict[str, float] = {}
        self.last: list[TagReward] = []

    def __call__(self, rollouts: RolloutBatch) -> Tensor:
        """(B, G) in [0, 1]; 0 where g_tags is shut.

        Raises:
            BadInputError: the run has no tags, so this reward does not exist.
        """
        if not len(rollouts.vocabulary):
            raise BadInputError(
                "the reward term `tag` needs tags, but tags=none: set reward/term@reward.terms.tag=none with it, or "
                "choose tags=three, six or nine."
            )
        num_samples = rollouts.shape[1]
        parsed = [one for group in rollouts.parsed for one in group]
        prompts = [prompt for prompt in rollouts.prompts for _ in range(num_samples)]
        flags = boilerplate_flags(parsed, [one.prompt for one in prompts], [one.task for one in prompts])
        self.last = [
            tag_reward(
                one,
                prompt.prompt,
                task=prompt.task,
                vocabulary=rollouts.vocabulary,
                min_words=self.min_words,
                max_words=self.max_words,
                boilerplate=flag,
            )
            for one, prompt, flag in zip(parsed, prompts, flags, strict=True)
        ]
        self.probes = probe_scores(
            parsed,
            prompts,
            vocabulary=rollouts.vocabulary,
            most=self.probed,
            min_words=self.min_words,
            max_words=self.max_words,
        )
        return torch.tensor([reward.total for reward in self.last]).view(rollouts.shape)

    def metrics(self) -> dict[str, float]:
        """Mean of each part of R_tag over the last rollouts, and the probes' scores beside the probed chains' own."""
        parts = {part: sum(getattr(reward, part) for reward in self.last) / len(self.last) for part in PARTS}
        return parts | {f"probe_{name}": score for name, score in self.probes.items()}
