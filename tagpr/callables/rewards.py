"""Our rewards over rows that come from anywhere: `task`, `tag`, `prmu`, and `composite` as RL here pays it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tagpr.callables.asked import Asked
from tagpr.chains.tags import TagVocabulary
from tagpr.errors import BadInputError, UserError
from tagpr.lm.generation.base import Completion
from tagpr.prmu.reward import PrmuReward
from tagpr.prmu.stage_folder import find_prmu
from tagpr.rl.rewards.combine import Rewards, gated
from tagpr.rl.rewards.composite import ArtifactTerm, CompositeReward, RewardSettings, RewardTerm
from tagpr.rl.rewards.gates import g_answer
from tagpr.rl.rewards.prmu import PrmuScore
from tagpr.rl.rewards.schedules import constant
from tagpr.rl.rollouts import RlPrompt, RolloutBatch
from tagpr.tasks import ALL_TASKS

if TYPE_CHECKING:
    from omegaconf import DictConfig

COMPOSITE = "composite"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A reward, ready to judge rows. Filled by `open_reward`."""

    name: str
    vocabulary: TagVocabulary
    reward: CompositeReward
    needs_history: bool

    def __call__(self, rows: Sequence[Asked], completions: Sequence[str]) -> Rewards:
        """Rewards of N completions, each of shape (N, 1): a row is a prompt with one rollout.

        Every reward is gated: a completion that the strict reader cannot read (block not closed, no answer outside it,
        an answer that the task does not know, tag text in the answer) earns 0.
        """
        read = [row.read(text, self.vocabulary) for row, text in zip(rows, completions, strict=True)]
        batch = RolloutBatch(
            prompts=[
                RlPrompt(prompt=row.prompt(thinking=thinking), token_ids=[], task=row.task, gold=row.record.gold)
                for row, (thinking, _) in zip(rows, read, strict=True)
            ],
            completions=[[Completion(token_ids=(), logprobs=(), text=text, truncated=False)] for text in completions],
            parsed=[[parsed] for _, parsed in read],
            vocabulary=self.vocabulary,
        )
        for term in self.reward.terms.values():
            if isinstance(term, GroupedPrmu):
                term.references = {row.record.record_id: row.reference_answers for row in rows}
        return self.reward(batch, progress=0.0)


class GroupedPrmu:
    """R_prmu of rows one by one, rows of one question judged together as PRMU's centring wants them.

    Args:
        reward: an opened PRMU.
    """

    def __init__(self, reward: PrmuReward) -> None:
        self.reward = reward
        self.references: Mapping[str, Sequence[str]] = {}

    def __call__(self, rollouts: RolloutBatch) -> Tensor:
        """(N, 1) in [0, 1].

        Raises:
            BadInputError: a text that stands alone, without reference answers: there is nothing to centre it on.
        """
        groups: dict[str, list[int]] = {}
        for i, prompt in enumerate(rollouts.prompts):
            groups.setdefault(prompt.prompt.record.record_id, []).append(i)
        by_size: dict[int, list[tuple[list[int], list[str]]]] = {}
        for record_id, rows in groups.items():
            answers = [rollouts.parsed[i][0].answer for i in rows] + list(self.references.get(record_id, ()))
            if len(answers) == 1 and not ALL_TASKS[rollouts.prompts[rows[0]].task.name].labels:
                raise BadInputError(
                    f"PRMU judges a text against others written for the same question, but user "
                    f"{rollouts.prompts[rows[0]].prompt.record.user_id!r} has one answer here. Hand over the group "
                    "together (TRL does; verl's batch reward manager with compute_score_batch does), or give "
                    "reference_answers."
                )
            by_size.setdefault(len(answers), []).append((rows, answers))
        values = torch.zeros(rollouts.shape)
        for several in by_size.values():
            records = [rollouts.prompts[rows[0]].prompt.record for rows, _ in several]
            judged = self.reward.prmu_scores(records, [answers for _, answers in several])
            for (rows, _), own in zip(several, judged.rewards, strict=True):
                values[rows, 0] = own[: len(rows)]
        return values


def open_reward(name: str, *, prmu: Path | None, records: Path | None, settings: Sequence[str]) -> Opened:
    """One of `task`, `tag`, `prmu`, `composite`, with the settings of conf/.

    Args:
        prmu: folder of a run or of a prmu stage; for the rewards that ask PRMU.
        records: folder of the records that it was trained on, which hold its reference people; None: those that stand
            beside it in the run's cache.
        settings: overrides as of `tagpr`, e.g. "tags=three", "reward.terms.prmu.score.blind_share=0".
    Raises:
        UserError: no such reward; settings that do not exist; PRMU is needed and not there.
    """
    reward, vocabulary = compose_rewards(settings)
    names = [one for one, term in reward.terms.items() if term.score is not None and term.weight != 0]
    if name not in (*names, COMPOSITE):
        raise UserError(f"there is no reward {name!r}, expected one of {', '.join((*names, COMPOSITE))}.")
    wanted = names if name == COMPOSITE else [name]
    return Opened(
        name=name,
        vocabulary=vocabulary,
        reward=CompositeReward(
            terms={one: _open_term(reward, one, prmu=prmu, records=records) for one in wanted},
            # A term by itself is paid whole: weights are for the sum, here or in the other trainer.
            weights={one: reward.terms[one].weight if name == COMPOSITE else 1.0 for one in wanted},
            schedule=constant,
            gate=reward.tag_gate if name == COMPOSITE else g_answer,
            combine=reward.combine if name == COMPOSITE else gated,
        ),
        needs_history=wanted != ["task"],
    )


def _open_term(reward: RewardSettings, name: str, *, prmu: Path | None, records: Path | None) -> RewardTerm:
    score = reward.terms[name].score
    assert score is not None
    if not isinstance(score, ArtifactTerm):
        return score
    if prmu is None:
        raise UserError(
            f"the reward {name!r} asks PRMU: give prmu=FOLDER, a run's folder or runs/cache/prmu/<fingerprint>. To do "
            "without it in the composite: settings=['reward/term@reward.terms.prmu=none']."
        )
    found = find_prmu(prmu)
    opened = score.open({"prmu": found.folder, "records": records or found.input("records")})
    return GroupedPrmu(opened.reward) if isinstance(opened, PrmuScore) else opened


def compose_rewards(settings: Sequence[str]) -> tuple[RewardSettings, TagVocabulary]:
    """The groups `reward` and `tags` as a run would build them under these overrides. Raises UserError."""
    from hydra.utils import instantiate

    cfg = _composed(tuple(settings))
    return instantiate(cfg.reward, _convert_="all"), instantiate(cfg.tags, _convert_="all")


@cache
def _composed(settings: tuple[str, ...]) -> DictConfig:
    from hydra.core.global_hydra import GlobalHydra

    from tagpr.compose import composed

    # The other trainer may itself be a Hydra program: its state is put aside, and comes back.
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        return composed(settings)
    finally:
        GlobalHydra.instance().hydra = outer
