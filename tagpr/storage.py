"""The objects of `tagpr.types` on disk, as Parquet that `datasets` and pandas read without this package.

Nested fields are Parquet lists and structs; free-form mappings (truth, reward terms, weights) are JSON strings. Arrow
is imported when a Parquet file is touched: a plan reads manifests alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagpr.types import SPLITS, Prediction, PreferencePair, ProfileEntry, Record, Reference, Rollout, TaggedChain

if TYPE_CHECKING:
    import pyarrow as pa

_JSON_COLUMNS = ("truth", "reward_terms", "weights")
ROWS_AT_ONCE = 10_000  # as plain Python objects, which take ten times a file's space


def _arrow_schema(kind: type) -> pa.Schema:
    import pyarrow as pa

    by_type = {
        "str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "str | None": pa.string(),
    }  # fmt: skip
    by_name = {
        "profile": pa.list_(pa.struct([(f.name, pa.string()) for f in fields(ProfileEntry)])),
        "retrieved": pa.list_(pa.int32()),
        **dict.fromkeys(_JSON_COLUMNS, pa.string()),
    }
    # The dataclasses postpone annotations, so a field's type is its source text.
    return pa.schema([(f.name, by_name.get(f.name) or by_type[str(f.type)]) for f in fields(kind)])


def _row(item: Any) -> dict[str, Any]:
    row = asdict(item)
    for name in _JSON_COLUMNS:
        if name in row:
            row[name] = None if row[name] is None else json.dumps(row[name], sort_keys=True, ensure_ascii=False)
    return row


def write_parquet(path: Path, items: Sequence[Any], kind: type) -> None:
    """Write dataclass instances of one kind; the file appears whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _arrow_schema(kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for start in range(0, len(items) or 1, ROWS_AT_ONCE):  # no items: one empty table
            rows = [_row(item) for item in items[start : start + ROWS_AT_ONCE]]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    temporary.replace(path)


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """Rows of a Parquet file with its JSON columns decoded."""
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pylist()
    for row in rows:
        for name in _JSON_COLUMNS:
            if isinstance(row.get(name), str):
                row[name] = json.loads(row[name])
    return rows


def write_records(folder: Path, records: Sequence[Record]) -> None:
    """`{train,dev,test}.parquet` in `folder`; a split without records is written empty."""
    for split in SPLITS:
        write_parquet(folder / f"{split}.parquet", [r for r in records if r.split == split], Record)


def read_records(folder: Path, splits: Iterable[str] | None = None) -> list[Record]:
    """Records of the named splits (all by default), in the order written, train before dev before test."""
    records: list[Record] = []
    for split in SPLITS if splits is None else splits:
        for row in read_parquet(folder / f"{split}.parquet"):
            row["profile"] = tuple(ProfileEntry(**entry) for entry in row["profile"])
            row["retrieved"] = tuple(row["retrieved"])
            records.append(Record(**row))
    return records


def write_chains(folder: Path, kept: Sequence[TaggedChain], rejected: Sequence[TaggedChain]) -> None:
    """`chains.parquet` and, with their reasons, `rejected.parquet`."""
    write_parquet(folder / "chains.parquet", kept, TaggedChain)
    write_parquet(folder / "rejected.parquet", rejected, TaggedChain)


def read_chains(folder: Path) -> list[TaggedChain]:
    """The chains that were kept."""
    return [TaggedChain(**row) for row in read_parquet(folder / "chains.parquet")]


def read_rejected_chains(folder: Path) -> list[TaggedChain]:
    """The chains that were not kept, each with its reason."""
    return [TaggedChain(**row) for row in read_parquet(folder / "rejected.parquet")]


def write_pairs(folder: Path, pairs: Sequence[PreferencePair]) -> None:
    """`train.parquet` and `dev.parquet`, by PreferencePair.split."""
    for split in ("train", "dev"):
        write_parquet(folder / f"{split}.parquet", [p for p in pairs if p.split == split], PreferencePair)


def read_pairs(folder: Path, splits: Iterable[str] = ("train", "dev")) -> list[PreferencePair]:
    """Pairs of the named splits."""
    return [PreferencePair(**row) for split in splits for row in read_parquet(folder / f"{split}.parquet")]


def write_rollouts(path: Path, rollouts: Sequence[Rollout]) -> None:
    """One window of rollouts as one file."""
    write_parquet(path, rollouts, Rollout)


def read_rollouts(folder: Path) -> list[Rollout]:
    """All windows of a stage's `rollouts/` folder, in file name order."""
    return [Rollout(**row) for path in sorted(folder.glob("*.parquet")) for row in read_parquet(path)]


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Every prediction of one policy under one decoding."""
    write_parquet(path, predictions, Prediction)


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions of one evaluate stage."""
    return [Prediction(**row) for row in read_parquet(path)]


def write_references(path: Path, references: Sequence[Reference]) -> None:
    """The reference answers that stand beside a policy's predictions."""
    write_parquet(path, references, Reference)


def read_references(path: Path) -> list[Reference]:
    """Reference answers of one evaluate stage."""
    return [Reference(**row) for row in read_parquet(path)]


def write_json(path: Path, value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Readable JSON that appears whole or not at all, and survives a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """The value of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
