"""The devices that a stage's settings name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tagpr.pipeline.graph import Stage

NAMES = ("accelerator", "device")  # keys of devices, wherever they stand


def check_devices(stage: Stage) -> None:
    """Refuse a stage that asks for a device that is not there.

    Raises:
        UserError: which setting, what torch sees, and how to put it right.
    """
    for key, name, number in devices_of(stage.settings):
        if name != "cpu":  # what needs no device needs no torch
            from tagpr.lm.device import check_device

            instead = "trainer=cpu" if key == "trainer.accelerator" else f"{key}=cpu"
            check_device(name, setting=f"{key}={name}", instead=instead, number=number)


def devices_of(settings: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """(key in the configuration, device, how many of them) of a stage's settings."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{below}", name, number) for below, name, number in devices_of(value))
        elif key in NAMES and isinstance(value, str):
            yield key, value, settings.get("devices", 1)
