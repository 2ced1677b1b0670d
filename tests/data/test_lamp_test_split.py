"""LaMP's official test set: read when it is asked for, whether or not its golds are there."""

import json
import runpy
import shutil
from pathlib import Path

import pytest

from tagpr.data.lamp import LampSource
from tagpr.errors import BadInputError

FIXTURES = Path(__file__).parents[1] / "fixtures"
MAKER = runpy.run_path(str(FIXTURES / "make_lamp_mini.py"))


def source(root, report="test", tasks=()):
    return LampSource(
        root=str(root), tasks=tasks, report=report, people_shares={"train": 60, "dev": 20, "test": 20},
        question_shares={"sft": 50, "pairs": 20, "rl": 30}, folds=None, fold=0,
        drop_golds_from=["sft", "pairs", "rl"],
    )  # fmt: skip


@pytest.fixture
def root(tmp_path):
    """LaMP_3 with 12 train people, 4 dev people, and 5 test people without golds."""
    shutil.copytree(FIXTURES / "lamp_mini" / "LaMP_3", tmp_path / "LaMP_3")
    MAKER["write_withheld_test"](tmp_path, "LaMP_3", range(16, 21))
    return tmp_path


def ids(records, split):
    return [record.record_id for record in records if record.split == split]


def test_test_is_what_is_reported_and_selection_stays_on_people_of_train(root):
    records = list(source(root).records(seed=0))
    assert ids(records, "test") == ["320", "321", "322", "323", "324"]
    assert {record_id[:2] for record_id in ids(records, "train") + ids(records, "dev")} == {"30"}
    assert all((record.gold is None) == (record.split == "test") for record in records)
    by_dev = list(source(root, "dev").records(seed=0))
    assert ids(by_dev, "test") == ["310", "311", "312", "313"]
    # 12 people of train at 60 : 20, whichever split is reported
    assert [len(ids(records, split)) for split in ("train", "dev")] == [9, 3]
    assert ids(records, "train") == ids(by_dev, "train")


def test_only_what_is_read_is_named_as_a_source(root):
    named = [str(path.relative_to(root / "LaMP_3")) for path in source(root).files()]
    assert named == ["train/train_questions.json", "train/train_outputs.json", "test/test_questions.json"]


def test_golds_are_used_where_they_are_there(root):
    golds = [{"id": f"32{i}", "output": "4"} for i in range(5)]
    (root / "LaMP_3" / "test" / "test_outputs.json").write_text(json.dumps({"task": "LaMP_3", "golds": golds}))
    assert [r.gold for r in source(root).records(seed=0) if r.split == "test"] == ["4"] * 5


def test_the_task_of_withheld_golds_is_that_of_the_split_beside_them(root, tmp_path):
    shutil.copytree(FIXTURES / "lamp_mini" / "LaMP_2", tmp_path / "flat", ignore=lambda *_: ["new"])
    MAKER["write_withheld_test"](tmp_path, "LaMP_2N", range(6, 9))
    shutil.move(tmp_path / "LaMP_2" / "test", tmp_path / "flat" / "test")
    records = list(source(tmp_path / "flat").records(seed=0))
    assert {record.task for record in records} == {"LaMP_2N"}
    assert [record.user_id for record in records if record.split == "test"] == [f"author_of_22{i}" for i in range(3)]


def test_withheld_golds_are_excused_in_the_test_set_alone(root):
    (root / "LaMP_3" / "train" / "train_outputs.json").unlink()
    with pytest.raises(BadInputError, match=r"train_questions.json: its golds are missing"):
        source(root).records(seed=0)


def test_what_cannot_be_reported_is_said(root):
    for split in ("train", "dev"):
        shutil.rmtree(root / "LaMP_3" / split)
    with pytest.raises(BadInputError, match=r"test_questions.json: its golds are missing"):
        source(root).records(seed=0)
    with pytest.raises(BadInputError, match=r"holds LaMP's test set alone\. .*data.report=test"):
        source(root, "dev").records(seed=0)
    with pytest.raises(BadInputError, match=r"data.report=tset, expected one of dev, test"):
        source(root, "tset")
    with pytest.raises(BadInputError, match=r"data.report=test, but there is no test_questions.json, only train, dev"):
        source(FIXTURES / "lamp_mini" / "LaMP_3").records(seed=0)


def test_people_of_train_keep_out_of_their_test_questions_and_selection_does_too(root):
    """LaMP's time-based form: the same people in every split."""
    for split, number in (("train", 10), ("test", 10)):
        path = root / "LaMP_3" / split / f"{split}_questions.json"
        questions = json.loads(path.read_text())[:number]
        for person, question in enumerate(questions):
            question["user_id"] = f"u{person % 5}"
        path.write_text(json.dumps(questions))
    outputs = root / "LaMP_3" / "train" / "train_outputs.json"
    golds = json.loads(outputs.read_text())
    outputs.write_text(json.dumps({**golds, "golds": golds["golds"][:10]}))
    with pytest.warns(UserWarning, match="4 questions of LaMP's test set are left out"):
        records = list(source(root).records(seed=0))
    assert [len(ids(records, split)) for split in ("train", "dev", "test")] == [6, 2, 1]
    assert {r.record_id[:2] for r in records if r.split == "dev"} == {"30"}


def test_two_tasks_in_one_folder_are_an_error(root):
    shutil.rmtree(root / "LaMP_3" / "test")
    shutil.copytree(FIXTURES / "lamp_mini" / "LaMP_7" / "dev", root / "LaMP_3" / "dev", dirs_exist_ok=True)
    with pytest.raises(
        BadInputError,
        match=r"dev_outputs.json: with its questions it is LaMP_7's, but .*outputs.json is LaMP_3's",
    ):
        source(root, "dev").records(seed=0)
