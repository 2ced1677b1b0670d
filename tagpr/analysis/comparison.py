"""Runs side by side: what may stand in one table, which rows are the same, which seeds are replicates of one row."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tagpr.analysis.folds import pool_folds
from tagpr.analysis.runs import Evaluation, Row, Run
from tagpr.errors import UserError
from tagpr.pipeline.fingerprint import digest

BACKBONE = "backbone"  # the policy of rows that nothing was trained for


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """One row of a table over its replicates."""

    name: str  # the row's own name; the arm's before it where several arms have such a row
    row_name: str
    run_name: str
    by_seed: Mapping[int, Row]

    @property
    def first(self) -> Row:
        return next(iter(self.by_seed.values()))

    @property
    def is_backbone(self) -> bool:
        return self.first.policy == BACKBONE

    @cached_property
    def decodings(self) -> tuple[str, ...]:
        """Those that every replicate has."""
        return tuple(d for d in self.first.evaluations if all(d in row.evaluations for row in self.by_seed.values()))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What stands in one table: rows that were measured on the same people, or on worlds of the same make."""

    title: str
    runs: tuple[Run, ...]
    rows: tuple[ComparedRow, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({seed for row in self.rows for seed in row.by_seed}))

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        return tuple(sorted({t for row in self.rows for e in row.first.evaluations.values() for t in e.tasks}))

    @cached_property
    def ceilings(self) -> Mapping[int, Evaluation]:
        """Seed -> the evaluation whose prompts showed the most history: its references stand beside all rows."""
        best: dict[int, Evaluation] = {}
        for row in self.rows:
            for seed, own in row.by_seed.items():
                for one in own.evaluations.values():
                    if seed not in best or one.entries_shown > best[seed].entries_shown:
                        best[seed] = one
        return best

    @cached_property
    def simulated(self) -> bool:
        """Whether the people are simulated: only for them is a best possible answer known."""
        return any("bayes" in one.references for one in self.ceilings.values())


def compare(runs: Sequence[Run]) -> list[Comparison]:
    """One comparison per experiment and data set: simulated and real people, or two sets of real people, never share a
    table. Runs of several folds of the same people are one run.

    Raises:
        UserError: two runs of one arm have the same seed, or test the same people.
    """
    sections: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in pool_folds(runs):
        sections[run.experiment, _data_set(run)].append(run)
    names = Counter(experiment for experiment, _ in sections)
    return [
        Comparison(
            title=experiment if names[experiment] == 1 else f"{experiment}, data {data}",
            runs=tuple(section),
            rows=_rows(section),
        )
        for (experiment, data), section in sections.items()
    ]


def _data_set(run: Run) -> str:
    # Retrieval is a choice of the arm, not of the people, though both make the records.
    manifest = run.records.manifest
    data = {key: value for key, value in (manifest["config"].get("data") or {}).items() if key != "fold"}
    return digest([data, manifest.get("source_files")])[:6]


def _rows(runs: Sequence[Run]) -> tuple[ComparedRow, ...]:
    arms = sorted({(run.run_name, run.arm) for run in runs}, key=lambda arm: (arm[0] != "full", arm))
    found: list[tuple[tuple[str, str], str, dict[int, Row]]] = []
    for arm in arms:
        by_name: dict[str, dict[int, Row]] = defaultdict(dict)
        taken: dict[int, Run] = {}
        for run in runs:
            if (run.run_name, run.arm) != arm:
                continue
            if run.seed in taken:
                raise UserError(
                    f"{taken[run.seed].folder} and {run.folder} are both seed {run.seed} of {run.run_name}: a "
                    "replicate must count once. Give a folder that holds only one of them."
                )
            taken[run.seed] = run
            for name, row in run.rows.items():
                by_name[name][run.seed] = row
        for name, by_seed in by_name.items():
            same = next((kept for _, _, kept in found if _are_same(kept, by_seed)), None)
            if same is None:
                found.append((arm, name, by_seed))
            else:
                # Of two runs with the same row one may have been asked more.
                same.update({s: row for s, row in by_seed.items() if s not in same or row.diagnostics})
    same_name = Counter(name for _, name, _ in found)
    same_arm = Counter((arm[0], name) for arm, name, _ in found)

    def full_name(arm: tuple[str, str], name: str) -> str:
        if same_name[name] == 1:
            return name
        return f"{arm[0]}/{name}" if same_arm[arm[0], name] == 1 else f"{arm[0]}~{arm[1][:4]}/{name}"

    rows = [
        ComparedRow(
            name=full_name(arm, name),
            row_name=name,
            run_name=arm[0],
            by_seed=dict(sorted(by_seed.items())),
        )
        for arm, name, by_seed in found
    ]
    order = {run_name: position for position, (run_name, _) in enumerate(arms)}
    # Untrained rows, then each arm: other supervised policies, SFT, then RL stage by stage.
    return tuple(
        sorted(
            rows,
            key=lambda row: (
                not row.is_backbone, order[row.run_name], len(row.first.rl_stages), row.row_name == "sft",
            ),
        )
    )  # fmt: skip


def _are_same(first: Mapping[int, Row], second: Mapping[int, Row]) -> bool:
    shared = first.keys() & second.keys()
    return bool(shared) and all(first[seed].identity == second[seed].identity for seed in shared)
