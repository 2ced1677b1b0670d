"""LaMP's seven public tasks in both forms: records and prompts of all fourteen, every stage of two."""

import json
import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tagpr.data.lamp import LampSource
from tagpr.data.prompts import CompactStyle, PromptBuilder
from tagpr.data.retrieval import BM25Retriever
from tagpr.lm.backbone import ShippedBackbone
from tagpr.tasks import ALL_TASKS, task_named

ROOT = Path(__file__).parents[2]
TASKS = [name for name in ALL_TASKS if name.startswith("LaMP")]
FORMS = ("user", "time")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("forms")
    runpy.run_path(str(ROOT / "tests" / "fixtures" / "make_lamp_mini.py"))["write_lamp_forms"](folder)
    return folder


@pytest.fixture(scope="module")
def builder() -> PromptBuilder:
    style = CompactStyle(thinking=True, history_tokens=192, entry_tokens=48, query_tokens=64, order="time")
    return PromptBuilder(style=style, tokenizer=ShippedBackbone(dtype="float32", attention="two_part").tokenizer())


def records_of(files: Path, form: str, task: str):
    return LampSource(
        root=str(files / form), tasks=[task], report="dev", people_shares={"train": 60, "dev": 20, "test": 20},
        folds=None, fold=0, question_shares={"sft": 50, "pairs": 20, "rl": 30},
        drop_golds_from=["sft", "pairs", "rl"],
    ).records(seed=0)  # fmt: skip


def test_there_are_seven_tasks():
    assert set(TASKS) == {"LaMP_1", "LaMP_2", "LaMP_2N", "LaMP_3", "LaMP_4", "LaMP_5", "LaMP_7"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", TASKS)
def test_records_and_prompts(files, builder, name, form):
    records, task = records_of(files, form, name), task_named(name)
    people = {split: {r.user_id for r in records if r.split == split} for split in ("train", "dev", "test")}
    # user: 56 train people as 60 to 20, the 8 dev people; time: 40 people as 60 to 20 to 20
    expected = {"user": [42, 14, 8], "time": [24, 8, 8]}[form]
    assert [len(of_split) for of_split in people.values()] == expected
    assert len(set.union(*people.values())) == sum(expected)
    assert {r.purpose for r in records} == {"sft", "pairs", "rl", "dev", "test"}
    for record in records:
        assert task.read_question(record.question).recognised
        prompt = builder.build(replace(record, retrieved=BM25Retriever(k=4).rank(record, task, seed=0)))
        assert prompt.history
        assert len(prompt.history) + prompt.num_dropped == 4
        assert task.cue in prompt.text
        assert task.is_valid(record.gold or "")
    dates = [entry.date for record in records for entry in record.profile]
    if form == "user":
        assert not any(dates)
        return
    # 5 entries and 3 questions come before a dev question; 5, 6 or 7 entries before a train question
    assert {len(r.profile) for r in records if r.split == "test"} == {8}
    assert {len(r.profile) for r in records if r.split == "train"} == {5, 6, 7}
    form_of_dates = r"\d{4}" if name in ("LaMP_1", "LaMP_5") else r"\d{4}-\d{2}-07"
    assert all(re.fullmatch(form_of_dates, date) for date in dates)


def test_the_files_have_the_benchmarks_form(files):
    for task in TASKS:
        place = {"LaMP_2": "LaMP_2/new", "LaMP_2N": "LaMP_2"}.get(task, task)
        people: dict[str, set[str]] = {}
        for form in FORMS:
            for split in ("train", "dev", "test"):
                folder = files / form / place / split
                questions = json.loads((folder / f"{split}_questions.json").read_text())
                assert all(("user_id" in one) == (form == "time") for one in questions)
                assert (folder / f"{split}_outputs.json").exists() == (split != "test")
                people[f"{form}/{split}"] = {one.get("user_id", one["id"]) for one in questions}
        assert people["time/train"] == people["time/dev"] == people["time/test"]
        assert not people["user/train"] & people["user/dev"]


@pytest.mark.slow
@pytest.mark.parametrize("name, form", [("LaMP_1", "time"), ("LaMP_7", "user")])
def test_every_stage_to_one_table_row(files, tmp_path, tagpr, capsys, monkeypatch, name, form):
    answer = tagpr(
        "experiment=lamp_smoke", f"data.root={files / form}", f"data.tasks=[{name}]", f"run_name={form}",
        f"paths.runs={tmp_path}", "logger=none", "trainer.threads=1",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    monkeypatch.setattr(sys, "argv", ["table.py", str(tmp_path)])
    runpy.run_path(str(ROOT / "experiments" / "lamp_forms" / "table.py"), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert printed[2].startswith(f"| {name} | {form} | ")
