"""R_tag of completions, part by part, as the reward would judge them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tagpr.chains.tags import ParsedCompletion, TagVocabulary
from tagpr.rl.rewards.tag import TagReward, boilerplate_flags, tag_reward
from tagpr.tasks import task_named
from tagpr.types import Prompt


def tag_settings(reward: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The settings of the tag reward in a group `reward`; None: it has none."""
    return ((reward.get("terms") or {}).get("tag") or {}).get("score")


def tag_rewards(
    parsed: Sequence[ParsedCompletion],
    prompts: Sequence[Prompt],
    vocabulary: TagVocabulary,
    settings: Mapping[str, Any] | None,
) -> list[TagReward | None]:
    """One for each completion, boilerplate judged among them; None where there are no tags or no such reward."""
    if settings is None or not len(vocabulary):
        return [None] * len(parsed)
    tasks = [task_named(prompt.record.task) for prompt in prompts]
    flags = boilerplate_flags(parsed, prompts, tasks)
    return [
        tag_reward(
            one, prompt, task=task, vocabulary=vocabulary, boilerplate=flag, min_words=settings["min_words"],
            max_words=settings["max_words"],
        )
        for one, prompt, task, flag in zip(parsed, prompts, tasks, flags, strict=True)
    ]  # fmt: skip
