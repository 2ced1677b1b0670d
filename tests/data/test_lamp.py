import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tagpr.data.lamp import LampSource, assign_splits, name_people, outline
from tagpr.data.lamp_files import LampQuestion, oldest_first
from tagpr.data.splits import Fold
from tagpr.errors import BadInputError
from tagpr.tasks import task_named
from tagpr.types import ProfileEntry

FIXTURE = Path(__file__).parents[1] / "fixtures" / "lamp_mini"
PEOPLE = {"train": 60, "dev": 20, "test": 20}


def source(root, tasks=(), report="dev"):
    return LampSource(
        root=str(root),
        tasks=tasks,
        report=report,
        people_shares=PEOPLE,
        folds=None,
        fold=0,
        question_shares={"sft": 50, "pairs": 20, "rl": 30},
        drop_golds_from=["sft", "pairs", "rl"],
    )


def review(number, *, user=None, score="4", **other):
    question = {
        "id": str(number),
        "input": f"What is the score of the following review on a scale of 1 to 5? just answer with 1, 2, 3, 4, or 5 "
        f"without further explanation. review: text {number}",
        "profile": [{"id": f"{number}0", "text": f"earlier text {number}", "score": score}],
        **other,
    }
    return question if user is None else {**question, "user_id": user}


def write(folder, questions, golds=None, *, task="LaMP_3", split="dev"):
    folder.mkdir(parents=True, exist_ok=True)
    if golds is None:
        golds = [{"id": q["id"], "output": "4"} for q in questions]
    (folder / f"{split}_questions.json").write_text(json.dumps(questions), encoding="utf-8")
    (folder / f"{split}_outputs.json").write_text(json.dumps({"task": task, "golds": golds}), encoding="utf-8")
    return folder


def people_of(records):
    return {split: {r.user_id for r in records if r.split == split} for split in ("train", "dev", "test")}


def test_every_task_of_the_official_layout_is_found():
    records = list(source(FIXTURE).records(seed=0))
    assert Counter(r.task for r in records) == {
        **dict.fromkeys(["LaMP_1", "LaMP_2", "LaMP_4", "LaMP_5", "LaMP_7"], 6),
        "LaMP_2N": 12,
        "LaMP_3": 16,
    }
    assert list(source(FIXTURE).records(seed=0)) == records
    splits = defaultdict(set)
    for record in records:
        splits[record.user_id].add(record.split)
        assert record.purpose == record.split or record.split == "train"
    assert all(len(seen) == 1 for seen in splits.values())


def test_authors_without_user_id_are_told_by_their_profiles():
    records = list(source(FIXTURE, ["LaMP_2N"]).records(seed=0))
    assert Counter(Counter(r.user_id for r in records).values()) == {2: 6}
    assert {r.user_id for r in records} == {f"author_of_2{'1'}{i}" for i in range(0, 12, 2)}


def test_official_train_gives_train_and_dev_people_and_official_dev_the_test_rows():
    records = list(source(FIXTURE, ["LaMP_3"]).records(seed=0))
    by_split = {split: {r.record_id for r in records if r.split == split} for split in ("train", "dev", "test")}
    assert {record_id[:2] for record_id in by_split["train"] | by_split["dev"]} == {"30"}
    assert by_split["test"] == {"310", "311", "312", "313"}
    assert (len(by_split["train"]), len(by_split["dev"])) == (9, 3)


def test_only_the_tasks_asked_for_are_read(tmp_path):
    write(tmp_path / "LaMP_3", [review(i, user=f"u{i}") for i in range(5)])
    (tmp_path / "LaMP_5").mkdir()
    (tmp_path / "LaMP_5" / "dev_questions.json").write_text("not read", encoding="utf-8")
    (tmp_path / "LaMP_5" / "dev_outputs.json").write_text('{"task": "LaMP_5", "golds": []}', encoding="utf-8")
    assert len(source(tmp_path, ["LaMP_3"]).records(seed=0)) == 5
    assert [path.parent.name for path in source(tmp_path, ["LaMP_3"]).files()] == ["LaMP_3", "LaMP_3"]


def test_a_flat_folder_with_user_ids_and_an_unofficial_instruction(tmp_path):
    questions = [review(i, user=f"u{i % 3}") for i in range(12)]
    for question in questions:
        question["input"] = f"How many stars? movie: text {question['id']}"
    golds = [{"id": str(i), "output": value} for i, value in enumerate(["5", 5, "5.0"] * 4)]
    records = list(source(write(tmp_path, questions, golds)).records(seed=0))
    assert {r.gold for r in records} == {"5"}
    assert {r.query for r in records} == {f"text {i}" for i in range(12)}
    assert {len(people) for people in people_of(records).values()} == {1}
    assert Counter(r.purpose for r in records if r.split == "train") == {"sft": 2, "pairs": 1, "rl": 1}


def test_a_task_can_be_named_by_its_folder(tmp_path):
    folder = write(tmp_path / "LaMP_3", [review(i, user=f"u{i}") for i in range(5)], task=None)
    assert {r.task for r in source(folder).records(seed=0)} == {"LaMP_3"}


def test_people_in_both_official_splits_stay_on_one_side(tmp_path):
    write(tmp_path, [review(i, user=f"u{i}") for i in range(10)], split="train")
    write(tmp_path, [review(100 + i, user=f"u{i}") for i in range(10)], split="dev")
    records = list(source(tmp_path).records(seed=0))
    people = people_of(records)
    assert {split: len(ids) for split, ids in people.items()} == {"train": 6, "dev": 2, "test": 2}
    assert not people["train"] & (people["dev"] | people["test"])
    assert all((int(r.record_id) < 100) == (r.split == "train") for r in records)


def test_the_official_test_set_is_left_alone(tmp_path):
    for split, first in (("train", 0), ("dev", 100), ("test", 200)):
        write(tmp_path, [review(first + i, user=f"u{first + i}") for i in range(6)], split=split)
    (tmp_path / "test_outputs.json").unlink()
    assert all(int(r.record_id) < 200 for r in source(tmp_path).records(seed=0))


def folded(root, fold):
    return LampSource(
        root=str(root), tasks=(), report="dev", people_shares=PEOPLE, folds=3, fold=fold,
        question_shares={"sft": 50, "pairs": 20, "rl": 30}, drop_golds_from=["sft", "pairs", "rl"],
    ).records(seed=0)  # fmt: skip


def test_over_the_folds_everybody_is_tested_once(tmp_path):
    write(tmp_path, [review(i, user=f"u{i % 9}") for i in range(18)])
    tested = [{r.user_id for r in folded(tmp_path, fold) if r.split == "test"} for fold in range(3)]
    assert [len(people) for people in tested] == [3, 3, 3]
    assert set.union(*tested) == {f"u{i}" for i in range(9)}


def test_people_whom_the_official_splits_divide_have_no_folds():
    with pytest.raises(BadInputError, match=r"data\.folds=3, but the people of train and dev are different ones"):
        folded(FIXTURE / "LaMP_3", 0)


def test_profiles_are_sorted_by_date_where_every_entry_has_one():
    def entries(*dates):
        return [ProfileEntry(entry_id=str(i), input="t", response="5", date=date) for i, date in enumerate(dates)]

    assert [e.date for e in oldest_first(entries("2015-10-02", "2015-9-30", "2014"))] == [
        "2014",
        "2015-9-30",
        "2015-10-02",
    ]
    assert [e.date for e in oldest_first(entries("2015", "", "2014"))] == ["2015", "", "2014"]


def test_named_and_unnamed_people_can_stand_together():
    def asked(record_id, user_id, texts):
        return LampQuestion(
            record_id=record_id,
            user_id=user_id,
            official_split="dev",
            question="q",
            query=f"q{record_id}",
            gold="5",
            profile=tuple(ProfileEntry(entry_id="", input=text, response="5") for text in texts),
        )

    asked_by = [asked("1", "", "abc"), asked("2", "ann", "xyz"), asked("3", "", "abd")]
    questions = name_people([outline(task_named("LaMP_3"), question) for question in asked_by])
    assert [q.user_id for q in questions] == ["author_of_1", "ann", "author_of_1"]
    assert set(assign_splits(questions, PEOPLE, Fold(count=None, index=0), seed=0)) == {
        ("dev", "1"),
        ("dev", "2"),
        ("dev", "3"),
    }


# --- what is wrong with a file is said with its place -----------------------------------------------------------------

GOOD = [review(i, user=f"u{i}") for i in range(5)]


def broken(folder, *, questions=None, outputs=None):
    write(folder, GOOD)
    for name, data in (("dev_questions.json", questions), ("dev_outputs.json", outputs)):
        if data is not None:
            (folder / name).write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return folder


def golds(*pairs, task="LaMP_3"):
    return {"task": task, "golds": [{"id": i, "output": o} for i, o in pairs]}


ALL_GOLDS = [(str(i), "4") for i in range(5)]
WITHOUT_TEXT = [{**GOOD[0], "profile": [{"id": "7", "score": "4"}]}, *GOOD[1:]]
OLD_FIELDS = [{**GOOD[0], "profile": [{"id": "7", "text": "t", "title": "h", "category": "sports"}]}]
NO_PROFILE = [{k: v for k, v in GOOD[0].items() if k != "profile"}]
MOVIES_WITH_NEWS = [
    {
        "id": "0",
        "input": "x",
        "profile": [{"id": "1", "description": "d", "tag": "comedy"}, OLD_FIELDS[0]["profile"][0]],
    }
]

BAD_FILES = {
    "HTML": ({"questions": b"  <!DOCTYPE html><html>"}, "web page.*check it and download again"),
    "empty": ({"questions": b"\n "}, "dev_questions.json: the file is empty"),
    "cut off": ({"questions": json.dumps(GOOD).encode()[:-40]}, "ends in the middle of a value.*cut off"),
    "cut off between values": ({"questions": b'[{"id": "1", '}, "ends in the middle of a value"),
    "no JSON": ({"outputs": b'{"task": LaMP}'}, "dev_outputs.json, line 1, column 10: Expecting value"),
    "latin-1": ({"questions": b'[{"id": "1",\n "input": "caf\xe9"}]'}, "line 2, byte .*not UTF-8.*iconv"),
    "nested": ({"questions": b"[" * 200_000}, "nested too deeply"),
    "no list": ({"questions": {"id": "1"}}, "begins with .* expected a list of questions"),
    "no questions": ({"questions": []}, "the list of questions is empty"),
    "no object": ({"questions": ["a"]}, "question 0: found 'a'"),
    "no id": ({"questions": [{"input": "x"}]}, "question 0: id is missing"),
    "no input": ({"questions": [{"id": 0, "input": " ", "profile": []}]}, 'id 0: input is " "'),
    "no profile": ({"questions": NO_PROFILE}, "id 0: profile is missing, expected a list"),
    "same id twice": ({"questions": [*GOOD, GOOD[3]]}, "id 3: stands there twice"),
    "same gold twice": ({"outputs": golds(*ALL_GOLDS, ("3", "4"))}, "dev_outputs.json, id 3: stands there twice"),
    "no golds": ({"outputs": {"task": "LaMP_3"}}, 'found an object with .task., expected {"task"'),
    "no output": ({"outputs": {"golds": [{"id": "1"}]}}, "id 1: no output, only id"),
    "question without gold": ({"outputs": golds(*ALL_GOLDS[:3])}, "2 of 5 questions have no gold .*: 3, 4"),
    "gold without question": ({"outputs": golds(*ALL_GOLDS, ("8", "4"))}, "1 of 6 golds have no question .*: 8"),
    "unknown label": ({"outputs": golds(("0", "six"), *ALL_GOLDS[1:])}, "id 0: score 'six' is not a whole number"),
    "unknown task": ({"outputs": golds(*ALL_GOLDS, task="LaMP_33")}, "'LaMP_33' is no task.*Did you mean 'LaMP_3'"),
    "another task": ({"outputs": golds(*ALL_GOLDS, task="LaMP_5")}, "id 0, profile entry 0: .*'abstract'.*LaMP_5"),
    "entry without text": ({"questions": WITHOUT_TEXT}, "id 0, profile entry 0: field 'text': it is missing"),
    "entry of another task": (
        {"questions": MOVIES_WITH_NEWS, "outputs": golds(("0", "comedy"), task="LaMP_2")},
        "profile entry 1: field 'description'.*id, text, title, category .*LaMP_2;",
    ),
    "half a character": ({"questions": [{**GOOD[0], "input": "review: \ud83d"}, *GOOD[1:]]}, "half a character"),
    "one person": ({"questions": GOOD[:1], "outputs": golds(*ALL_GOLDS[:1])}, "questions of 1 people leave nobody"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_an_error_that_names_the_place(tmp_path, case):
    files, message = BAD_FILES[case]
    with pytest.raises(BadInputError, match=message) as caught:
        source(broken(tmp_path / "LaMP_3", **files)).records(seed=0)
    assert "LaMP_3" in str(caught.value)


def test_missing_folders_and_files_say_what_to_put_where(tmp_path):
    with pytest.raises(BadInputError, match=r"does not exist.*Set data.root="):
        source(tmp_path / "nowhere").records(seed=0)
    with pytest.raises(BadInputError, match=r"no questions found. Expected .*dev_questions.json"):
        source(tmp_path).records(seed=0)
    (write(tmp_path, GOOD) / "dev_outputs.json").unlink()
    with pytest.raises(BadInputError, match=r"its golds are missing, expected .*dev_outputs.json"):
        source(tmp_path).records(seed=0)


def test_a_task_that_is_not_there_or_not_known_is_an_error(tmp_path):
    write(tmp_path, GOOD)
    with pytest.raises(BadInputError, match="no LaMP_5 there, found LaMP_3"):
        source(tmp_path, ["LaMP_5"]).records(seed=0)
    with pytest.raises(BadInputError, match="Did you mean 'LaMP_5'"):
        source(tmp_path, ["LaMP5"])


def test_two_folders_of_one_task_are_an_error(tmp_path):
    write(tmp_path / "a", GOOD)
    write(tmp_path / "b", GOOD)
    with pytest.raises(BadInputError, match=r"b: holds LaMP_3, and so does .*a"):
        source(tmp_path).records(seed=0)


def test_one_id_in_two_official_splits_is_an_error(tmp_path):
    write(tmp_path, GOOD, split="train")
    write(tmp_path, [review(i, user=f"v{i}") for i in range(5)], split="dev")
    with pytest.raises(BadInputError, match="id 0 stands in train and in dev"):
        source(tmp_path).records(seed=0)
