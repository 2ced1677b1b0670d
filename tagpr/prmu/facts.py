"""What a PRMU's files say about it, for people: no weights are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tagpr.prmu.stage_folder import PrmuFolder
from tagpr.storage import read_json


def facts(found: PrmuFolder) -> dict[str, str]:
    """name -> value; what the folder does not hold is left out."""
    description = read_json(found.model / "prmu.json")
    said = {
        "architecture": str(description["arch"]),
        "hyperparameters": ", ".join(f"{k} {v}" for k, v in description["hyperparameters"].items()) or "none",
        "entries read per person": f"at most {description['max_entries']}",
        "tokens per text": f"at most {description['max_tokens']}",
        "temperature": f"{description['temperature']:.3f}",
    }
    calibration, gate = (_read(found, name) for name in ("calibration.json", "gate.json"))
    if calibration.get("num_pairs"):
        luck = calibration.get("ece_if_calibrated")  # stages of earlier versions do not say
        said["calibration error"] = (
            f"{calibration['ece']:.3f} (ECE, {calibration['num_pairs']:.0f} pairs of dev people"
            f"{'' if luck is None else f'; by luck alone {luck:.3f}'})"
        )
    if gate:
        said["gate"] = "met" if gate["met"] else "not met"
        for name, key in (("swap", "accuracy"), ("best_of_n", "gain_over_blind")):
            figure = gate.get(name)
            said[f"gate, {name.replace('_', '-')}"] = (
                "not measured"
                if figure is None
                else f"{key.replace('_', ' ')} {figure[key]:.3f}, lower 95 % bound {figure['lower']:.3f}"
            )
    manifest = _read(found, "manifest.json")
    if manifest.get("stage") == "prmu":
        counts: Mapping[str, Any] = manifest.get("counts", {})
        said |= {
            name.replace("_", " "): f"{counts[name]:,.0f}"
            for name in ("steps", "train_pairs", "gold_labels")
            if name in counts
        }
    return said


def _read(found: PrmuFolder, name: str) -> dict[str, Any]:
    path = found.folder / name
    return read_json(path) if path.is_file() else {}
