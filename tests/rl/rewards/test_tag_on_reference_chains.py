"""The tag reward and the simulated world's own teacher must agree on what a good chain is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml

from tagpr.chains.assemble import write_completion
from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import TagVocabulary, parse
from tagpr.chains.teachers.scripted_world import ScriptedWorldTeacher
from tagpr.data.simulated.source import SimulatedSource
from tagpr.rl.rewards.tag import boilerplate_flags, tag_reward
from tagpr.tasks import ALL_TASKS
from tagpr.types import Prompt

CONF = Path(__file__).parents[3] / "conf"


def settings_of(option: str) -> dict:
    settings = yaml.safe_load((CONF / option).read_text())
    return {key: value for key, value in settings.items() if key not in ("defaults", "_target_")}


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    settings = settings_of("data/simulated.yaml") | {"size": "smoke"}
    settings.pop("seed")
    records = [r for r in SimulatedSource(**settings).records(seed=5) if r.split == "train"]
    return [
        Prompt(record=record, text="", history=record.profile, thinking=True, num_cut=0, num_dropped=0)
        for record in random.Random(0).sample(records, 300)
    ]


@pytest.mark.parametrize("tags", ["three", "six", "nine"])
def test_reference_chains_score_at_least_95_on_99_percent(prompts: list[Prompt], tags: str) -> None:
    teacher = ScriptedWorldTeacher(**settings_of("teacher/scripted_world.yaml") | {"habit": 0.0, "error_rate": 0.0})
    vocabulary = TagVocabulary(**settings_of(f"tags/{tags}.yaml"))
    tasks = [ALL_TASKS[prompt.record.task] for prompt in prompts]
    parsed = []
    for prompt, task in zip(prompts, tasks, strict=True):
        (raw,) = teacher.chains(prompt, num_samples=1, seed=0)
        completion = write_completion(raw.steps, RulesTagger().tag(prompt, raw.steps), raw.answer, vocabulary)
        parsed.append(parse(completion, vocabulary, True, task.is_valid))
    flags = boilerplate_flags(parsed, prompts, tasks)
    bounds = settings_of("reward/term/tag.yaml")["score"]
    totals = [
        tag_reward(
            one,
            prompt,
            task=task,
            vocabulary=vocabulary,
            min_words=bounds["min_words"],
            max_words=bounds["max_words"],
            boilerplate=flag,
        ).total
        for one, prompt, task, flag in zip(parsed, prompts, tasks, flags, strict=True)
    ]
    assert sum(total >= 0.95 for total in totals) >= 0.99 * len(totals)
