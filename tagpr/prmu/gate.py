"""Whether PRMU knows people well enough for RL to follow it, and what happens when it does not."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tagpr.errors import UserError
from tagpr.prmu.judge import BestOfN, bootstrap_lower_bound


class WeakRewardModel(UserWarning):
    """PRMU is handed on although it does not pass its gate."""


class GateNotMet(UserError):
    """PRMU does not pass its gate, and the config says to stop then."""


@dataclass(frozen=True, kw_only=True)
class Gate(ABC):
    """Two lower 95 % bounds over dev people: swap accuracy > .5, best-of-n gain over the user-blind twin > 0.

    The twin is the mean of this same model over reference people: what it would choose knowing nobody. How far it is
    from an agnostic model of its own (`ablation=agnostic_prmu`), tables show.

    Args:
        num_resamples: bootstrap draws.
    """

    num_resamples: int

    @abstractmethod
    def act(self, message: str) -> None:
        """The gate is not met."""

    def check(
        self, swaps: Tensor, swap_people: tuple[list[str], list[str]], best: BestOfN, *, seed: int
    ) -> dict[str, Any]:
        """Both bounds, and whether both are met; a figure that the data cannot give is null and counts as not met."""
        generator = np.random.default_rng(seed)
        report: dict[str, Any] = {"swap": None, "best_of_n": None}
        if len(swaps):
            lower = bootstrap_lower_bound(swaps, swap_people, num_resamples=self.num_resamples, generator=generator)
            report["swap"] = {
                "accuracy": float(swaps.mean()),
                "lower": lower,
                "num_couples": len(swaps),
                "met": lower > 0.5,
            }
        if best.users:
            gain = best.picked - best.blind
            lower = bootstrap_lower_bound(gain, [best.users], num_resamples=self.num_resamples, generator=generator)
            report["best_of_n"] = {
                "picked": float(best.picked.mean()),
                "blind": float(best.blind.mean()),
                "random": float(best.random.mean()),
                "gain_over_random": float((best.picked - best.random).mean()),
                "gain_over_blind": float(gain.mean()),
                "lower": lower,
                "num_records": len(best.users),
                "met": lower > 0,
            }
        report["met"] = all(report[name] is not None and report[name]["met"] for name in ("swap", "best_of_n"))
        return report

    def enforce(self, report: dict[str, Any]) -> None:
        """Act where the gate is not met."""
        if not report["met"]:
            self.act(
                "PRMU does not pass its gate on dev people: "
                + "; ".join(
                    [
                        _words("swap accuracy", report["swap"], "accuracy", 0.5),
                        _words("best-of-n gain over its user-blind twin", report["best_of_n"], "gain_over_blind", 0.0),
                    ]
                )
                + ". RL would follow a reward that may not depend on the person. Give PRMU more pairs or steps, or "
                "more entries per person."
            )


@dataclass(frozen=True, kw_only=True)
class WarnGate(Gate):
    """Says so loudly and goes on."""

    def act(self, message: str) -> None:
        warnings.warn(message, WeakRewardModel, stacklevel=3)


@dataclass(frozen=True, kw_only=True)
class StopGate(Gate):
    """Ends the run before RL."""

    def act(self, message: str) -> None:
        raise GateNotMet(f"{message} To go on all the same: prmu/gate=warn.")


def _words(name: str, figure: dict[str, Any] | None, key: str, threshold: float) -> str:
    if figure is None:
        return f"{name} cannot be measured on these data"
    verdict = "met" if figure["met"] else "not met"
    return f"{name} {figure[key]:.3f}, lower 95 % bound {figure['lower']:.3f}, expected > {threshold:g} ({verdict})"


def no_samples() -> BestOfN:
    """Where the pairs stage sampled no answers of dev people."""
    return BestOfN(users=[], picked=torch.zeros(0), blind=torch.zeros(0), random=torch.zeros(0))
