"""What each step of a row's chains does for its answers: a block per policy, from what attribution stages wrote."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.analysis.process import mean_text
from tagpr.evaluation.attribution import EDITS, FLOORS, NO_CHAIN, UNEDITED, AttributedAnswer
from tagpr.evaluation.attribution_effects import Effect, effects, tag_name
from tagpr.storage import read_json, read_parquet

KIND = "attribution"
# Columns of a table: edit and what stands above it.
COLUMNS: Mapping[str, str] = {
    "drop": "drop", "swap": "swap", "paraphrase": "paraphrase", "drop_rewrite": "drop, rest anew", "swap_rewrite":
    "swap, rest anew", "paraphrase_rewrite": "paraphrase, rest anew", "early_answer": "early answer",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AttributionBlock:
    """One policy's effects over its replicates."""

    name: str
    effects: Sequence[Effect]
    about: Sequence[Mapping[str, Any]]  # attribution.json per replicate, effects left out

    @property
    def why_none(self) -> str:
        """Why there are no effects; "" where there are."""
        reasons = [one["why_none"] for one in self.about if "why_none" in one]
        return reasons[0] if reasons else "" if self.effects else "no chain could be edited"

    @property
    def tags(self) -> list[str]:
        return list(dict.fromkeys(one.tag for one in self.effects))

    def effect(self, tag: str, edit: str) -> Effect | None:
        return next((one for one in self.effects if (one.tag, one.edit) == (tag, edit)), None)


def attribution_blocks(comparison: Comparison) -> list[AttributionBlock]:
    """A block per row whose policy was attributed in every replicate that the row has."""
    return [
        _block(row, nested=comparison.simulated)
        for row in comparison.rows
        if all(KIND in own.diagnostics for own in row.by_seed.values())
    ]


def _block(row: ComparedRow, *, nested: bool) -> AttributionBlock:
    about: list[Mapping[str, Any]] = []
    answers: list[tuple[Hashable, AttributedAnswer]] = []
    for seed, own in row.by_seed.items():
        folder = own.diagnostics[KIND].folder
        about.append({k: v for k, v in read_json(folder / "attribution.json").items() if k != "effects"})
        answers += [(seed, AttributedAnswer(**one)) for one in read_parquet(folder / "attribution.parquet")]
    return AttributionBlock(name=row.name, effects=effects(answers, nested=nested) if answers else (), about=about)


def attribution_cells(block: AttributionBlock, quantity: str, *, intervals: bool) -> list[tuple[str, ...]]:
    """A line per tag: name, questions that have it, and a cell per edit of one quantity of QUANTITIES."""
    lines = []
    sign = "" if quantity == "changed" else "+"
    edits = [edit for edit in COLUMNS if not quantity.endswith("_beyond") or edit in FLOORS]
    for tag in block.tags:
        own = {edit: block.effect(tag, edit) for edit in EDITS}
        most = max((one.questions for one in own.values() if one is not None), default=0)
        cells = (
            mean_text(one.means.get(quantity) if (one := own[edit]) else None, sign, intervals=intervals)
            for edit in edits
        )
        lines.append((tag_name(tag), str(most), *cells))
    return lines


def headings(quantity: str) -> tuple[str, ...]:
    """Of `attribution_cells`."""
    return ("step", "questions", *(COLUMNS[e] for e in COLUMNS if not quantity.endswith("_beyond") or e in FLOORS))


def block_notes(block: AttributionBlock) -> list[str]:
    """What could not be done, and how sure the forcing is."""
    questions = sum(one.get("questions", 0) for one in block.about)
    left_out = sum(sum(one.get("left_out", {}).values()) for one in block.about)
    moved = sum(one.get("unedited_changed", 0) for one in block.about)
    other = sum(one.get("other_tokens", 0) for one in block.about)
    lines = [
        f"{questions:,} questions, {left_out:,} without a chain to edit; forced unedited, {moved:,} chains lead to "
        f"another answer than the policy's own; {other:,} are other tokens when their text is tokenised anew."
    ]
    for one in block.effects:
        if one.edit == UNEDITED or one.tag == NO_CHAIN:
            continue
        failed = f", {one.parse_failures:.0%} of the answers unreadable" if one.parse_failures >= 0.05 else ""
        again = f", written again in {one.written_again:.0%}" if one.written_again and "drop" in one.edit else ""
        why = "".join(f", not applied to {n:,} ({reason})" for reason, n in one.not_applied.items())
        if failed or again or why:
            lines.append(f"{one.tag}, {COLUMNS[one.edit]}: {one.questions:,} questions{failed}{again}{why}.")
    return lines


def attribution_rows(title: str, blocks: Sequence[AttributionBlock]) -> list[dict[str, str | float]]:
    """Everything in long form: a row per policy, tag, edit and quantity."""
    rows: list[dict[str, str | float]] = []
    for block in blocks:
        for one in block.effects:
            known: dict[str, str | float] = {
                "experiment": title, "row": block.name, "tag": one.tag, "edit": one.edit, "questions": one.questions,
                "not_applied": sum(one.not_applied.values()),
            }  # fmt: skip
            if one.questions:
                known["parse_failures"] = one.parse_failures
            if one.written_again is not None:
                known["written_again"] = one.written_again
            for name, mean in one.means.items():
                known[name] = mean.value
                if mean.low is not None and mean.high is not None:
                    known |= {f"{name}/low": mean.low, f"{name}/high": mean.high}
            rows.append(known)
    return rows
