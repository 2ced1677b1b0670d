"""tagpr.prmu.imported_pairs and its stage: TRL's preference format, whole and damaged, as pairs that PRMU trains on."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.context import StageContext
from tagpr.errors import BadInputError
from tagpr.prmu.imported_pairs import (
    IMPORTED,
    brought_people,
    drop_repeats,
    match_mirrors,
    read_sides,
)
from tagpr.prmu.imported_stage import ImportedPairSettings, ImportWarning, run
from tagpr.prmu.pairs import N1
from tagpr.storage import read_json, read_pairs, read_parquet
from tagpr.types import PreferencePair

USER, ASSISTANT = "user", "assistant"


def said(*turns):
    return [{"role": role, "content": text} for role, text in turns]


ASKED = said((USER, "What sky?"))
BLUE, GREEN = said((ASSISTANT, "It is blue.")), said((ASSISTANT, "It is green."))


@pytest.mark.parametrize(
    "row, expected",
    [
        ({"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}, ("The sky is", "blue.", "green.")),
        ({"chosen": "The sky is blue.", "rejected": "The sky is green."}, ("The sky is", "blue.", "green.")),
        # "b" is not half of the prompt
        ({"chosen": "The sky is blue", "rejected": "The sky is black"}, ("The sky is", "blue", "black")),
        ({"prompt": ASKED, "chosen": BLUE, "rejected": GREEN}, ("What sky?", "It is blue.", "It is green.")),
        ({"chosen": ASKED + BLUE, "rejected": ASKED + GREEN}, ("What sky?", "It is blue.", "It is green.")),
        # a prompt in text beside conversations that repeat it, as some published sets have it
        (
            {"prompt": "What sky?", "chosen": ASKED + BLUE, "rejected": ASKED + GREEN},
            ("What sky?", "It is blue.", "It is green."),
        ),
        (
            {"prompt": said(("system", "Be kind."), (USER, "Sky?")), "chosen": BLUE, "rejected": GREEN},
            ("Sky?", "It is blue.", "It is green."),
        ),
        (
            {"prompt": said((USER, "Sky?"), (ASSISTANT, "Yes?"), (USER, "Colour?")), "chosen": BLUE, "rejected": GREEN},
            ("user : Sky?\nassistant : Yes?\nuser : Colour?", "It is blue.", "It is green."),
        ),
    ],
)  # fmt: skip
def test_every_form_of_trl(row, expected):
    assert read_sides(row, where="row 1") == expected


def test_implicit_prompts_agree_with_trl_where_it_cuts_between_words():
    extract_prompt = pytest.importorskip("trl.data_utils").extract_prompt
    for row in (
        {"chosen": "The sky is blue.", "rejected": "The sky is green."},
        {"chosen": ASKED + BLUE, "rejected": ASKED + GREEN},
    ):
        theirs = extract_prompt(row)
        assert read_sides(row, where="") == read_sides(theirs, where="")


@pytest.mark.parametrize(
    "row, expected",
    [
        ({"prompt": "a", "chosen": "b"}, "row 1: the column 'rejected' is missing"),
        ({"prompt": "a", "chosen": 3, "rejected": "c"}, "row 1: the column 'chosen' holds '3'"),
        ({"prompt": "a", "chosen": [], "rejected": "c"}, "row 1: the column 'chosen' holds '[]'"),
        ({"prompt": "a", "chosen": [{"role": USER}], "rejected": "c"}, "expected text or messages"),
        ({"prompt": "a", "chosen": "b", "rejected": GREEN}, "one of 'chosen' and 'rejected' is text"),
        ({"prompt": " ", "chosen": "b", "rejected": "c"}, "row 1: nothing is left of 'prompt'"),
        ({"prompt": "a", "chosen": "", "rejected": "c"}, "row 1: nothing is left of 'chosen'"),
        ({"prompt": "a", "chosen": "b ", "rejected": "b"}, "row 1: 'chosen' and 'rejected' say the same"),
        ({"chosen": "up", "rejected": "down"}, "do not begin alike"),
        ({"chosen": BLUE, "rejected": GREEN}, "row 1: nothing is left of 'prompt'"),
        ({"chosen": "same words", "rejected": "same words"}, "row 1"),
    ],
    ids=str,
)
def test_damaged_sides_are_named(row, expected):
    with pytest.raises(BadInputError) as error:
        read_sides(row, where="row 1")
    assert expected in str(error.value)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_two_texts_are_split_or_refused(chosen, rejected):
    try:
        prompt, first, second = read_sides({"chosen": chosen, "rejected": rejected}, where="row 1")
    except BadInputError:
        return
    assert chosen.split() == [*prompt.split(), *first.split()]
    assert rejected.split() == [*prompt.split(), *second.split()]


def pair(user, chosen, rejected, query="q"):
    return PreferencePair(
        record_id=f"{user}-{query}", user_id=user, task="S5", query=query, chosen=chosen, rejected=rejected,
        negative_type=IMPORTED,
    )  # fmt: skip


def test_opposite_views_are_each_others_mirror():
    ann, bob, cy, other = pair("ann", "a", "b"), pair("bob", "b", "a"), pair("cy", "b", "a"), pair("dan", "b", "a", "p")
    found = match_mirrors([ann, bob, cy, other])
    assert [one.negative_type for one in found] == [N1, N1, IMPORTED, IMPORTED]
    assert (found[0].other_record_id, found[1].other_record_id) == ("bob-q", "ann-q")


def test_a_person_who_says_both_is_not_believed():
    kept, removed = drop_repeats(
        [pair("ann", "a", "b"), pair("ann", "b", "a"), pair("bob", "a", "b"), pair("bob", "a", "b")]
    )
    assert [one.user_id for one in kept] == ["bob"]
    assert removed == {"contradicted": 2, "duplicate": 1}


def rows(num_people=20, num_queries=12):
    """Half of the people like it short, the others long: opposite views of every question."""
    found = []
    for person in range(num_people):
        short = person % 2 == 0
        for query in range(num_queries):
            sides = [f"night {query}", f"a long and quiet night {query}"]
            found.append(
                {
                    "user_id": f"u{person}", "prompt": f"tell of night {query}", "chosen": sides[not short],
                    "rejected": sides[short],
                    "history": [{"input": "a day", "output": "day" if short else "a long day"}],
                }
            )  # fmt: skip
    return found


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def settings(path, **changes):
    values = {
        "histories": None, "user_column": "user_id", "task": "S5", "dev_people_share": 0.3, "dev_query_share": 0.25,
        "max_pairs": 500, "shortcut_limit": 0.65,
    }  # fmt: skip
    return ImportedPairSettings(path=str(path), **{**values, **changes})


def import_into(output, path, **changes):
    return run(
        pairs=settings(path, **changes),
        inputs={},
        output=output,
        context=StageContext(stage="pairs", seed=0, checkpoints=output),
    )


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """(folder, counts) of a file that is in order."""
    folder = tmp_path_factory.mktemp("imported")
    return folder / "out", import_into(folder / "out", write(folder / "pairs.jsonl", rows()))


def test_people_and_queries_are_split(imported):
    folder, counts = imported
    train, dev = read_pairs(folder, ["train"]), read_pairs(folder, ["dev"])
    assert train
    assert dev
    assert not {p.user_id for p in train} & {p.user_id for p in dev}
    assert not {p.query for p in train} & {p.query for p in dev}
    assert counts["removed_query_on_both_sides"] == 20 * 12 - len(train) - len(dev)
    assert counts["people"] == 20
    assert read_parquet(folder / "samples.parquet") == []


def test_opposite_people_make_personal_pairs(imported):
    folder, _ = imported
    for split in ("train", "dev"):
        pairs = {p.record_id: p for p in read_pairs(folder, [split])}
        personal = [p for p in pairs.values() if p.negative_type == N1]
        assert personal
        for one in personal:
            other = pairs[one.other_record_id]
            assert (other.chosen, other.rejected, other.other_record_id) == (one.rejected, one.chosen, one.record_id)
    # a shortcut sees no user: on mirrored pairs it is at one half
    assert read_json(folder / "shortcuts.json")["accuracy"]["length"][N1] == 0.5


def test_the_people_come_along(imported):
    folder, _ = imported
    records = {record.record_id: record for record in brought_people(folder)}
    for one in read_pairs(folder):
        record = records[one.record_id]
        assert (record.user_id, record.query, record.split, record.gold) == (one.user_id, one.query, one.split, None)
        assert record.profile[0].response in ("day", "a long day")
    assert brought_people(folder / "nowhere") == []


def test_the_same_pairs_from_parquet_and_from_a_histories_file(imported, tmp_path):
    table = pa.Table.from_pylist(rows())
    pq.write_table(table, tmp_path / "pairs.parquet")
    assert import_into(tmp_path / "a", tmp_path / "pairs.parquet") == imported[1]
    bare = [{k: v for k, v in row.items() if k != "history"} for row in rows()]
    people = {row["user_id"]: {"user_id": row["user_id"], "history": row["history"]} for row in rows()}
    histories = write(tmp_path / "histories.jsonl", people.values())
    path = write(tmp_path / "bare.jsonl", bare)
    assert import_into(tmp_path / "b", path, histories=str(histories)) == imported[1]
    assert read_pairs(tmp_path / "b") == read_pairs(imported[0])


def test_what_limits_the_pairs_is_said(tmp_path):
    alike = [row for row in rows() if int(row["user_id"][1:]) % 2 == 0]
    with pytest.warns(ImportWarning) as found:
        import_into(tmp_path / "out", write(tmp_path / "pairs.jsonl", alike))
    said = " ".join(str(one.message) for one in found)
    assert "length on imported: 1.000" in said
    assert "swap accuracy" in said


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"user_id": None}, "pairs.jsonl:2: the column 'user_id' is missing, which says whose"),
        ({"history": None}, "pairs.jsonl:2: the column 'history' is missing"),
        ({"history": [{"input": "x"}]}, "pairs.jsonl:2: history[0] is"),
        ({"task": "S55"}, "pairs.jsonl:2: 'S55' is no task"),
        ({"chosen": None}, "pairs.jsonl:2: the column 'chosen' is missing"),
        ({"rejected": "night 1"}, "pairs.jsonl:2: 'chosen' and 'rejected' say the same"),
    ],
    ids=str,
)
def test_damaged_rows_are_named(change, expected, tmp_path):
    lines = rows()
    lines[1].update(change)
    with pytest.raises(BadInputError) as error:
        import_into(tmp_path / "out", write(tmp_path / "pairs.jsonl", lines))
    assert expected in str(error.value)
    assert not (tmp_path / "out").exists()


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut off")
    for name, expected in (("cut.parquet", "not a Parquet file"), ("a.csv", "expected .jsonl or .parquet")):
        with pytest.raises(BadInputError, match=expected):
            import_into(tmp_path / "out", tmp_path / name)
    pq.write_table(pa.table({"chosen": pa.array([], pa.string())}), tmp_path / "none.parquet")
    with pytest.raises(BadInputError, match="no rows"):
        import_into(tmp_path / "out", tmp_path / "none.parquet")
    one_person = [row for row in rows() if row["user_id"] == "u1"]
    with pytest.raises(BadInputError, match="by 1 people"):
        import_into(tmp_path / "out", write(tmp_path / "one.jsonl", one_person))
    missing = write(tmp_path / "some.jsonl", [{"user_id": "u0", "history": []}])
    path = write(tmp_path / "pairs.jsonl", rows())
    with pytest.raises(BadInputError, match=r"pairs.jsonl:13: user 'u1' has no history in .*some.jsonl"):
        import_into(tmp_path / "out", path, histories=str(missing))


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_shares_are_shares(share):
    with pytest.raises(BadInputError, match="expected a share"):
        settings("x", dev_people_share=share)


def test_a_run_says_what_it_needs(tagpr, tmp_path):
    answer = tagpr("experiment=demo", "pairs=imported", "plan=true", f"paths.runs={tmp_path}")
    assert answer.code == 1
    assert "pairs=imported needs pairs.path" in answer.err
    told = ["pairs.path=gone.jsonl", "pairs.task=S5"]
    assert "pairs.path=gone.jsonl is not a file" in tagpr("experiment=demo", "pairs=imported", *told, "plan=true").err


@pytest.mark.slow
def test_prmu_learns_from_imported_pairs(tagpr, tmp_path):
    path = write(tmp_path / "pairs.jsonl", rows())
    told = ["experiment=demo", "data.size=smoke", "prmu.steps=40", "pairs=imported", f"pairs.path={path}"]
    told.append("pairs.task=S5")
    answer = tagpr(*told, "until=prmu", f"paths.runs={tmp_path}")
    assert answer.code == 0, answer.err
    (folder,) = [place for place in (tmp_path / "cache" / "prmu").iterdir() if place.is_dir()]
    manifest = read_json(folder / "manifest.json")
    assert set(manifest["inputs"]) == {"records", "pairs"}
    # people unlike those it was trained on, told apart by their pasts alone
    assert manifest["counts"]["unseen_swap_accuracy"] > 0.6
    assert brought_people(folder)
