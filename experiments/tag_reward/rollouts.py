"""Rollouts of a finished RL stage, each beside what the simulated world says of its chain."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from hydra.utils import instantiate

from tagpr.chains.claims import RULE_TAG
from tagpr.chains.tags import ParsedCompletion, TagVocabulary, parse
from tagpr.data.prompts import PromptBuilder
from tagpr.errors import UserError
from tagpr.evaluation.process_truth import judge
from tagpr.evaluation.stage import shown_positions
from tagpr.lm.backbone import load_tokenizer
from tagpr.rl.rewards.span_truth import span_truths
from tagpr.rl.rewards.tag import boilerplate_flags, tag_reward
from tagpr.rl.rollouts import RlPrompt
from tagpr.storage import read_json, read_records, read_rollouts
from tagpr.tasks import task_named
from tagpr.types import Rollout

TRUE_SPANS, EXAMPLES, RULE, EVIDENCE = "true spans", "true examples", "rule match", "evidence F1"
TRUTHS = (TRUE_SPANS, EXAMPLES, RULE, EVIDENCE)


@dataclass(frozen=True, kw_only=True)
class JudgedRollout:
    """One rollout. Filled by `judged_rollouts`."""

    rollout: Rollout
    tag: float  # R_tag
    g_answer: bool
    g_tags: bool
    task: float  # the task's reward of the answer, whether the stage pays it or not
    num_spans: int
    rule: str | None  # as stated; None: none is
    truths: Mapping[str, float]  # of TRUTHS; one that does not exist for the chain is left out

    @property
    def group(self) -> tuple[int, str, str]:
        """What it was compared with: the rollouts of one prompt in one window."""
        return self.rollout.step, self.rollout.task, self.rollout.record_id


def judged_rollouts(stage: Path) -> list[JudgedRollout]:
    """Every rollout of a stage, in the order sampled; R_tag is computed anew, so that a stage need not have paid it.

    Raises:
        UserError: no finished RL stage with tags, or people whose truth nobody knows.
    """
    rollouts, config = _read(stage)
    prompts = _prompts(stage, config, {(one.task, one.record_id) for one in rollouts})
    vocabulary = TagVocabulary(names=config["tags"]["names"])
    windows: defaultdict[int, list[Rollout]] = defaultdict(list)
    for one in rollouts:
        windows[one.step].append(one)
    bounds = _bounds(config)
    return [judged for window in windows.values() for judged in _judged(window, prompts, vocabulary, bounds)]


def mean_of(rollouts: Sequence[JudgedRollout], truth: str) -> float:
    """Over the chains that have it; NaN where none has."""
    values = [one.truths[truth] for one in rollouts if truth in one.truths]
    return fmean(values) if values else float("nan")


def commonest_rule(rollouts: Sequence[JudgedRollout]) -> float:
    """Share of the stated rules that are their task's commonest, word by word; NaN where none is stated."""
    of_tasks: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in rollouts:
        if one.rule is not None:
            of_tasks[one.rollout.task][one.rule] += 1
    stated = sum(rules.total() for rules in of_tasks.values())
    return sum(max(rules.values()) for rules in of_tasks.values()) / stated if stated else float("nan")


def _read(stage: Path) -> tuple[list[Rollout], dict[str, Any]]:
    path = stage / "manifest.json"
    config = read_json(path).get("config", {}) if path.is_file() else {}
    if not {"rl", "tags", "prompt", "reward"} <= set(config) or not (stage / "rollouts").is_dir():
        raise UserError(f"{stage} is no finished RL stage, expected runs/cache/rl_<stage>/<fingerprint>.")
    if not config["tags"]["names"]:
        raise UserError(f"{stage} was trained with tags=none: there is no tag reward to look at.")
    return read_rollouts(stage / "rollouts"), config


def _bounds(config: Mapping[str, Any]) -> dict[str, int]:
    """What is a sane length of a span: the stage's own term."""
    score = config["reward"]["terms"].get("tag", {}).get("score")
    if not score:
        raise UserError("the stage's run has no reward term `tag`: look at one of a run that has it.")
    return {name: score[name] for name in ("min_words", "max_words")}


def _prompts(stage: Path, config: Mapping[str, Any], asked: set[tuple[str, str]]) -> dict[tuple[str, str], RlPrompt]:
    """What the rollouts answer, written as the stage wrote it."""
    if not str(config["prompt"]["_target_"]).startswith("tagpr.data."):
        raise UserError(f"{stage} names the prompt {config['prompt']['_target_']}, expected one of conf/prompt.")
    builder = PromptBuilder(style=instantiate(config["prompt"]), tokenizer=load_tokenizer(stage / "policy"))
    records = stage.parent.parent / "records" / read_json(stage / "manifest.json")["inputs"]["records"]
    found = {}
    for record in read_records(records, ["train"]):
        if (record.task, record.record_id) not in asked:
            continue
        if record.truth is None:
            raise UserError(f"question {record.record_id} has no truth: only simulated people's chains can be judged.")
        found[record.task, record.record_id] = RlPrompt(
            prompt=builder.build(record), token_ids=[], task=task_named(record.task), gold=record.gold
        )
    return found


def _judged(
    window: Sequence[Rollout],
    prompts: Mapping[tuple[str, str], RlPrompt],
    vocabulary: TagVocabulary,
    bounds: Mapping[str, int],
) -> list[JudgedRollout]:
    own = [prompts[one.task, one.record_id] for one in window]
    parsed = [
        parse(one.completion, vocabulary, prompt.prompt.thinking, is_valid=prompt.task.is_valid)
        for one, prompt in zip(window, own, strict=True)
    ]
    flags = boilerplate_flags(parsed, [one.prompt for one in own], [one.task for one in own])
    return [
        JudgedRollout(
            rollout=rollout,
            tag=tag_reward(
                one,
                prompt.prompt,
                task=prompt.task,
                vocabulary=vocabulary,
                min_words=bounds["min_words"],
                max_words=bounds["max_words"],
                boilerplate=flag,
            ).total,
            g_answer=bool(rollout.reward_terms["g_answer"]),
            g_tags=bool(one.g_tags),
            task=prompt.task.score(one.answer, prompt.prompt.record.gold or ""),
            num_spans=len(one.spans),
            rule=next((span.text for span in reversed(one.spans) if span.tag == RULE_TAG), None),
            truths=_truths(rollout, prompt, one, vocabulary),
        )
        for rollout, prompt, one, flag in zip(window, own, parsed, flags, strict=True)
    ]


def _truths(
    rollout: Rollout, prompt: RlPrompt, parsed: ParsedCompletion, vocabulary: TagVocabulary
) -> dict[str, float]:
    figures = judge(prompt.prompt.record, shown_positions(prompt.prompt), rollout.completion, vocabulary) or {}
    spans = [truth for truth in span_truths(prompt, parsed.spans) if truth is not None]
    found = {TRUE_SPANS: fmean(spans)} if spans else {}
    named = {EXAMPLES: "true_examined", RULE: "rule_match", EVIDENCE: "evidence_f1"}
    return found | {name: figures[key] for name, key in named.items() if key in figures}
