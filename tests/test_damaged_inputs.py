"""Inputs as they come: each damage ends at once, with one message that names file and place, and leaves nothing.

pytest tests/test_damaged_inputs.py -s      # prints damage -> message, to be read by a person
"""

import gzip
import json
import math
import os
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from tagpr.evaluation.score import main as score_main
from tests.damage import CSV, HEADER, LAMP_3, LINES_OF_OBJECTS, OBJECTS, G, P, Q, edit, lamp, stage_of, value, write

SECONDS = 30  # a loaded machine composes a configuration slowly; what is damaged is said within one


# --- damages: what is done to valid files -----------------------------------------------------------------------------


def into_folder(path):
    path.unlink()
    path.mkdir()


def dead_link(path):
    path.unlink()
    path.symlink_to("nowhere.json")


def unreadable(path):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    path.chmod(0)


def put(change):
    """Of the first question."""
    return value(lambda questions: change(questions[0]))


def gold(output):
    return value(lambda outputs: outputs["golds"][0].update(output=output))


def one_person(root):
    """A folder of one question."""
    shutil.rmtree(root / "train")
    value(lambda questions: questions.__delitem__(slice(1, None)))(root / Q)
    value(lambda outputs: outputs["golds"].__delitem__(slice(1, None)))(root / G)


def old_for_new(root):
    """The news questions, which the old LaMP-2 was, under the movie task's golds."""
    shutil.rmtree(root / "train")
    news, movies = LAMP_3.parent / "LaMP_2" / "dev", LAMP_3.parent / "LaMP_2" / "new" / "dev"
    shutil.copy(news / "dev_questions.json", root / Q)
    shutil.copy(movies / "dev_outputs.json", root / G)


def both_tasks(root):
    """Movies in train, news in dev: `new` was forgotten in one of two addresses."""
    for source, split in (
        (LAMP_3.parent / "LaMP_2" / "new" / "dev", "train"),
        (LAMP_3.parent / "LaMP_2" / "dev", "dev"),
    ):
        for kind in ("questions", "outputs"):
            shutil.copy(source / f"dev_{kind}.json", root / split / f"{split}_{kind}.json")


UTF_16 = edit(lambda data: data.decode().encode("utf-16"))
LINES = edit(lambda data: "\n".join(map(json.dumps, json.loads(data))).encode())

# (what was done, to which file, the damage, what the message must say beside the file's name)
LAMP = [
    ("cut off", Q, edit(lambda data: data[:-50]), "ends in the middle of a value (line "),
    ("cut off between two", Q, edit(lambda data: data[: data.index(b"},") + 2]), "ends in the middle of a value"),
    ("golds cut off", G, edit(lambda data: data[:-9]), "ends in the middle of a value"),
    ("a web page", Q, write(b"<!DOCTYPE html><html><body>404"), "holds a web page (it begins with '<!DOCTYPE html>')"),
    ("an empty file", Q, write(b""), "the file is empty"),
    ("spaces alone", G, write(b" \n\t"), "the file is empty"),
    ("UTF-16", Q, UTF_16, "is UTF-16. Convert it, e.g. iconv -f UTF-16 -t UTF-8 dev_questions.json"),
    ("UTF-16 without mark", Q, edit(lambda data: data.decode().encode("utf-16-le")), "or is UTF-16"),
    ("latin-1", Q, edit(lambda data: data.replace(b"The ", b"Th\xe9 ", 1)), "line 4, byte "),
    ("packed", Q, edit(gzip.compress), "is compressed (gzip). Unpack it, e.g. gunzip -k"),
    ("zero bytes at the end", Q, edit(lambda data: data[:-60] + bytes(60)), "column 164: a zero byte"),
    ("zero bytes alone", Q, write(bytes(500)), "a zero byte"),
    ("an object for a list", Q, write({"questions": []}), "expected a list of questions"),
    ("a list for an object", G, write([]), 'expected {"task"'),
    ("null", G, write(None), 'found null, expected {"task"'),
    ("JSON lines for a list", Q, LINES, "expected a list of questions"),
    ("no questions", Q, write([]), "the list of questions is empty"),
    ("a comma behind the last", Q, edit(lambda data: data.rstrip()[:-1] + b",]"), "']' behind a comma"),
    ("a missing comma", Q, edit(lambda data: data.replace(b'",\n  "input"', b'"\n  "input"', 1)), "line 4, column 3"),
    ("a lost quote", Q, edit(lambda data: data.replace(b'"input": "', b'"input": ', 1)), "line 4, column 12"),
    ("single quotes", G, edit(lambda data: data.replace(b'"', b"'")), "line 2, column 2: Expecting property name"),
    ("too deep", Q, write(b'[{"id": ' + b"[" * 100_000), "nested too deeply"),
    ("5,000 digits", Q, write(b"[" + b"9" * 5000 + b"]"), "holds a number that is none"),
    ("a question that is none", Q, value(lambda q: q.insert(2, "id")), "question 2: found 'id'"),
    ("no id", Q, put(lambda q: q.pop("id")), "question 0: id is missing"),
    ("a fraction for an id", Q, put(lambda q: q.update(id=1.5)), "question 0: id is 1.5, expected a text or a whole"),
    ("one id twice", Q, value(lambda q: q[1].update(id=q[0]["id"])), "id 310: stands there twice"),
    ("no input", Q, put(lambda q: q.pop("input")), "id 310: input is missing"),
    ("null input", Q, put(lambda q: q.update(input=None)), "id 310: input is null"),
    ("no profile", Q, put(lambda q: q.pop("profile")), "id 310: profile is missing, expected a list"),
    ("profile by id", Q, put(lambda q: q.update(profile={"1": {}})), 'id 310: profile is {"1": {}}, expected a list'),
    ("an entry that is none", Q, put(lambda q: q["profile"].insert(1, "t")), "id 310, profile entry 1: found 't'"),
    ("an entry without text", Q, put(lambda q: q["profile"][2].pop("text")), "id 310, profile entry 2: field 'text'"),
    ("an entry with blank text", Q, put(lambda q: q["profile"][2].update(text=" ")), "entry 2: field 'text' is"),
    ("an entry without score", Q, put(lambda q: q["profile"][0].pop("score")), "entry 0: field 'score': it is"),
    ("an entry's score 6", Q, put(lambda q: q["profile"][0].update(score="6")), "score '6' is not a whole number"),
    ("an entry's score NaN", Q, put(lambda q: q["profile"][0].update(score=math.nan)), "score nan is not a whole"),
    ("an entry's score infinite", Q, put(lambda q: q["profile"][0].update(score=math.inf)), "score inf is not a"),
    ("half a character", Q, put(lambda q: q.update(input="review: \ud83d")), "'\\ud83d' at character 8 is half"),
    ("half a character in an id", Q, put(lambda q: q.update(id="\ud83d")), "question 0: '\\ud83d' at character 0"),
    ("half of it in an entry's id", Q, put(lambda q: q["profile"][0].update(id="\ud83d")), "entry 0: '\\ud83d' at"),
    ("a list for a user", Q, put(lambda q: q.update(user_id=["a"])), 'id 310: user_id is ["a"], expected a text'),
    ("gold 6", G, gold("6"), "id 310: score '6' is not a whole number from 1 to 5"),
    ("gold NaN", G, gold(math.nan), "id 310: score nan is not a whole number from 1 to 5"),
    ("gold in words", G, gold("five"), "id 310: score 'five' is not a whole number from 1 to 5"),
    ("gold null", G, gold(None), "id 310: score None is not a whole number"),
    ("a gold missing", G, value(lambda g: g["golds"].pop()), "1 of 4 questions have no gold in dev_outputs"),
    ("a gold too many", G, value(lambda g: g["golds"].append({"id": "9", "output": "5"})), "1 of 5 golds have no"),
    ("one gold twice", G, value(lambda g: g["golds"].append(g["golds"][0])), "id 310: stands there twice"),
    ("another task's name", G, value(lambda g: g.update(task="LaMP_5")), "it is LaMP_5's, but "),
    ("no task's name", G, value(lambda g: g.update(task="rating")), "'rating' is no task"),
    ("no golds in golds", G, value(lambda g: g.pop("golds")), "found an object with 'task', expected"),
    ("a folder for a file", Q, into_folder, "is a folder, expected a JSON file"),
    ("a folder for golds", G, into_folder, "is a folder, expected a JSON file"),
    ("a dead link", Q, dead_link, "there is no such file"),
    ("half of a split", Q, Path.unlink, "there is no such file"),
    ("no golds' file", G, Path.unlink, "its golds are missing, expected "),
    ("no right to read", Q, unreadable, "cannot be read (Permission denied)"),
    ("old LaMP-2 under the new one's golds", "", old_for_new, "gold 'sci-fi' is none of the labels: food"),
    ("old LaMP-2 beside the new one", "", both_tasks, "it is LaMP_2N's, but "),
    ("one person", "", one_person, "1 questions of 1 people leave nobody for"),
    ("an empty root", "", lambda root: [shutil.rmtree(path) for path in list(root.iterdir())], "no questions found"),
]  # fmt: skip


def csv(old, new, count=1):
    return "reviews.csv", CSV.replace(old, new, count).encode()


TABLE = [
    ("a column missing", csv("answer", "rating"), "no column 'answer' (data.columns.answer)"),
    ("a column twice", csv("date", "user"), "'user' is the name of 2 columns"),
    ("semicolons", csv(",", ";", -1), "The header is one column: separate columns by commas"),
    ("a row too short", csv("tea 3 of p0,4", "tea 3 of p0"), "Row #5: Expected 4 columns, got 3"),
    ("a row too long", csv("tea 3 of p0", "tea, 3 of p0"), "Row #5: Expected 4 columns, got 5"),
    ("a quote never closed", csv("tea 3 of p0", '"tea 3 of p0'), "Row #"),
    ("dates of two meanings", csv("2020-01-0", "0/1/2020 ", -1), "row 1: date is '0/1/2020 1'"),
    ("a date that is none", csv("2020-01-03", "soon"), "row 3: date is 'soon'"),
    ("ratings up to 10", csv(",5,", ",10,", -1), None),  # left out with a warning, as the card says
    ("ratings in words", ("reviews.csv", (HEADER + "\n" + "a,b,good,2020\n" * 9).encode()), "none of 9 answers can be"),
    ("latin-1", ("reviews.csv", CSV.replace("tea 3", "th\xe9 3", 1).encode("latin-1")), "line 5: b'\\xe9' is not"),
    ("UTF-16", ("reviews.csv", CSV.encode("utf-16")), "is UTF-16. Convert it"),
    ("packed", ("reviews.csv", gzip.compress(CSV.encode())), "is compressed (gzip). Unpack it"),
    ("packed and named so", ("reviews.csv.gz", gzip.compress(CSV.encode())), "a file of kind '.gz'"),
    ("a web page", ("reviews.csv", b"<html><body>404"), "holds a web page"),
    ("empty", ("reviews.csv", b""), "the file is empty, expected a table with user, text, answer, date"),
    ("a header alone", ("reviews.csv", HEADER.encode() + b"\n"), "there are columns and no rows"),
    ("zero bytes", ("reviews.csv", CSV.encode()[:200] + bytes(300)), "Row #"),
    ("one person", ("reviews.csv", "\n".join(CSV.splitlines()[:8]).encode()), "1 people leave nobody for"),
    ("JSON for lines", ("reviews.jsonl", json.dumps(OBJECTS).encode()), "line 1: found '[{"),
    ("lines cut off", ("reviews.jsonl", LINES_OF_OBJECTS[:-9]), "line 42, column 62: Unterminated string"),
    ("a line with a list", ("reviews.jsonl", json.dumps({**OBJECTS[0], "text": ["a"]}).encode()), "column 'text'"),
    ("Parquet cut off", "cut", "is no whole Parquet file"),
    ("Parquet overwritten", "overwritten", "is no whole Parquet file"),
    ("CSV named Parquet", ("reviews.parquet", CSV.encode()), "is no whole Parquet file"),
    ("a spreadsheet", ("reviews.xlsx", b"PK\x03\x04"), "a file of kind '.xlsx'"),
]  # fmt: skip

SCORE = [
    ("cut off", P, edit(lambda data: data[:-9]), "ends in the middle of a value"),
    ("a web page", P, write(b"<html>"), "holds a web page"),
    ("empty", "g.json", write(b""), "the file is empty"),
    ("lines", P, write(b'{"id": "0", "output": "4"}\n{"id": "1", "output": "4"}'), "line 2, column 1: Extra data"),
    ("a plain list", P, write([{"id": "0", "output": "4"}]), 'expected {"task"'),
    ("ids to answers", P, write({"0": "4", "1": "5"}), "found an object with '0', '1', expected"),
    ("a prediction missing", P, value(lambda p: p["golds"].pop()), "1 of the 4 golds have no prediction"),
    ("a prediction twice", P, value(lambda p: p["golds"].append(p["golds"][0])), "id 310: stands there twice"),
    ("null for an answer", P, value(lambda p: p["golds"][0].update(output=None)), "id 310: output is None, expected a"),
    ("a list for an answer", P, value(lambda p: p["golds"][0].update(output=["4"])), "id 310: output is ['4']"),
    ("no output", P, value(lambda p: p["golds"][0].pop("output")), "id 310: no output, only id"),
    ("another task", P, value(lambda p: p.update(task="LaMP_7")), "its \"task\" is 'LaMP_7', --task is LaMP_3"),
    ("gold six", "g.json", value(lambda g: g["golds"][0].update(output="six")), "id 310: score 'six' is not a whole"),
    ("no golds", "g.json", value(lambda g: g["golds"].clear()), "holds no golds"),
    ("questions of others", "q.json", value(lambda q: q[0].update(id="x")), "1 of 4 questions have no gold"),
    ("questions cut off", "q.json", edit(lambda data: data[:-99]), "ends in the middle of a value"),
    ("a folder", P, into_folder, "is a folder, expected a JSON file"),
    ("latin-1", P, write(b'{"task": "LaMP_3", "golds": [{"id": "caf\xe9"}]}'), "byte 40: b'\\xe9' is not UTF-8"),
]  # fmt: skip


# --- what each gives --------------------------------------------------------------------------------------------------


def show(kind, case, message, root):
    print(f"\n{kind}: {case}\n    {message.replace(str(root), '...')}", end="")


def check_nothing_left(runs):
    """Nothing but the memory of hashes, and locks that nobody holds."""
    left = [path for path in runs.glob("cache/**/*") if path.is_file() and path.name != "file_hashes.json"]
    assert [path for path in left if path.suffix != ".lock"] == []
    assert [path for path in runs.glob("cache/*/*") if path.is_dir()] == []
    for lock in left:
        with FileLock(lock, timeout=0):
            pass


@pytest.fixture
def place(tmp_path_factory):
    """An empty folder that has the same name for every case, so that one configuration serves all of them."""
    place = tmp_path_factory.getbasetemp() / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place


@pytest.fixture
def records(tagpr, place):
    """`tagpr ... until=records`: its message, after all that must hold of any damage."""

    def records(*data: str) -> str:
        runs, began = place / "runs", time.monotonic()
        answer = tagpr("experiment=lamp_small", *data, f"paths.runs={runs}", "logger=none", "until=records")
        assert time.monotonic() - began < SECONDS
        assert answer.code == 1, answer
        assert "Traceback" not in answer.out + answer.err
        [message] = [line for line in answer.err.splitlines() if not line.startswith("Warning: ")]
        assert message.startswith("Error: ")
        check_nothing_left(runs)
        return message

    return records


@pytest.mark.parametrize("case, name, damage, expected", LAMP, ids=[case[0] for case in LAMP])
def test_lamp_files(case, name, damage, expected, records, place):
    root = shutil.copytree(LAMP_3, place / "LaMP_3")
    damage(root / name if name else root)
    message = records(f"data.root={root}")
    show("LaMP", case, message, place)
    assert expected in message
    assert str(root) in message
    assert not name or Path(name).name in message


@pytest.mark.parametrize("case, file, expected", TABLE, ids=[case[0] for case in TABLE])
def test_tables(case, file, expected, records, place, tagpr):
    if isinstance(file, str):
        pq.write_table(pa.Table.from_pylist(OBJECTS), place / "whole.parquet")
        whole = (place / "whole.parquet").read_bytes()
        file = ("reviews.parquet", whole[:-50] if file == "cut" else whole[:30] + b"\xff" * 300 + whole[330:-200])
    path = place / file[0]
    path.write_bytes(file[1])
    arguments = ("data=table", f"data.path={path}", "data.columns.date=date")
    if expected is None:
        runs = place / "runs"
        answer = tagpr("experiment=lamp_small", *arguments, f"paths.runs={runs}", "logger=none", "until=records")
        assert answer.code == 0
        show("table", case, answer.err.strip(), place)
        assert "answers cannot be read as task rating and are left out: '10'" in answer.err
        return
    message = records(*arguments)
    show("table", case, message, place)
    assert expected in message
    assert str(path) in message


@pytest.mark.parametrize("case, name, damage, expected", SCORE, ids=[case[0] for case in SCORE])
def test_scored_files(case, name, damage, expected, tmp_path, capsys):
    for source, copy in ((G, P), (G, "g.json"), (Q, "q.json")):
        shutil.copy(LAMP_3 / source, tmp_path / copy)
    damage(tmp_path / name)
    files = {"--predictions": P, "--golds": "g.json", "--questions": "q.json", "--out": "scores.json"}
    began = time.monotonic()
    code = score_main(["--task", "LaMP_3", *(part for k, v in files.items() for part in (k, str(tmp_path / v)))])
    assert time.monotonic() - began < SECONDS
    printed = capsys.readouterr()
    [message] = printed.err.splitlines()
    show("tagpr-score", case, message, tmp_path)
    assert (code, printed.out) == (2, "")
    assert expected in message
    assert str(tmp_path / name) in message
    assert not (tmp_path / "scores.json").exists()


def test_a_mended_file_goes_on_with_the_same_command(records, tagpr, place):
    root = shutil.copytree(LAMP_3, place / "LaMP_3")
    whole = (root / Q).read_bytes()
    (root / Q).write_bytes(whole[:500])
    records(f"data.root={root}")
    (root / Q).write_bytes(whole)
    runs = place / "runs"
    answer = tagpr("experiment=lamp_small", f"data.root={root}", f"paths.runs={runs}", "logger=none", "until=records")
    assert (answer.code, answer.err) == (0, "")


# --- what looks damaged and is not ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, damage",
    [
        (Q, edit(lambda data: b"\xef\xbb\xbf" + data)),  # Windows' mark
        (G, edit(lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))),
        (Q, put(lambda q: q.update(id=310))),  # ids are texts in LaMP; numbers say the same
        (Q, put(lambda q: q["profile"].clear())),
        (Q, put(lambda q: q.update(input="review: a movie: \x00 \U0001f600"))),
        (Q, put(lambda q: q["profile"][0].update(text="wo\u0301rds " * 1_600_000))),  # a review of 11 MB
        (G, gold(5)),
        (G, gold("5.0")),
    ],
)
def test_what_can_be_read_is_read(name, damage, tmp_path):
    root = shutil.copytree(LAMP_3, tmp_path / "LaMP_3")
    damage(root / name)
    assert len(stage_of(lamp(root), tmp_path / "records")) == 16
