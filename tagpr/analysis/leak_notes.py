"""What leaks.json of a table's records says, in the few lines that a reader needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tagpr.analysis.comparison import Comparison
from tagpr.storage import read_json

_TRAINING = ("sft", "pairs", "rl")


def leak_lines(comparison: Comparison) -> list[str]:
    """Golds in profiles, people under several ids, and what was done about them. Simulated people have none."""
    if comparison.simulated:
        return []
    # Arms with different retrievers have records of their own, and the same leaks.
    paths = dict.fromkeys(run.records.folder / "leaks.json" for run in comparison.runs)
    reports = [read_json(path) for path in paths if path.is_file()]
    return list(dict.fromkeys(line for report in reports for line in _lines(report)))


def _lines(report: Mapping[str, Any]) -> list[str]:
    siblings, strangers, several = (
        report["sibling_golds"], report["stranger_golds"], report["people_with_several_ids"],
    )  # fmt: skip
    lines = []
    if several["n"]:
        then = "each counts as one person" if several["count_once"] else "they count as different people all the same"
        lines.append(f"Leaks: people with nearly one profile under several user ids: {several['n']:,}; {then}.")
    if siblings["entries"]:
        asked = sum(n for size, n in report["questions_per_person"].items() if int(size) > 1)
        lines.append(
            f"Leaks: golds that stand in profiles of other questions of the same person: {siblings['golds']:,} of "
            f"{report['questions']:,} (entries: {siblings['entries']:,}, in dev and test profiles "
            f"{_reported(siblings):,}; people who asked more than once: {asked:,} of {report['people']:,}). No history "
            "is pooled over questions."
        )
    if strangers["entries"]:
        lines.append(
            "Leaks: golds that stand with their very question in other people's profiles: "
            f"{strangers['golds']:,} (entries: {strangers['entries']:,}, answers to dev or test questions in training "
            f"profiles {_across(strangers):,})."
        )
    dropped = sum(report["dropped_entries"].values())
    left = sum(report["left_entries"].get(purpose, 0) for purpose in _TRAINING)
    if dropped:
        lines.append(
            f"Leaks: entries taken out of training profiles: {dropped:,}, those that answer another question of "
            "the same person (another split or purpose), or give a stranger's text that another split asks for. "
            "Dev and test profiles are as downloaded."
        )
    if left:
        lines.append(
            f"LEAKS IN TRAINING: entries read there that give away the answer to another question: {left:,}. "
            "data.drop_golds_from=[sft, pairs, rl] takes them out."
        )
    if report["own_entries"] or report["own_golds_elsewhere"]:
        lines.append(
            f"Leaks: profile entries that are the question itself: {report['own_entries']:,}, never retrieved; others "
            f"that hold the gold beside another input: {report['own_golds_elsewhere']:,}, as downloaded."
        )
    return lines or [f"No leaks found: none of {report['questions']:,} golds stands in any profile."]


def _reported(figures: Mapping[str, Any]) -> int:
    return sum(one["entries"] for one in figures["by_purpose"] if one["in_profiles_of"] not in _TRAINING)


def _across(figures: Mapping[str, Any]) -> int:
    """Entries of training profiles that answer dev or test questions."""
    return sum(
        one["entries"]
        for one in figures["by_purpose"]
        if one["in_profiles_of"] in _TRAINING and one["answer_to"] not in _TRAINING
    )
