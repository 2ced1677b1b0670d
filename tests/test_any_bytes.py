"""Any damage at all: what reads files succeeds, or says in one line which file is wrong."""

import json
import math
import shutil
from copy import deepcopy

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from tagpr.data.table import TableSource
from tagpr.errors import UserError
from tagpr.evaluation.score import main as score_main
from tests.damage import CSV, HEADER, LAMP_3, LINES_OF_OBJECTS, OBJECTS, SHARES, G, P, Q, edit, lamp, stage_of

edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=4
)


def edited(data, changes):
    for place, removed, added in changes:
        at = int(place * len(data))
        data = data[:at] + added + data[at + removed :]
    return data


def succeeds_or_says_what_is_wrong(action, *places):
    try:
        action()
    except UserError as error:
        message = str(error)
    else:
        return True
    assert any(str(place) in message for place in places), message
    assert len(message.splitlines()) == 1
    assert len(message) < 2000
    return False


@given(edits, st.sampled_from([Q, G, "train/train_questions.json"]))
def test_any_bytes_in_lamp_files(tmp_path_factory, changes, name):
    folder = tmp_path_factory.mktemp("fuzz")
    root = shutil.copytree(LAMP_3, folder / "LaMP_3")
    edit(lambda data: edited(data, changes))(root / name)
    if not succeeds_or_says_what_is_wrong(lambda: stage_of(lamp(root), folder / "records"), root):
        assert list((folder / "records").iterdir()) == []


ODD = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        6,
        1.5,
        math.nan,
        math.inf,
        10**400,
        "",
        " ",
        "6",
        "\ud83d",
        "\0",
        "LaMP_2",
        [],
        {},
        [[]],
        {"id": []},
    ]
)


@given(st.lists(st.tuples(st.integers(0, 10**6), ODD), min_size=1, max_size=2), st.sampled_from([Q, G]))
def test_any_value_in_lamp_files(tmp_path_factory, changes, name):
    folder = tmp_path_factory.mktemp("fuzz")
    root = shutil.copytree(LAMP_3, folder / "LaMP_3")
    whole = [json.loads((root / name).read_text())]
    for number, odd in changes:
        places = [
            (holder, key)
            for holder in holders(whole)
            for key in (holder if isinstance(holder, dict) else range(len(holder)))
        ]
        holder, key = places[number % len(places)]
        holder[key] = deepcopy(odd)
    (root / name).write_text(json.dumps(whole[0]))
    succeeds_or_says_what_is_wrong(lambda: stage_of(lamp(root), folder / "records"), root)


def holders(tree):
    """Every list and object of a JSON value."""
    if isinstance(tree, dict | list):
        yield tree
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from holders(child)


def parquet_bytes():
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(OBJECTS), sink)
    return sink.getvalue().to_pybytes()


TABLES = {
    "t.csv": CSV.encode(), "t.jsonl": LINES_OF_OBJECTS, "t.parquet": parquet_bytes(),
}  # fmt: skip


@given(edits, st.sampled_from(sorted(TABLES)))
def test_any_bytes_in_tables(tmp_path_factory, changes, name):
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / name
    path.write_bytes(edited(TABLES[name], changes))
    source = TableSource(
        path=str(path), columns={name: name for name in HEADER.split(",")}, task="rating", queries_per_user=3,
        train_queries_per_user=None, questions_in_history=True,
        min_rows=6, max_rows=200, max_users=None, max_characters=20000, licence="", **SHARES,
    )  # fmt: skip
    succeeds_or_says_what_is_wrong(lambda: stage_of(source, folder / "records"), path)


@given(edits, st.sampled_from([P, "g.json", "q.json"]))
def test_any_bytes_in_scored_files(tmp_path_factory, changes, name):
    folder = tmp_path_factory.mktemp("fuzz")
    for source, copy in ((G, P), (G, "g.json"), (Q, "q.json")):
        shutil.copy(LAMP_3 / source, folder / copy)
    edit(lambda data: edited(data, changes))(folder / name)
    files = {"--predictions": P, "--golds": "g.json", "--questions": "q.json"}
    code = score_main(
        ["--task", "LaMP_3", "--resamples", "10", *(part for k, v in files.items() for part in (k, str(folder / v)))]
    )
    assert code in (0, 2)
