"""Stops a run whose rollouts are written by weights that no longer follow the training."""

from __future__ import annotations


class EngineOutOfStep(RuntimeError):
    """The policy was updated, but the engine samples with the weights of before."""


class SyncGuard:
    """Compares what the engine says about its weights from window to window.

    An adapter that never reaches the engine looks like slow learning for weeks: rollouts keep their form, only the
    policy that is trained drifts away from the one that is sampled.
    """

    def __init__(self) -> None:
        self._digest = ""
        self._has_moved = False

    def updated(self, *, grad_norm: float, learning_rate: float) -> None:
        """An optimizer step was made; one without gradient, as after a window of ties, need not move anything."""
        self._has_moved |= grad_norm > 0 and learning_rate > 0

    def check(self, digest: str) -> None:
        """The engine is about to sample with the weights that `digest` stands for.

        Raises:
            EngineOutOfStep: they are those of the last window although the policy has moved since.
        """
        if self._has_moved and digest == self._digest:
            raise EngineOutOfStep(
                "The weights that rollouts are sampled with did not change, although the policy was updated: the "
                "engine did not take over the adapter or the weights. Look at how the engine is given them; "
                "engine=torch reads the policy itself. (With trainer.precision=bf16-true steps that are too small to "
                "move any weight show the same: take bf16-mixed.)"
            )
        self._digest, self._has_moved = digest, False
