"""Who a row of the table asks, and how much of their histories it may see: what the graph tells an evaluate stage."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from tagpr.schema import EvaluatedPeople


@dataclass
class AskedPeople(EvaluatedPeople):
    """Filled by the graph, from `evaluation.people` and the row."""

    entries: int | None = MISSING  # most retrieved entries that prompts show, best first; None: all
