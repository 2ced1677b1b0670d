"""How often test people were asked in the runs folder that a table comes from: its ledger, counted."""

from __future__ import annotations

from tagpr.analysis.comparison import Comparison
from tagpr.pipeline.ledger import NAME, read_ledger


def ledger_lines(comparison: Comparison) -> list[str]:
    """One line per runs folder that keeps a ledger, and one on what no ledger holds; none without a ledger.

    The whole folder is counted: looks that other tables came from are looks at these people all the same.
    """
    # runs/<experiment>/<run_name>/<run>
    places = dict.fromkeys(run.folder.resolve().parents[2] / NAME for run in comparison.runs)
    ledgers = [read_ledger(place) for place in places if place.is_file()]
    if not ledgers:
        return []
    found = []
    for lines, damaged in ledgers:
        text = (
            f"Test people were asked {_times(len(lines))} in this runs folder, of "
            f"{_policies(len({one['policy'] for one in lines}))} ({NAME}: every evaluation that was computed, of every "
            "experiment there; reuse is no new look)."
        )
        if damaged:
            text += f" Lines that cannot be read, not counted: {damaged}."
        found.append(text)
    known = {line["fingerprint"] for lines, _ in ledgers for line in lines}
    if absent := len(_shown(comparison) - known):
        found.append(
            f"Of this table's evaluations on test people {absent} are in no ledger: made before one was kept, or "
            "elsewhere."
        )
    return found


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _policies(number: int) -> str:
    return "one policy" if number == 1 else f"{number:,} distinct policies"


def _shown(comparison: Comparison) -> set[str]:
    """Fingerprints of the table's evaluations on test people; a table may show dev people."""
    return {
        part.folder.name
        for row in comparison.rows
        for own in row.by_seed.values()
        for evaluation in own.evaluations.values()
        for part in evaluation.parts
        if "test" in part.manifest["config"]["evaluation"]["splits"]
    }
