"""Tables that people have: CSV, TSV, JSON lines and Parquet as rows of text, everything that can be wrong with them
included."""

from __future__ import annotations

import csv
import difflib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tagpr.data.json_files import check_start
from tagpr.errors import BadInputError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """The mapped cells of one row, stripped; "" where a cell is empty or its column is not mapped."""

    number: int  # from 1, the header not counted; of JSON lines the line
    user: str
    text: str
    answer: str
    date: str
    title: str


def read_rows(path: Path, columns: Mapping[str, str]) -> list[TableRow]:
    """Every row of a table, in the file's order.

    Args:
        path: a file with one of SUFFIXES.
        columns: field of TableRow -> the file's column; fields that are not there stay "".
    Raises:
        BadInputError: whatever is wrong, with the file, the row and what to do.
    """
    suffix = path.suffix.lower()
    try:
        if path.stat().st_size == 0:
            raise BadInputError(f"{path}: the file is empty, expected a table with {', '.join(columns.values())}.")
        if suffix in SUFFIXES and suffix != ".parquet":
            with path.open("rb") as file:
                start = file.readline(4096)
            if start.strip():
                check_start(path, start, expected=f"a table with {', '.join(columns.values())}")
        if suffix in (".csv", ".tsv"):
            cells = _read_csv(path, columns, separator="\t" if suffix == ".tsv" else ",")
        elif suffix == ".parquet":
            cells = _read_parquet(path, columns)
        elif suffix in SUFFIXES:
            cells = _read_json_lines(path, columns)
        else:
            raise BadInputError(
                f"{path}: a file of kind {suffix or 'unknown'!r}, expected one of {', '.join(SUFFIXES)}. Export the "
                "table as one of these and give it that ending."
            )
        rows = [
            TableRow(
                number=number, **{field: values.get(field, "") for field in TableRow.__slots__ if field != "number"}
            )
            for number, values in cells
        ]
    except UnicodeDecodeError:
        raise BadInputError(_where_not_utf8(path)) from None
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    if not rows:
        raise BadInputError(f"{path}: there are columns and no rows.")
    return rows


def _check_columns(path: Path, found: Sequence[str], columns: Mapping[str, str]) -> None:
    for field, name in columns.items():
        if name not in found:
            unused = [column for column in found if column not in columns.values()]
            by_folded = {str(column).strip().lower(): column for column in unused}
            near = difflib.get_close_matches(name.strip().lower(), by_folded, n=1, cutoff=0.5)
            hint = f" Did you mean data.columns.{field}={by_folded[near[0]]!r}?" if near else ""
            if len(found) == 1 and any(mark in found[0] for mark in ";\t|"):
                hint = " The header is one column: separate columns by commas, or by tabs in a .tsv file."
            shown = ", ".join(" ".join(str(column)[:40].split()) for column in found[:20]) or "none"
            raise BadInputError(f"{path}: no column {name!r} (data.columns.{field}).{hint} Its columns: {shown}.")
        if list(found).count(name) > 1:
            raise BadInputError(
                f"{path}: {name!r} is the name of {list(found).count(name)} columns. Rename the others."
            )


def _read_csv(path: Path, columns: Mapping[str, str], *, separator: str) -> Iterable[tuple[int, dict[str, str]]]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=separator), [])
    except csv.Error as error:
        raise BadInputError(f"{path}: the header cannot be read ({error}). Expected column names in line 1.") from None
    if not any(name.strip() for name in header):
        raise BadInputError(f"{path}: line 1 is blank, expected the columns' names.")
    _check_columns(path, header, columns)
    names = list(columns.values())
    try:
        table = arrow_csv.read_csv(
            path,
            # One block, because no cell may be longer than a block; one thread, so that errors name the row.
            read_options=arrow_csv.ReadOptions(
                block_size=min(path.stat().st_size + 1, 2**31 - 1), use_threads=False
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=names, column_types={name: pa.string() for name in names}, strings_can_be_null=False,
                check_utf8=True,
            ),
        )  # fmt: skip
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise BadInputError(_where_not_utf8(path)) from None
        said = "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in str(error)[:200])
        raise BadInputError(
            f"{path}: {said}. Every row must have the header's {len(header)} columns; put "
            'cells that hold separators or line breaks into quotes, and write a quote in them twice ("").'
        ) from None
    return _columns_to_cells(path, table, columns)


def _read_parquet(path: Path, columns: Mapping[str, str]) -> Iterable[tuple[int, dict[str, str]]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        _check_columns(path, parquet.read_schema(path).names, columns)
        table = parquet.read_table(path, columns=list(columns.values()))
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # Arrow tells of damage inside a file by an OSError without a number.
        raise BadInputError(
            f"{path}: is no whole Parquet file ({str(error).splitlines()[0][:120].rstrip('.')}). Write it again."
        ) from None
    return _columns_to_cells(path, table, columns)


def _columns_to_cells(path: Path, table: Any, columns: Mapping[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
    values = [table.column(name).to_pylist() for name in columns.values()]
    for number, row in enumerate(zip(*values, strict=True), start=1):
        yield (
            number,
            {
                field: _as_text(value, f"{path}, row {number}, column {name!r}")
                for (field, name), value in zip(columns.items(), row, strict=True)
            },
        )


def _read_json_lines(path: Path, columns: Mapping[str, str]) -> list[tuple[int, dict[str, str]]]:
    cells = []
    found: dict[str, None] = {}
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                rest = line[error.pos : error.pos + 20].strip()
                raise BadInputError(
                    f"{place}, column {error.pos + 1}: {error.msg}, "
                    f"{f'found {rest!r}' if rest else 'where the line ends'}. Expected one JSON object per line."
                ) from None
            except (ValueError, RecursionError):
                raise BadInputError(
                    f"{place}: nested too deeply, or a number of thousands of digits. Expected a JSON object per line."
                ) from None
            if not isinstance(row, dict):
                raise BadInputError(f"{place}: found {line.strip()[:40]!r}, expected one JSON object per line.")
            found.update(dict.fromkeys(row))
            cells.append(
                (number, {f: _as_text(row.get(name), f"{place}, column {name!r}") for f, name in columns.items()})
            )
    if not cells:
        raise BadInputError(f"{path}: there is no row in it, expected one JSON object per line.")
    _check_columns(path, list(found), columns)
    return cells


def _as_text(value: Any, place: str) -> str:
    """A cell as stripped text. Numbers and dates are written out; a missing value is ""."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, date | datetime):
        return value.isoformat()
    if not isinstance(value, str | int | float | Decimal):
        raise BadInputError(f"{place}: found {value!r:.60}, expected text or a number.")
    text = str(value).strip()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInputError(
            f"{place}: {text[error.start : error.end]!r} is half a character (a lone surrogate). Remove it, or write "
            "the file again without cutting characters."
        ) from None
    return text


def _where_not_utf8(path: Path) -> str:
    cure = f"is not UTF-8. Convert the file, e.g. iconv -f WINDOWS-1252 -t UTF-8 {path.name}."
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"{path}, line {number}: {line[error.start : error.start + 1]!r} {cure}"
    return f"{path}: {cure}"
