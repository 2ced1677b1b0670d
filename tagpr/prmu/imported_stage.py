"""A file of outside preferences in, training and dev pairs out, with the people whom they are about."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tagpr.context import StageContext
from tagpr.errors import BadInputError
from tagpr.prmu.imported_pairs import IMPORTED, PEOPLE, drop_repeats, match_mirrors, read_preferences
from tagpr.prmu.pairs import N1, PolicySample, split_queries
from tagpr.prmu.person_files import read_histories
from tagpr.prmu.shortcuts import JUDGED, SEES_THE_PERSON, shortcut_report
from tagpr.storage import write_json, write_pairs, write_parquet, write_records
from tagpr.tasks import task_named
from tagpr.types import PreferencePair, Record


class ImportWarning(UserWarning):
    """Imported pairs are usable, but something about them limits what can be shown."""


@dataclass(frozen=True, kw_only=True)
class ImportedPairSettings:
    """Built from `pairs=imported`."""

    path: str
    histories: str | None  # None: a column of the pairs
    user_column: str
    task: str  # of rows that name none
    dev_people_share: float  # of people, chosen by a hash of their key
    dev_query_share: float  # of the queries that train and dev people share
    max_pairs: int  # upper bound on the training pairs
    shortcut_limit: float  # accuracy above which a user-blind rule is reported

    def __post_init__(self) -> None:
        task_named(self.task)
        for name in ("dev_people_share", "dev_query_share"):
            share = vars(self)[name]
            if not 0 < share < 1:
                raise BadInputError(f"pairs.{name}={share}, expected a share between 0 and 1.")


def run(
    *,
    pairs: ImportedPairSettings,
    inputs: Mapping[str, Path],
    output: Path,
    context: StageContext,
) -> dict[str, int | float]:
    """Pairs of some people to train on, of others to judge by, no query on both sides.

    Writes what the pairs stage writes, with no samples: without a policy's answers best-of-n cannot be measured, and
    PRMU's gate says so. And `people/`, the records of the pairs' people.

    Returns:
        Pairs per type and split; what was left out and why.
    Raises:
        BadInputError: a damaged file; no people or no pairs left on one side.
    """
    path = Path(pairs.path).expanduser()
    source = None if pairs.histories is None else Path(pairs.histories).expanduser()
    read, records = read_preferences(
        path,
        histories=None if source is None else read_histories(source),
        source=source,
        user_column=pairs.user_column,
        task=pairs.task,
    )
    kept, removed = drop_repeats(read)
    by_split = _split(kept, records, pairs)
    removed["query_on_both_sides"] = len(kept) - sum(map(len, by_split.values()))
    generator = np.random.default_rng(context.seed)
    made: list[PreferencePair] = []
    for split, several in by_split.items():
        if not several:
            people = len({pair.user_id for pair in kept})
            raise BadInputError(
                f"{path}: no pairs are left for {split} people, of {len(kept)} pairs by {people} people. Both sides "
                "need people and questions of their own: more people, or another pairs.dev_people_share."
            )
        limit = pairs.max_pairs if split == "train" else len(several)
        made += match_mirrors([replace(pair, split=split) for pair in _some(several, limit, generator)])
    split_of = {pair.record_id: pair.split for pair in made}
    write_pairs(output, made)
    write_parquet(output / "samples.parquet", [], PolicySample)
    write_records(
        output / PEOPLE,
        [
            replace(records[i], split=split, purpose="dev" if split == "dev" else "pairs")
            for i, split in split_of.items()
        ],
    )
    train, dev = ([pair for pair in made if pair.split == split] for split in ("train", "dev"))
    report = shortcut_report(
        train, dev, records=records, samples=[], limit=pairs.shortcut_limit, judged=(*JUDGED, IMPORTED)
    )
    write_json(output / "shortcuts.json", report)
    _warn(report, made)
    counts = Counter(f"{pair.split}_{pair.negative_type}" for pair in made)
    return {
        **{name: counts[name] for name in sorted(counts)},
        **{f"removed_{reason}": number for reason, number in sorted(removed.items()) if number},
        "people": len({pair.user_id for pair in made}),
        "gold_labels": len({pair.record_id for pair in train}),
    }


def _some(pairs: Sequence[PreferencePair], limit: int, generator: np.random.Generator) -> list[PreferencePair]:
    """At most `limit` of the pairs, drawn at random, in their order."""
    if len(pairs) <= limit:
        return list(pairs)
    return [pairs[i] for i in np.sort(generator.choice(len(pairs), size=limit, replace=False))]


def _split(
    pairs: Sequence[PreferencePair], records: Mapping[str, Record], settings: ImportedPairSettings
) -> dict[str, list[PreferencePair]]:
    needed = [records[i] for i in dict.fromkeys(pair.record_id for pair in pairs)]
    to_dev = {user for user in {record.user_id for record in needed} if _share(user) < settings.dev_people_share}
    train, dev = split_queries(
        [record for record in needed if record.user_id not in to_dev],
        [record for record in needed if record.user_id in to_dev],
        dev_share=settings.dev_query_share,
    )
    ids = {"train": {record.record_id for record in train}, "dev": {record.record_id for record in dev}}
    return {split: [pair for pair in pairs if pair.record_id in ids[split]] for split in ("train", "dev")}


def _share(user_id: str) -> float:
    return int.from_bytes(hashlib.sha256(f"imported\x00{user_id}".encode()).digest()[:6], "big") / 2**48


def _warn(report: Mapping[str, Sequence[str]], pairs: Sequence[PreferencePair]) -> None:
    at_fault = [line for line in report["exceeded"] if not line.startswith(SEES_THE_PERSON)]
    if at_fault:
        warnings.warn(
            f"Imported pairs can be won by a simple model: {'; '.join(at_fault)}. PRMU may learn that instead "
            "of taste. shortcuts.json has the figures.",
            ImportWarning,
            stacklevel=2,
        )
    if not any(pair.negative_type == N1 for pair in pairs if pair.split == "dev"):
        warnings.warn(
            "No two dev people hold opposite views of the same two answers: swap accuracy, which shows that the reward "
            "depends on the person, cannot be measured on these pairs, and the gate will not be met.",
            ImportWarning,
            stacklevel=2,
        )
