"""R_prmu: the personal reward model's opinion of each answer, as a reward term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tagpr.errors import BadInputError
from tagpr.lm.device import check_device
from tagpr.prmu.reward import PrmuReward, PrmuScores
from tagpr.rl.rewards.composite import ArtifactTerm, MeasuredTerm
from tagpr.rl.rollouts import RolloutBatch
from tagpr.storage import read_records


class PrmuScore(MeasuredTerm):
    """An opened PRMU. Looks at the answer alone: what the chain says about the person earns nothing here."""

    def __init__(self, reward: PrmuReward) -> None:
        self.reward = reward
        self.last: PrmuScores | None = None

    def __call__(self, rollouts: RolloutBatch) -> Tensor:
        """(B, G) in [0, 1]."""
        self.last = self.reward.prmu_scores([one.prompt.record for one in rollouts.prompts], rollouts.answers)
        return self.last.rewards

    def metrics(self) -> dict[str, float]:
        """Share of rewards at the clip, and the two parts that the reward is made of."""
        assert self.last is not None
        return {
            "saturated": self.last.saturated_share,
            "own": float(self.last.own.mean()),
            "blind": float(self.last.blind.mean()),
        }


@dataclass(frozen=True, kw_only=True)
class PrmuTerm(ArtifactTerm):
    """Opens the PRMU that the prmu stage trained. Fields as in `PrmuReward`."""

    blind_share: float
    clip: float
    max_records: int
    cache_texts: int
    device: str

    def open(self, inputs: Mapping[str, Path]) -> PrmuScore:
        if "prmu" not in inputs:
            raise BadInputError(
                "the reward term `prmu` is paid in this stage, but the stage was given no `prmu` input: give it a prmu "
                "stage's folder, or set reward/term@reward.terms.prmu=none."
            )
        place = "reward.terms.prmu.score.device"
        check_device(self.device, setting=f"{place}={self.device}", instead=f"{place}=cpu")
        return PrmuScore(
            PrmuReward.from_stage(
                inputs["prmu"],
                read_records(inputs["records"], splits=("train",)),
                blind_share=self.blind_share,
                clip=self.clip,
                max_records=self.max_records,
                cache_texts=self.cache_texts,
                device=self.device,
            )
        )
