"""Runs that test one fold of the people each, as one run that tests everybody once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tagpr.analysis.runs import Evaluation, Row, Run
from tagpr.errors import UserError


def pool_folds(runs: Sequence[Run]) -> list[Run]:
    """The runs, those that differ in `data.fold` alone put together: each person is tested by the policy of the fold
    that was trained without them.

    Raises:
        UserError: two runs of one fold, or a person whom two folds test.
    """
    groups: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    for run in runs:
        alone = () if run.num_folds is not None else (run.folder,)
        groups[run.experiment, run.run_name, run.arm, run.seed, *alone].append(run)
    return [_pooled(group) if len(group) > 1 else group[0] for group in groups.values()]


def _pooled(runs: Sequence[Run]) -> Run:
    by_fold: dict[int, Run] = {}
    for run in runs:
        (fold,) = run.folds
        if fold in by_fold:
            raise UserError(
                f"{by_fold[fold].folder} and {run.folder} both test fold {fold} of {run.run_name}, seed {run.seed}: a "
                "person must count once. Give a folder that holds only one of them."
            )
        by_fold[fold] = run
    first = by_fold[min(by_fold)]
    rows = {name: _pooled_row({fold: by_fold[fold].rows[name] for fold in sorted(by_fold)}) for name in first.rows}
    return replace(first, folder=first.folder.parent, rows=rows, folds=tuple(sorted(by_fold)))


def _pooled_row(rows: Mapping[int, Row]) -> Row:
    evaluations = {}
    first_row = next(iter(rows.values()))
    for decoding, first in first_row.evaluations.items():
        parts = tuple(row.evaluations[decoding] for row in rows.values())
        _check_people(parts)
        evaluations[decoding] = Evaluation(folder=first.folder, folds=parts)
    return replace(
        first_row,
        stages=tuple(
            {(stage.stage, stage.fingerprint): stage for row in rows.values() for stage in row.stages}.values()
        ),
        evaluations=evaluations,
        diagnostics={},  # each fold's own stand in its own run
        folds=rows,
    )


def _check_people(parts: Sequence[Evaluation]) -> None:
    tested: dict[tuple[str, str], Evaluation] = {}
    for part in parts:
        for person in {(one.task, one.user_id) for one in part.predictions}:
            if person in tested:
                raise UserError(
                    f"{tested[person].folder} and {part.folder} test the same person of {person[0]}, but folds share "
                    "nobody. Compute both again from the same data: `tagpr ... force=records`."
                )
            tested[person] = part
