"""Kinds of files: each gives what is written in it."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.teas import HEADER, source, teas, write


def test_every_kind_of_file_gives_the_same_records(table, tmp_path):
    rows = [dict(zip(HEADER, row, strict=True)) for row in teas()]
    typed = [{**row, "answer": int(row["answer"]), "other": [1]} for row in rows]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in typed), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(typed), tmp_path / "t.parquet")
    (tmp_path / "t.tsv").write_text(table.read_text(encoding="utf-8").replace(",", "\t"), encoding="utf-8")
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    expected = source(table).records(seed=0)
    for name in ("t.jsonl", "t.parquet", "t.tsv", "bom.csv"):
        assert source(tmp_path / name).records(seed=0) == expected, name


def test_dates_of_parquet_are_dates(tmp_path):
    rows = [dict(zip(HEADER, row, strict=True)) for row in teas()]
    table = pa.Table.from_pylist(rows)
    stamps = table["date"].cast(pa.timestamp("ns")).cast(pa.timestamp("ns", tz="UTC"))
    pq.write_table(table.set_column(3, "date", stamps), tmp_path / "t.parquet")
    first = source(tmp_path / "t.parquet").records(seed=0)[0]
    assert [e.input for e in first.profile] == ["tea 0 of p0", "tea 1 of p0", "tea 2 of p0"]


def test_quoted_cells_hold_separators_quotes_and_line_breaks(tmp_path):
    rows = [(user, f'{text}, "hot"\nand sweet', *rest) for user, text, *rest in teas(3)]
    assert source(write(tmp_path / "t.csv", rows)).records(seed=0)[0].query == 'tea 3 of p0, "hot"\nand sweet'
