"""An RL stage's rollouts for a page: groups of completions of one prompt, and what each term of the reward paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagpr.analysis.explorer.choice import Candidate, as_typed, check_name, draw, fitting, short_path
from tagpr.analysis.explorer.exhibit import BAD, GOOD, PLAIN, Card, Chip, Exhibit, Reply, Scene
from tagpr.analysis.explorer.groups import (
    FILTERS,
    GATE,
    OF_SIMULATED_PEOPLE,
    TASK,
    Group,
    flags_of,
    groups_of,
    pay_of,
    span_rewards,
)
from tagpr.analysis.explorer.known_truth import (
    entry_notes,
    has_wrong_reason,
    is_known,
    reason_chips,
    truth_of,
    truths_of,
)
from tagpr.analysis.explorer.tag_parts import tag_rewards, tag_settings
from tagpr.analysis.open_run import builder_of
from tagpr.chains.tags import ParsedCompletion, TagVocabulary, parse
from tagpr.data.prompts import PromptBuilder
from tagpr.data.simulated.observer import reference_answers
from tagpr.errors import BadInputError
from tagpr.rl.rewards.tag import TagReward
from tagpr.storage import iterate_records, read_json, read_rollouts
from tagpr.tasks import task_named
from tagpr.types import Prompt, Record, Rollout


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A finished RL stage."""

    folder: Path
    config: Mapping[str, Any]
    records: Path
    groups: Sequence[Group]

    @property
    def vocabulary(self) -> TagVocabulary:
        return TagVocabulary(names=self.config["tags"]["names"])

    @property
    def thinking(self) -> bool:
        return self.config["prompt"]["thinking"]


def read_stage(folder: Path) -> Stage:
    """The stage in `runs/cache/rl_<stage>/<fingerprint>`.

    Raises:
        BadInputError: it is no finished RL stage.
    """
    manifest = read_json(folder / "manifest.json")
    config = manifest.get("config", {})
    if not {"reward", "prompt", "tags"} <= set(config):
        raise BadInputError(
            f"{folder} is of the stage {manifest.get('stage')}, expected a run's folder such as "
            "runs/demo/full/seed_0-1a2b3c4d, or an RL stage's: runs/cache/rl_guided/<fingerprint>."
        )
    records = folder.parent.parent / "records" / manifest["inputs"]["records"]
    if not records.is_dir():
        raise BadInputError(f"{records} is gone, but {folder} was made from it. Run the same `tagpr` command again.")
    groups = groups_of(read_rollouts(folder / "rollouts"))
    if not groups:
        raise BadInputError(f"{folder / 'rollouts'} holds no rollouts, expected step_*.parquet of a finished RL stage.")
    return Stage(folder=folder, config=config, records=records, groups=groups)


def read_paid(stage: Stage, *, number: int, seed: int, task: str | None, only: str | None) -> Exhibit:
    """The page of an RL stage; arguments as in `draw` and `fitting`.

    Raises:
        UserError: a task or filter that is not there.
    """
    keys = {(one.task, one.record_id) for one, *_ in stage.groups}
    records = {
        (one.task, one.record_id): one
        for one in iterate_records(stage.records, ["train"])
        if (one.task, one.record_id) in keys
    }
    simulated = any(record.truth is not None for record in records.values())
    filters = FILTERS | (OF_SIMULATED_PEOPLE if simulated else {})
    if only is not None:
        check_name("--only", only, filters)
    if task is not None:
        check_name("--task", task, sorted({key[0] for key in keys}))
    candidates = []
    for place, group in enumerate(stage.groups):
        first = group[0]
        flags = flags_of(group)
        record = records[first.task, first.record_id]
        if any(has_wrong_reason(record, one.completion, stage.vocabulary) for one in group):
            flags.add("wrong_reason")
        candidates.append(
            Candidate(
                place=place, record_id=first.record_id, task=first.task, user_id=first.user_id, flags=frozenset(flags)
            )
        )
    fit = fitting(candidates, task=task, only=only)
    chosen = draw(fit, number=number, seed=seed)
    builder = builder_of(stage.config["prompt"], stage.folder / "policy", said_by=stage.folder / "manifest.json")
    windows = {step: _tags_of_window(stage, step, records, builder) for step in {_step(stage, one) for one in chosen}}
    cards = [_card(stage, one, records, builder, windows[_step(stage, one)]) for one in chosen]
    steps = [group[0].step for group in stage.groups]
    return Exhibit(
        kicker=f"{stage.groups[0][0].stage} · {stage.folder.name[:12]}",
        title="What did each reward pay?",
        facts={
            "rollouts": f"{sum(map(len, stage.groups)):,} in {len(stage.groups):,} groups",
            "steps": f"{min(steps)} to {max(steps)}",
            "people": f"{len({one.user_id for one in candidates}):,} train",
        },
        unit="groups", filters=filters, candidates=candidates,
        num_fitting=len(fit), asked=as_typed(number, seed, task, only), cards=cards,
        tags=stage.vocabulary.names if stage.thinking else (), simulated=simulated, warnings=_disagreements(cards),
        hints=[("What other weights would have paid", f"tagpr-replay {short_path(stage.folder)} --weight {TASK}=1")],
    )  # fmt: skip


Read = tuple[Prompt, ParsedCompletion, TagReward | None]


def _step(stage: Stage, one: Candidate) -> int:
    return stage.groups[one.place][0].step


def _tags_of_window(
    stage: Stage, step: int, records: Mapping[tuple[str, str], Record], builder: PromptBuilder
) -> dict[int, Read]:
    """Every rollout of a step, read; boilerplate is a matter of the whole window."""
    window = [one for group in stage.groups for one in group if one.step == step]
    prompts = {key: builder.build(records[key]) for key in {(one.task, one.record_id) for one in window}}
    own = [prompts[one.task, one.record_id] for one in window]
    parsed = [parse(one.completion, stage.vocabulary, stage.thinking, task_named(one.task).is_valid) for one in window]
    settings = tag_settings(stage.config["reward"]) if stage.thinking else None
    tags = tag_rewards(parsed, own, stage.vocabulary, settings)
    return {id(one): read for one, read in zip(window, zip(own, parsed, tags, strict=True), strict=True)}


def _card(
    stage: Stage,
    one: Candidate,
    records: Mapping[tuple[str, str], Record],
    builder: PromptBuilder,
    window: Mapping[int, Read],
) -> Card:
    group, record = stage.groups[one.place], records[one.task, one.record_id]
    prompt = window[id(group[0])][0]
    best = reference_answers(record, prompt.history) if is_known(record) else None
    scene = Scene(
        history=prompt.history, notes=entry_notes(prompt), num_profile=len(record.profile), num_cut=prompt.num_cut,
        num_dropped=prompt.num_dropped, beside=[] if best is None else [("blind", best.blind), ("bayes", best.bayes)],
        replies=[_reply(stage, rollout, *window[id(rollout)]) for rollout in group],
    )  # fmt: skip
    return Card(
        chosen=one, said=f"step {group[0].step}", query=record.query, gold=record.gold, truth=truth_of(record),
        scenes=[scene],
    )  # fmt: skip


def _reply(stage: Stage, one: Rollout, prompt: Prompt, parsed: ParsedCompletion, tag: TagReward | None) -> Reply:
    chips: list[Chip] = []
    if TASK in one.reward_terms:
        full = one.reward_terms[TASK] >= 1.0
        chips.append((f"{'✓ ' if full else ''}task {one.reward_terms[TASK]:.2f}", GOOD if full else BAD))
    if one.reward_terms.get(GATE) == 0.0:
        chips.append(("unreadable", BAD))
    if one.truncated:
        chips.append(("cut off", BAD))
    chips.append((f"{one.num_tokens} tokens", PLAIN))
    return Reply(
        name=f"rollout {one.sample_index}", completion=one.completion, parsed=parsed, thinking=stage.thinking,
        chips=[*chips, *reason_chips(prompt.record, one.completion, parsed, stage.vocabulary)],
        truths=truths_of(prompt, parsed), tag=tag, span_rewards=span_rewards(parsed.spans, one.process),
        pay=pay_of(one),
    )  # fmt: skip


def _disagreements(cards: Sequence[Card]) -> list[str]:
    """Where the tag reward, computed anew, is not what was kept."""
    replies = [reply for card in cards for scene in card.scenes for reply in scene.replies]
    kept = [
        (reply.tag.total, reply.pay.terms["tag"][0])
        for reply in replies
        if reply.tag is not None and reply.pay is not None and "tag" in reply.pay.terms
    ]
    other = sum(abs(now - then) > 1e-6 for now, then in kept)
    if not other:
        return []
    return [
        f"The tag reward of {other} of {len(kept)} rollouts comes out otherwise than it was paid: the code has changed "
        "since, and so may the parts shown here."
    ]
