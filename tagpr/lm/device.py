"""Whether a device that a setting names is there."""

from __future__ import annotations

import torch

from tagpr.errors import UserError

KINDS = ("cpu", "cuda", "mps")


def check_device(name: str, *, setting: str, instead: str, number: int = 1) -> None:
    """Refuse a device that torch cannot use here.

    Args:
        name: as torch has it: cpu, cuda, cuda:1, mps.
        setting: what named it, in the user's words.
        instead: what to write where there is no such device.
        number: devices of the kind that are needed.
    Raises:
        UserError: no such device, or fewer of them.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in KINDS:
        raise UserError(f"{setting}: expected {', '.join(KINDS)}, or one of several such as cuda:1.")
    needed, found = max(number, (device.index or 0) + 1), num_devices(device.type)
    if found is None or needed <= found:
        return
    seen = f"torch {torch.__version__} sees {found or 'no'} {device.type} device{'s' if found > 1 else ''} here"
    raise UserError(
        f"{setting}{f' with {number} processes' if number > 1 else ''}, but {seen}. Run it where there "
        f"{f'are {needed}' if needed > 1 else 'is one'} (with a driver, and a build of torch for it), or set {instead}."
    )


def num_devices(kind: str) -> int | None:
    """How many torch sees; None: as many as are asked for."""
    if kind == "cpu":
        return None
    return torch.cuda.device_count() if kind == "cuda" else int(torch.backends.mps.is_available())


def take_own_device(accelerator: str, *, rank: int) -> None:
    """From here on `cuda` means this process's own GPU, as Lightning will have it once it trains."""
    if accelerator == "cuda":
        torch.cuda.set_device(rank)
