"""How much of one window's gradient is signal: RL at rate 0, so that every window's gradient is one of the same policy.

python -m experiments.rl_dials.gradients seed=100 rl.steps=48 paths.runs=runs/rl_dials
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from unittest.mock import patch

import torch
from torch import Tensor

from tagpr.errors import UserError
from tagpr.run import main as tagpr


def signal_and_noise(gradients: Tensor) -> tuple[float, float]:
    """|G|^2 and E|g - G|^2 of windows g = G + noise.

    The noise of two windows is independent, so <g, g'> has mean |G|^2.

    Args:
        gradients: (N, P) of N >= 2 windows.
    """
    products = gradients.double() @ gradients.double().T
    num = len(gradients)
    own = float(products.diagonal().mean())
    signal = float(products.sum() - products.diagonal().sum()) / (num * (num - 1))
    return signal, own - signal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("overrides", nargs="*", help="of the demo; half of rl.steps are windows of the guided stage")
    given = parser.parse_args().overrides
    gradients: list[Tensor] = []
    clip = torch.nn.utils.clip_grad_norm_

    def keep(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
        own = list(parameters)
        gradients.append(torch.cat([p.grad.detach().float().flatten() for p in own if p.grad is not None]))
        return clip(own, max_norm)

    _run("until=prmu", *given)  # what is trained before RL has gradients of its own
    # The one place that every step's whole gradient passes.
    with patch("torch.nn.utils.clip_grad_norm_", keep):
        _run("until=rl_guided", "rl.optimizer.create.learning_rate=0.0", "rl.dev_records=0", *given)
    if len(gradients) < 2:
        raise UserError("no gradients: that stage was cached. Add force=rl_guided.")
    signal, noise = signal_and_noise(torch.stack(gradients))
    power = f"has {noise / signal:.0f} times the power" if signal > 0 else "hides it: take more windows"
    print(
        f"{len(gradients)} windows: signal {max(signal, 0.0) ** 0.5:.4f}, noise {noise**0.5:.4f} (norms); "
        f"the noise {power}."
    )


def _run(*overrides: str) -> None:
    sys.argv = ["tagpr", "experiment=demo", *overrides]
    try:
        tagpr()
    except SystemExit as ended:  # a command ends so, with 0 or None where all went well
        if ended.code:
            raise


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
