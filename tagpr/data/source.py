"""Where records come from: LaMP's files, anybody's table, or a simulated world."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tagpr.data.leaks import Asked, asked_of
from tagpr.types import Record


class Records(Protocol):
    """Records that can be counted and gone through, from the start each time: a list, or files that are larger than
    memory and read anew."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Record]: ...


class RecordSource(ABC):
    """A data set that can be told as records, people already divided into splits and questions into purposes."""

    # Purposes whose profiles lose golds of other splits and purposes (tagpr.data.leaks). A simulated world makes none.
    drop_golds_from: tuple[str, ...] = ()

    @abstractmethod
    def records(self, *, seed: int) -> Records:
        """Every record, `retrieved` still empty. The seed makes simulated people; real ones keep their splits."""

    def files(self) -> list[Path]:
        """The source files that `records` reads: what goes into the manifest with its hash."""
        return []

    def asked(self, records: Records) -> Iterable[Asked]:
        """What a leak guard needs of every question, profiles aside; a source that knows it need not read them anew."""
        return map(asked_of, records)

    def shared_ids(self) -> Mapping[str, Sequence[str]]:
        """First id -> the data's user ids under which one profile stands, of the people that have several."""
        return {}

    def figures(self, records: Records) -> dict[str, float]:
        """What the manifest says beside counts: a simulated world gives its blind and Bayes scores."""
        return {}

    def version(self, records: Records) -> dict[str, str]:
        """{name of a made data set: hash of its records}; {} where source files have hashes of their own."""
        return {}

    def card(self, records: Records) -> str:
        """A data card in Markdown, without people's texts; "" where the data come with documentation of their own."""
        return ""
