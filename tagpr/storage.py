"""The objects of `tagpr.types` on disk, as Parquet that `datasets` and pandas read without this package.

Nested fields are Parquet lists and structs; free-form mappings (truth, reward terms, weights) are JSON strings. Arrow
is imported when a Parquet file is touched: a plan reads manifests alone.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagpr.types import SPLITS, Prediction, PreferencePair, ProfileEntry, Record, Reference, Rollout, TaggedChain

if TYPE_CHECKING:
    import pyarrow as pa

_JSON_COLUMNS = ("truth", "reward_terms", "weights", "process")
# Of a group's profiles: enough to compress well, little enough to hold three groups.
GROUP_CHARACTERS = 16_000_000
_ROWS_DECODED = 64  # records made into objects at a time


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


def _column(name: str, values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if name == "profile":
        entries = [entry for profile in values for entry in profile]
        texts = [pa.array([getattr(e, f.name) for e in entries], type=pa.string()) for f in fields(ProfileEntry)]
        offsets = pa.array([0, *accumulate(map(len, values))], type=pa.int32())
        # Field by field: a dictionary for each entry would hold every text's keys again.
        return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(texts, fields=list(kind.value_type)), kind)
    if name in _JSON_COLUMNS:
        values = [None if v is None else json.dumps(v, sort_keys=True, ensure_ascii=False) for v in values]
    return pa.array(values, type=kind)


class _ParquetFile:
    """A Parquet file that is written in groups of rows, and appears whole or not at all."""

    def __init__(self, path: Path, kind: type) -> None:
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.schema = _arrow_schema(kind)
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self.writer = pq.ParquetWriter(self.temporary, self.schema, compression="zstd")

    def write(self, items: Sequence[Any]) -> None:
        """One group of rows."""
        import pyarrow as pa

        columns = [_column(f.name, [getattr(item, f.name) for item in items], f.type) for f in self.schema]
        self.writer.write_table(pa.Table.from_arrays(columns, schema=self.schema))

    def close(self, *, keep: bool) -> None:
        try:
            self.writer.close()
            if keep:
                self.temporary.replace(self.path)
        finally:
            self.temporary.unlink(missing_ok=True)


@contextmanager
def _parquet_files(paths: Mapping[str, Path], kind: type) -> Iterator[Mapping[str, _ParquetFile]]:
    """Files that are written together: all appear, or none."""
    files = {}
    try:
        for name, path in paths.items():
            files[name] = _ParquetFile(path, kind)
        yield files
    except BaseException:
        for file in files.values():
            with suppress(Exception):  # what went wrong first is what there is to say
                file.close(keep=False)
        raise
    for file in files.values():
        file.close(keep=True)


def write_parquet(path: Path, items: Sequence[Any], kind: type) -> None:
    """Write dataclass instances of one kind; the file appears whole or not at all."""
    with _parquet_files({"": path}, kind) as files:
        files[""].write(items)


def iterate_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a Parquet file with its JSON columns decoded, a group of them in memory at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            for batch in file.read_row_group(group).to_batches(max_chunksize=_ROWS_DECODED):
                yield from _rows(batch)


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    columns = {name: _values(name, batch.column(name)) for name in batch.schema.names}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        for name in _JSON_COLUMNS:
            if isinstance(row.get(name), str):
                row[name] = json.loads(row[name])
        yield row


def _values(name: str, column: pa.Array) -> list[Any]:
    if name != "profile":
        return column.to_pylist()
    texts = [text.to_pylist() for text in column.flatten().flatten()]
    names = [f.name for f in column.type.value_type]
    entries = (ProfileEntry(**dict(zip(names, values, strict=True))) for values in zip(*texts, strict=True))
    return [tuple(islice(entries, length)) for length in column.value_lengths().to_pylist()]


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """Rows of a Parquet file with its JSON columns decoded."""
    return list(iterate_parquet(path))


def write_records(folder: Path, records: Iterable[Record]) -> None:
    """`{train,dev,test}.parquet` in `folder`; a split without records is written empty.

    Records are taken as they come and written in groups of about `GROUP_CHARACTERS`, so they need not fit into memory.
    Where one cannot be had, no file appears.
    """
    waiting: dict[str, list[Record]] = {split: [] for split in SPLITS}
    sizes: Counter[str] = Counter()
    with _parquet_files({split: folder / f"{split}.parquet" for split in SPLITS}, Record) as files:
        for record in records:
            waiting[record.split].append(record)
            sizes[record.split] += sum(len(entry.input) + len(entry.response) for entry in record.profile)
            if sizes[record.split] >= GROUP_CHARACTERS:
                files[record.split].write(waiting[record.split])
                waiting[record.split], sizes[record.split] = [], 0
        for split in SPLITS:
            files[split].write(waiting[split])


def iterate_records(folder: Path, splits: Iterable[str] | None = None) -> Iterator[Record]:
    """Records of the named splits (all by default), in the order written, train before dev before test; a group of
    them in memory at a time."""
    for split in SPLITS if splits is None else splits:
        for row in iterate_parquet(folder / f"{split}.parquet"):
            row["retrieved"] = tuple(row["retrieved"])
            yield Record(**row)


@dataclass(frozen=True, slots=True)
class StoredRecords:
    """Every record of a folder, read anew each time it is gone through."""

    folder: Path

    def __len__(self) -> int:
        import pyarrow.parquet as pq

        return sum(pq.read_metadata(self.folder / f"{split}.parquet").num_rows for split in SPLITS)

    def __iter__(self) -> Iterator[Record]:
        return iterate_records(self.folder)


def read_records(folder: Path, splits: Iterable[str] | None = None) -> list[Record]:
    """As `iterate_records`, all in memory."""
    return list(iterate_records(folder, splits))


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
