"""Rankings of profiles, kept beside the finished stages, so that another k, prompt, seed or share ranks nothing again.

`rankings/<task>/<ranker>/` holds shards: whole orders of the candidates by a hash of question and profile, k not
applied. `<ranker>` is a hash of the ranker's settings without k, of its code and of the libraries' versions, so what is
read is what would be computed; which of the two happened stands in the manifest. One process at a time ranks with one
ranker; others wait, then read. What cannot be read, or does not order the record's own candidates, is computed again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock

from tagpr.data.retrieval import OrderingRetriever, Retriever, candidates
from tagpr.data.source import Records
from tagpr.pipeline.fingerprint import code_fingerprint, digest, library_versions
from tagpr.tasks import Task
from tagpr.types import Record

# What an order is computed by.
CODE = ("types", "tasks", "data/retrieval", "data/dense_retrieval", "data/lamp_files", "data/rankings")

_DAMAGED = (OSError, ValueError, KeyError)  # Arrow's errors are among them


def record_digest(record: Record) -> bytes:
    """16 bytes that stand for all that an order depends on in a record."""
    state = hashlib.blake2b(digest_size=16)
    texts = [record.task, record.record_id, record.question, record.query, record.gold or ""]
    for entry in record.profile:
        texts += (entry.entry_id, entry.input, entry.response, entry.title, entry.date)
    for text in texts:
        data = text.encode()
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.digest()


class Rankings:
    """Orders of one run, read where they are kept and computed where not.

    Args:
        retriever: whose `rank` is answered.
        prefix: of every key; not empty for a retriever whose orders hold for a whole set of records.
        read: a task's kept orders; asked once per task, when its first record comes.
    """

    def __init__(
        self, retriever: Retriever, prefix: bytes, read: Callable[[str], dict[bytes, tuple[int, ...]]]
    ) -> None:
        self.retriever = retriever
        self.prefix = prefix
        self.read = read
        self.known: dict[str, dict[bytes, tuple[int, ...]]] = {}
        self.new: dict[str, dict[bytes, tuple[int, ...]]] = {}
        self.num_reused = 0

    def rank(self, record: Record, task: Task, *, seed: int) -> tuple[int, ...]:
        """As the retriever's own."""
        if not isinstance(self.retriever, OrderingRetriever):
            return self.retriever.rank(record, task, seed=seed)
        key = self.prefix + record_digest(record)
        if task.name not in self.known:
            self.known[task.name] = self.read(task.name)
        order = self.known[task.name].get(key)
        if order is not None and sorted(order) == candidates(record):
            self.num_reused += 1
        else:
            order = self.retriever.order(record, task)
            self.new.setdefault(task.name, {})[key] = order
        return order[: self.retriever.k]

    def counts(self) -> dict[str, int]:
        """For the manifest."""
        return {"rankings_reused": self.num_reused, "rankings_computed": sum(map(len, self.new.values()))}


@contextmanager
def open_rankings(
    retriever: Retriever, folder: Path | None, records: Records, *, drop_from: Sequence[str]
) -> Iterator[Rankings]:
    """The rankings of `records`; what was computed is kept when the block ends without an error.

    Args:
        folder: `rankings` of the cache; None: nothing is kept.
        records: all that will be ranked, in their order; read through only for retrievers that order whole sets.
        drop_from: what else decides which entries are ranked together (tagpr.data.leaks.LeakGuard).
    """
    if folder is None or not isinstance(retriever, OrderingRetriever) or (identity := retriever.identity()) is None:
        yield Rankings(retriever, b"", lambda task: {})
        return
    ranker = digest([type(retriever).__name__, identity, code_fingerprint(CODE), library_versions()])[:24]
    prefix = b""
    if retriever.orders_whole_sets:
        state = hashlib.blake2b(repr(tuple(drop_from)).encode(), digest_size=16)
        for record in records:
            state.update(record_digest(record))
        prefix = state.digest()
    with ExitStack() as locks:

        def read(task: str) -> dict[bytes, tuple[int, ...]]:
            place = folder / task / ranker
            place.mkdir(parents=True, exist_ok=True)
            locks.enter_context(FileLock(place / ".lock"))
            return _read(place)

        rankings = Rankings(retriever, prefix, read)
        yield rankings
        for name, orders in rankings.new.items():
            _write(folder / name / ranker, orders)


def _read(place: Path) -> dict[bytes, tuple[int, ...]]:
    import pyarrow.parquet as pq

    orders: dict[bytes, tuple[int, ...]] = {}
    for path in sorted(place.glob("*.parquet")):
        try:
            table = pq.read_table(path)
            orders.update(zip(table["record"].to_pylist(), map(tuple, table["order"].to_pylist()), strict=True))
        except _DAMAGED:
            path.unlink(missing_ok=True)
    return orders


def _write(place: Path, orders: dict[bytes, tuple[int, ...]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("record", pa.binary()), ("order", pa.list_(pa.int32()))])
    columns = {"record": list(orders), "order": [list(order) for order in orders.values()]}
    name = hashlib.blake2b(b"".join(sorted(orders)), digest_size=12).hexdigest()
    temporary = place / f".{name}.{os.getpid()}.tmp"
    with temporary.open("wb") as file:
        pq.write_table(pa.table(columns, schema=schema), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(place / f"{name}.parquet")
