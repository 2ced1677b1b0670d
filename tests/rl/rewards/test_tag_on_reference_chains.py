"""The tag reward and the simulated world's chains must agree on what a good chain is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml

from tagpr.chains.assemble import write_completion
from tagpr.chains.claims import (
    application_follows,
    examined_truly,
    pattern_holds,
    preference_is_true,
    query_read_truly,
    read_claims,
)
from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import ParsedCompletion, TagVocabulary, parse
from tagpr.chains.teachers.scripted_world import ScriptedWorldTeacher
from tagpr.data.simulated.command import compose_source
from tagpr.data.simulated.logic import FAMILIES
from tagpr.data.simulated.reasoning import Chain, reference_chain
from tagpr.rl.rewards.tag import boilerplate_flags, tag_reward
from tagpr.tasks import ALL_TASKS
from tagpr.types import Prompt

CONF = Path(__file__).parents[3] / "conf"
TASKS = ("S1", "S2", "S3", "S4", "S5", "S7")


def settings_of(option: str) -> dict:
    settings = yaml.safe_load((CONF / option).read_text())
    return {key: value for key, value in settings.items() if key not in ("defaults", "_target_")}


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    source = compose_source(
        ["data.size=smoke", f"data.tasks=[{','.join(TASKS)}]", f"data.families=[{','.join(FAMILIES)}]"]
    )
    records = [r for r in source.draw(seed=5, advance=lambda people: None) if r.split == "train"]
    return [
        Prompt(record=record, text="", history=record.profile, thinking=True, num_cut=0, num_dropped=0)
        for task in TASKS
        for record in random.Random(0).sample([r for r in records if r.task == task], 60)
    ]


def references(prompts: list[Prompt]) -> list[Chain]:
    return [
        reference_chain(prompt.record, list(enumerate(prompt.history)), examples=teacher_settings()["examples"])
        for prompt in prompts
    ]


def teacher_settings() -> dict:
    families = {"of_data": None, "of_size": None, "held_out": None}
    return settings_of("teacher/scripted_world.yaml") | {"families": families, "habit": 0.0, "error_rate": 0.0}


def read(prompts: list[Prompt], chains: list[Chain], vocabulary: TagVocabulary) -> list[ParsedCompletion]:
    parsed = []
    for prompt, chain in zip(prompts, chains, strict=True):
        tags = RulesTagger().tag(prompt, chain.steps)
        completion = write_completion(chain.steps, tags, chain.answer, vocabulary)
        parsed.append(parse(completion, vocabulary, True, ALL_TASKS[prompt.record.task].is_valid))
    return parsed


@pytest.mark.parametrize("tags", ["three", "six", "nine"])
@pytest.mark.parametrize("author", ["teacher", "reference"])
def test_reference_chains_score_at_least_95_on_99_percent(prompts: list[Prompt], author: str, tags: str) -> None:
    if author == "teacher":
        teacher = ScriptedWorldTeacher(**teacher_settings())
        chains = [teacher.with_slips(prompt, num_samples=1, seed=0)[0][0] for prompt in prompts]
    else:
        chains = references(prompts)
    vocabulary = TagVocabulary(**settings_of(f"tags/{tags}.yaml"))
    parsed = read(prompts, chains, vocabulary)
    tasks = [ALL_TASKS[prompt.record.task] for prompt in prompts]
    flags = boilerplate_flags(parsed, prompts, tasks)
    bounds = settings_of("reward/term/tag.yaml")["score"]
    good: dict[str, list[bool]] = {task: [] for task in TASKS}
    for one, prompt, task, flag in zip(parsed, prompts, tasks, flags, strict=True):
        reward = tag_reward(
            one,
            prompt,
            task=task,
            vocabulary=vocabulary,
            min_words=bounds["min_words"],
            max_words=bounds["max_words"],
            boilerplate=flag,
        )
        good[task.name].append(reward.total >= 0.95)
    assert all(sum(inside) >= 0.99 * len(inside) for inside in good.values()), good


def test_reference_chains_are_true_in_every_span(prompts: list[Prompt]) -> None:
    """Evidence and pattern hold, the rule is the person's, and the answer follows and is the noiseless one."""
    chains = references(prompts)
    for prompt, parsed, chain in zip(
        prompts, read(prompts, chains, TagVocabulary(**settings_of("tags/nine.yaml"))), chains, strict=True
    ):
        task, truth = prompt.record.task, prompt.record.truth
        assert truth is not None
        texts = {span.tag: span.text for span in parsed.spans}
        assert examined_truly(task, texts["examine_examples"], prompt.history)
        assert pattern_holds(task, texts["identify_patterns"], prompt.history)
        assert preference_is_true(task, texts["infer_preference"], truth)
        assert "analyze_query" not in texts or query_read_truly(task, texts["analyze_query"], prompt.record.query)
        claims = read_claims(task, parsed.spans)
        assert set(claims.cited) <= {place + 1 for place in truth["evidence"]}
        assert application_follows(task, claims.rule, claims.applied, prompt.record.query)
        assert chain.answer == claims.applied == truth["preferred"]
