"""A table of one's own as personalised questions. The texts are made up; the expected splits are worked by hand."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.data.retrieval import BM25Retriever
from tagpr.errors import BadInputError
from tagpr.storage import read_records
from tagpr.tasks import task_named
from tests.data.teas import HEADER, refused, source, teas, write

# --- leave the last out ----------------------------------------------------------------------------------------------


def test_the_last_rows_in_time_are_questions_and_what_came_before_is_their_history(table):
    records = source(table).records(seed=0)
    assert [r.query for r in records if r.user_id == "p1"] == ["tea 3 of p1", "tea 4 of p1"]
    first, second = (r for r in records if r.user_id == "p1")
    assert [e.input for e in first.profile] == ["tea 0 of p1", "tea 1 of p1", "tea 2 of p1"]
    assert [e.response for e in first.profile] == ["2", "3", "4"]
    assert [e.input for e in second.profile] == [*(e.input for e in first.profile), "tea 3 of p1"]
    assert (first.gold, second.gold) == ("5", "1")
    assert first.task == "LaMP_3"
    assert task_named("LaMP_3").read_question(first.question) == task_named("LaMP_3").read_question(
        task_named("LaMP_3").write_question("tea 3 of p1")
    )
    assert first.record_id == second.profile[-1].entry_id == "row_7"  # p1's second row, behind p0's five


def test_people_are_on_one_side_and_train_peoples_questions_have_a_purpose(table):
    records = source(table).records(seed=0)
    sides = {split: {r.user_id for r in records if r.split == split} for split in ("train", "dev", "test")}
    assert {split: len(people) for split, people in sides.items()} == {"train": 3, "dev": 1, "test": 1}
    assert len(set.union(*sides.values())) == 5
    # Two questions cannot be spread over three purposes: each train person has one purpose.
    assert Counter(r.purpose for r in records) == {"sft": 2, "pairs": 2, "rl": 2, "dev": 2, "test": 2}
    assert source(table).records(seed=0) == records
    assert {r.user_id: r.split for r in source(table).records(seed=1)} != {r.user_id: r.split for r in records}


def test_over_the_folds_everybody_is_tested_once(tmp_path):
    path = write(tmp_path / "teas.csv", teas(people=10))
    tested = []
    for fold in range(5):
        records = source(path, folds=5, fold=fold, train_queries_per_user=3, min_rows=4).records(seed=0)
        by_split = {split: [r for r in records if r.split == split] for split in ("train", "dev", "test")}
        # 8 people are left: 6 and 2 by 60 to 20
        assert {s: len({r.user_id for r in rs}) for s, rs in by_split.items()} == {"train": 6, "dev": 2, "test": 2}
        assert {s: len(rs) for s, rs in by_split.items()} == {"train": 6 * 3, "dev": 2 * 2, "test": 2 * 2}
        tested += sorted({r.user_id for r in by_split["test"]})
    assert sorted(tested) == [f"p{i}" for i in range(10)]


def test_histories_can_end_before_the_first_question(table):
    made = source(table, questions_in_history=False, train_queries_per_user=3, min_rows=4)
    records = made.records(seed=0)
    first, second, third = (r for r in records if r.user_id == next(r.user_id for r in records if r.split == "train"))
    assert [len(r.profile) for r in (first, second, third)] == [2, 2, 2]
    asked = {r.record_id for r in records}
    assert not any(entry.entry_id in asked for r in records for entry in r.profile)
    assert made.figures(records)["golds_in_later_histories"] == 0
    assert "before their first question" in made.card(records)


def test_golds_that_a_later_question_of_another_purpose_shows_are_counted(table):
    made = source(table, train_queries_per_user=3, min_rows=4)
    records = made.records(seed=0)
    # three train people with one question per purpose each: the last one's answer is shown to nobody
    assert made.figures(records)["golds_in_later_histories"] == 3 * 2
    # people with one purpose have nothing to count
    one = source(table)
    assert one.figures(one.records(seed=0))["golds_in_later_histories"] == 0


@pytest.mark.parametrize("date", ["date", None])
def test_rows_of_one_date_and_rows_without_dates_keep_the_files_order(date, tmp_path):
    rows = [(f"p{p}", f"tea {cup}", "3", "2020-01-01") for cup in range(4) for p in range(3)]
    records = source(write(tmp_path / "t.csv", rows), columns={"date": date}).records(seed=0)
    assert {(r.query, tuple(e.input for e in r.profile)) for r in records} == {
        ("tea 2", ("tea 0", "tea 1")),
        ("tea 3", ("tea 0", "tea 1", "tea 2")),
    }


def test_an_earlier_answer_to_the_same_text_is_no_history_of_it(tmp_path):
    rows = [(f"p{p}", text, score, "2020") for p in range(3) for text, score in zip("abab", "1234", strict=True)]
    records = source(write(tmp_path / "t.csv", rows), queries_per_user=1).records(seed=0)
    assert [(e.input, e.response) for e in records[0].profile] == [("a", "1"), ("a", "3")]
    assert (records[0].query, records[0].gold) == ("b", "4")
    assert BM25Retriever(k=4).rank(records[0], task_named("LaMP_3"), seed=0) == (1, 0)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(1, 5), st.integers(0, 3)), max_size=40),
    st.integers(1, 3),
    st.booleans(),
)
def test_no_history_holds_its_question_or_anything_later(tmp_path_factory, drawn, queries, capped):
    rows = [(f"p{p}", f"tea {text}", str(score), f"200{date}") for p, text, score, date in drawn]
    path = write(tmp_path_factory.mktemp("t") / "t.csv", rows)
    most = queries + 2 if capped else None
    made = source(path, queries_per_user=queries, min_rows=queries + 1, max_rows=most)
    try:
        records = made.records(seed=0)
    except BadInputError:
        return
    for record in records:
        own = rows[int(record.record_id.removeprefix("row_")) - 1]
        assert record.user_id == own[0]
        for entry in record.profile:
            earlier = rows[int(entry.entry_id.removeprefix("row_")) - 1]
            assert (earlier[0], earlier[1], earlier[2]) == (own[0], entry.input, entry.response)
            assert entry.input != record.query
            assert (earlier[3], int(entry.entry_id[4:])) < (own[3], int(record.record_id[4:]))
    counts = Counter(record.user_id for record in records)
    assert set(counts.values()) == {queries}
    figures = made.figures(records)
    gone = sum(figures[name] for name in ("rows_repeated", "rows_of_people_with_few_rows", "rows_beyond_max_rows"))
    assert figures["rows_used"] + gone == len(rows)


# --- tasks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task, answer, name",
    [
        ("rating", "4.0", "LaMP_3"),
        ("headline", "Kettles on strike", "LaMP_4"),
        ("title", "On Kettles", "LaMP_5"),
        ("text", "my kettle sulks", "LaMP_7"),
        ("label", "Comedy", "LaMP_2"),
        ("label", "food & drink", "LaMP_2N"),
    ],
)
def test_each_form_is_a_task_that_later_stages_know(task, answer, name, tmp_path):
    rows = [(*row[:2], answer, row[3]) for row in teas(3)]
    records = source(write(tmp_path / "t.csv", rows), task=task).records(seed=0)
    assert {r.task for r in records} == {name}
    known = task_named(name)
    assert {known.score(r.gold or "", r.gold or "") for r in records} == {1.0}
    assert all(known.is_valid(e.response) and e.input for r in records for e in r.profile)


def test_labels_of_ones_own_are_refused_with_those_that_there_are(tmp_path):
    rows = [(*row[:2], "oolong", row[3]) for row in teas(3)]
    text = refused(write(tmp_path / "t.csv", rows), "none of 15 answers can be read as task label", task="label")
    assert "found 'oolong' (15)" in text
    assert "sci-fi, based on a book" in text
    assert "healthy living" in text


def test_a_heading_stands_before_its_text(tmp_path):
    rows = [(*row, "Cup") for row in teas(3)]
    records = source(write(tmp_path / "t.csv", rows, (*HEADER, "name")), columns={"title": "name"}).records(seed=0)
    assert records[0].query == "Cup | tea 3 of p0"
    assert records[0].profile[0].input == "Cup | tea 0 of p0"


# --- filters and counts ----------------------------------------------------------------------------------------------


def test_what_is_left_out_is_counted(tmp_path):
    rows = [
        *teas(3),  # 15 good rows
        teas(1)[0],  # said before
        ("p0", "half a star", "4.5", "2021"), ("p0", "six stars", "6", "2021"), ("p1", "no stars", "", "2021"),
        ("", "nobody's tea", "3", "2021"), ("p1", "  ", "3", "2021"),
        ("p8", "one tea", "3", "2021"), ("p8", "two teas", "3", "2021"),
    ]  # fmt: skip
    rows += teas(3, cups=25)[:20]  # p0's cups 24 .. 5: so many good rows that two bad answers are no warning
    made = source(write(tmp_path / "t.csv", rows), max_rows=20)
    figures = made.figures(made.records(seed=0))
    assert figures == {
        "rows_read": 43,
        "rows_used": 20 + 5 + 5,
        "rows_without_user": 1,
        "rows_without_text": 1,
        "rows_without_answer": 1,
        "rows_with_unreadable_answer": 2,
        "rows_with_long_answer": 0,
        "rows_repeated": 1,
        "people_with_few_rows": 1,
        "rows_of_people_with_few_rows": 2,
        "rows_beyond_max_rows": 5,
        "people_beyond_max_users": 0,
        "texts_cut": 0,
        "golds_in_later_histories": 0,
        "golds_in_own_text": 0,
        "test_answers_seen_in_train": 0,
    }


def test_many_answers_that_cannot_be_read_are_a_warning(tmp_path):
    rows = [*teas(3), *((user, f"{text}!", "9", date) for user, text, _, date in teas(1))]
    with pytest.warns(UserWarning, match=r"5 of 20 answers cannot be read as task rating and are left out: '9' \(5\)"):
        source(write(tmp_path / "t.csv", rows)).records(seed=0)


def test_no_more_people_than_asked_for(tmp_path):
    made = source(write(tmp_path / "t.csv", teas(10)), max_users=4)
    records = made.records(seed=0)
    assert len({r.user_id for r in records}) == 4
    assert made.figures(records)["people_beyond_max_users"] == 6
    assert {r.user_id for r in made.records(seed=5)} != {r.user_id for r in records}


def test_a_cell_of_ten_megabytes_is_cut_and_an_answer_of_that_size_left_out(tmp_path):
    rows = [*teas(3), ("p0", "tea " * 2_500_000, "2", "2021"), ("p1", "short", "5" * 10_000_000, "2021")]
    made = source(write(tmp_path / "t.csv", rows))
    records = made.records(seed=0)
    assert max(len(r.query) for r in records) == 999  # of 1,000 the last is a space
    figures = made.figures(records)
    assert (figures["texts_cut"], figures["rows_with_long_answer"]) == (1, 1)


def test_texts_that_give_the_answer_away_and_copies_between_people_are_counted(tmp_path):
    rows = [(f"p{p}", f"{cup} says Steam", "Steam", "2020") for cup in "abc" for p in range(3)]
    made = source(write(tmp_path / "t.csv", rows), task="title", queries_per_user=1)
    records = made.records(seed=0)
    figures = made.figures(records)
    assert (figures["golds_in_own_text"], figures["test_answers_seen_in_train"]) == (3, 1)


# --- bad input -------------------------------------------------------------------------------------------------------


def test_a_missing_column_is_named_with_the_nearest(table):
    text = refused(table, "no column 'users'", columns={"user": "users"})
    assert text.endswith(
        "(data.columns.user). Did you mean data.columns.user='user'? Its columns: user, text, answer, date."
    )


@pytest.mark.parametrize(
    "name, content, match",
    [
        ("t.csv", b"", "t.csv: the file is empty, expected a table with user, text, answer, date"),
        ("t.csv", b"\n\n", "line 1 is blank"),
        ("t.csv", b'"user,text,answer,date\na,b,3,2020\n', "no column 'user'"),
        ("t.csv", b'user,text,answer,date\na,"b,3,2020\nc,d,4,2020\n', r"Row #2: Expected 4 columns, got 2"),
        ("t.csv", b"user,text,answer,date\n", "there are columns and no rows"),
        ("t.csv", b"user;text;answer;date\na;b;3;2020\n", "The header is one column: separate columns by commas"),
        ("t.csv", b"user,text,answer,date\na,b,3,2020\na,caf\xe9,3,2020\n", r"t.csv, line 3: b'\\xe9' is not UTF-8"),
        ("t.csv", b"user,te\xe9xt,answer,date\na,b,3,2020\n", r"line 1: b'\\xe9' is not UTF-8"),
        ("t.csv", b"user,text,answer,date\na,b,3,2020\na,b,c,3,2020\n", r"Row #3: Expected 4 columns, got 5"),
        ("t.csv", b"user,text,answer,date,user\na,b,3,2020,a\n", "'user' is the name of 2 columns"),
        ("t.jsonl", b'{"user": "a"}\n[1]\n', r"line 2: found '\[1\]', expected one JSON object per line"),
        ("t.jsonl", b'{"user": "a", \n', "line 1, column 16: Expecting .* where the line ends"),
        ("t.jsonl", b"\n \n", "there is no row in it"),
        ("t.jsonl", b'{"user": {"id": 3}}\n', r"line 1, column 'user': found \{'id': 3\}, expected text or a number"),
        ("t.jsonl", b'{"user": "a\\ud800"}\n', "column 'user': .* is half a character"),
        ("t.jsonl", b'{"user": "\xe9"}\n', "line 1: .* is not UTF-8"),
        ("t.jsonl", b'{"user": "a", "texte": "b", "answer": 3, "date": 1}\n', "Did you mean data.columns.text='texte'"),
        ("t.parquet", b"PAR1 cut off", "is no whole Parquet file"),
        ("t.xlsx", b"PK", "a file of kind '.xlsx', expected one of .csv, .tsv, .jsonl, .ndjson, .parquet"),
        ("t.csv", b"user,text,answer,date\na,,3,2020\n", "none of 1 rows is left .1 rows without a text."),
        ("t.csv", b"user,text,answer,date\na,b,good,2020\n", r"none of 1 answers can be read as task rating, found 'g"),
        ("t.csv", b"user,text,answer,date\na,b,3,2020\na,c,3,10/02/2020\n", "row 2: date is '10/02/2020', expected"),
        ("t.csv", b"user,text,answer,date\na,b,3,2020\n", "none of 1 people has data.min_rows=3 rows .* one has is 1"),
    ],
)  # fmt: skip
def test_files_that_are_not_what_they_should_be(name, content, match, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, match)


def test_too_few_people_for_three_splits(tmp_path):
    refused(write(tmp_path / "t.csv", teas(2)), "2 people leave nobody for test")


@pytest.mark.parametrize(
    "settings, match",
    [
        ({"task": "stars"}, "data.task=stars, expected one of rating, label, headline, title, text"),
        ({"columns": {"text": "answer"}}, "data.columns.text, data.columns.answer are all 'answer'"),
        ({"queries_per_user": 3}, "data.min_rows=3 leaves people without a history .* Set data.min_rows=4 or more"),
        ({"queries_per_user": 0}, "data.queries_per_user=0, expected 1 or more"),
        ({"max_rows": 2}, "data.max_rows=2 is below data.min_rows=3"),
        ({"max_users": 2}, "data.max_users=2, expected 3 or more"),
        ({"max_characters": 0}, "data.max_characters=0, expected 1 or more"),
    ],
)
def test_settings_that_cannot_be(settings, match, table):
    with pytest.raises(BadInputError, match=match):
        source(table, **settings)


# --- the stage -------------------------------------------------------------------------------------------------------


def test_the_records_stage_writes_records_counts_and_a_card(tmp_path, tagpr):
    path = write(tmp_path / "teas.csv", teas(10, cups=7), ("who", "text", "answer", "date"))
    command = (
        "experiment=lamp_small", "data=table", f"data.path={path}", "data.columns.user=who", "data.columns.date=date",
        "data.licence=CC0", f"paths.runs={tmp_path / 'runs'}", "logger=none", "until=records",
    )  # fmt: skip
    answer = tagpr(*command)
    assert answer.code == 0, answer.err
    (folder,) = (tmp_path / "runs" / "cache" / "records").glob("*/")
    records = read_records(folder)
    assert Counter(r.purpose for r in records) == {"sft": 6, "pairs": 6, "rl": 6, "dev": 6, "test": 6}
    assert all(len(r.retrieved) == len(r.profile) for r in records)
    counts = json.loads((folder / "manifest.json").read_text())["counts"]
    assert (counts["sibling_gold_entries"], counts["dropped_gold_entries"]) == (3 * 10, 3 * 6)
    assert (counts["rows_read"], counts["rows_used"], counts["people"], counts["own_entries"]) == (70, 70, 10, 0)
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    for line in (
        "# Data card: teas.csv",
        "- Licence: CC0",
        "- Columns: user = `who`, text = `text`, answer = `answer`, date = `date`.",
        # 4 to 6 earlier rows, of which those that are questions of another purpose are not read.
        "| train | 6 | 18 | 6 | 6 | 6 | 0 | 0 | 4.0 (4 to 4) |",
        "| dev | 2 | 6 | 0 | 0 | 0 | 6 | 0 | 5.0 (4 to 6) |",
        "## What was left out of 70 rows",
    ):
        assert line in card.splitlines(), card
    assert "tea 3" not in card
    assert str(tmp_path) not in card
    # Content counts, not the place; a changed row is another artifact.
    moved = path.rename(tmp_path / "moved.csv")
    again = [f"data.path={moved}" if part.startswith("data.path") else part for part in command]
    assert "0 stages computed, 1 reused" in tagpr(*again).out
    moved.write_text(moved.read_text() + "p0,one more,3,2021\n")
    assert "1 stages computed, 0 reused" in tagpr(*again).out
