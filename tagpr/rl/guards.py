"""Stops a run that cannot learn, instead of letting it finish in silence."""

from __future__ import annotations

from collections.abc import Mapping


class NothingToLearn(RuntimeError):
    """Several windows in a row gave no gradient, or were cut off before their answers."""


class WindowGuard:
    """Counts useless windows in a row; its counts are part of the checkpoint.

    Args:
        patience: useless windows in a row that stop the run.
        max_truncated: share of completions cut off by the length limit above which a window is useless.
    """

    def __init__(self, *, patience: int, max_truncated: float) -> None:
        self.patience = patience
        self.max_truncated = max_truncated
        self.tied = 0
        self.truncated = 0

    def check(self, metrics: Mapping[str, float]) -> None:
        """Take in the metrics of one window.

        Raises:
            NothingToLearn: the last `patience` windows all had no variance in any group, or were all cut off.
        """
        self.tied = self.tied + 1 if metrics["rl/groups/tied_total"] == 1.0 else 0
        self.truncated = self.truncated + 1 if metrics["rl/rollout/truncated"] > self.max_truncated else 0
        if self.tied >= self.patience:
            raise NothingToLearn(
                f"In {self.patience} windows in a row all rollouts of every prompt had the same reward "
                f"({metrics['rl/reward/total']:.3f} in the last), so nothing was learned. Raise rl.temperature or "
                "rl.rollouts_per_prompt, or look at rollouts/*.parquet: constant rewards often mean answers that "
                f"never parse (parse failures {metrics['rl/rollout/parse_failures']:.0%})."
            )
        if self.truncated >= self.patience:
            raise NothingToLearn(
                f"In {self.patience} windows in a row more than {self.max_truncated:.0%} of the completions were "
                f"cut off ({metrics['rl/rollout/truncated']:.0%} in the last): they have no answer and earn nothing. "
                "Raise rl.max_new_tokens, or train SFT on shorter chains."
            )

    def state_dict(self) -> dict[str, int]:
        return {"tied": self.tied, "truncated": self.truncated}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.tied, self.truncated = state["tied"], state["truncated"]
