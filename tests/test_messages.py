"""The wrong inputs that a newcomer gives first: each ends at once, with one message that says how to go on."""

import json
import shutil
from pathlib import Path

import pytest

FIXTURE = Path(__file__).parent / "fixtures" / "lamp_mini" / "LaMP_3"


def one_message(answer, code: int) -> str:
    assert answer.code == code, answer
    lines = answer.err.strip().splitlines()
    assert len(lines) == 1, answer.err
    assert "Traceback" not in answer.out + answer.err
    return lines[0]


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["sft.stesp=3"], "Config error: there is no key 'sft.stesp'. Did you mean sft.steps"),
        (["ablation=no_prmuu"], "Config error: ablation=no_prmuu: there is no such option. Did you mean no_prmu"),
        (["ablatoin=no_prmu"], "Config error: there is no key 'ablatoin'. Did you mean ablation"),
        (["experiment=demoo"], "Config error: experiment=demoo: there is no such option. Did you mean demo?"),
        (["demo"], "Config error: 'demo' cannot be read as an override. Overrides look like key=value"),
        (["--plan"], "Config error: --plan: settings are given without dashes, write plan=..."),
        (["seed=abc"], "Config error: seed: Value 'abc' of type 'str' could not be converted to Integer."),
        (["rl=null"], "Config error: rl=null: a group needs one of its options. Options of rl: exploratory_only"),
        (["ablation=full,no_prmu"], "For one run per value: tagpr -m ablation=full,no_prmu"),
        (["-m", "ablation=full,no_prmuu"], "Config error: ablation=no_prmuu: there is no such option."),
        (["+sft.stesp=3"], "Config error: there is no key 'sft.stesp'. Did you mean steps?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_slip_on_the_command_line(arguments, expected, tagpr, tmp_path):
    message = one_message(tagpr(f"paths.runs={tmp_path}", *arguments), code=2)
    assert expected in message
    assert not list(tmp_path.glob("cache/*/"))


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["experiment=lamp_small"], "Error: no value for data.root. Give it on the command line, e.g. data.root=..."),
        (["experiment=lamp_small", "data.root=/no/such"], "Error: data.root=/no/such is not a folder. Give the folder"),
        (
            ["experiment=lamp_small", "data=table"],
            "Error: no value for data.path. Give it on the command line, e.g. data.path=...",
        ),
        (
            ["experiment=lamp_small", "data=table", "data.path=/no/such.csv"],
            "Error: data.path=/no/such.csv does not exist. Give the file that holds the table, e.g. data.path=reviews",
        ),
        (["experiment=lamp_small", "data=table", "data.path=/proc"], "Error: data.path=/proc is a folder. Give the"),
        (
            ["rl.order=[guided,later]"],
            "Error: rl.order names the stage 'later', but rl.stages has exploratory, guided.",
        ),
        (["experiment=smoke", "until=sftt"], "Error: until=sftt: this run has no such stage. Did you mean until=sft?"),
        (["experiment=smoke", "force=rl"], "Error: force=rl: this run has no such stage."),
        (["experiment=smoke", "paths.runs=/proc/x"], "Error: paths.runs=/proc/x: No such file or directory. Give a"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_settings_that_contradict_one_another_or_the_disk(arguments, expected, tagpr, tmp_path):
    message = one_message(tagpr(f"paths.runs={tmp_path}", "logger=none", *arguments), code=1)
    assert message.startswith(expected)
    assert not list(tmp_path.glob("cache/*/"))


def cut_off(root: Path) -> None:
    path = root / "dev" / "dev_questions.json"
    path.write_bytes(path.read_bytes()[:900])


def no_gold(root: Path) -> None:
    path = root / "dev" / "dev_outputs.json"
    value = json.loads(path.read_text())
    value["golds"].pop()
    path.write_text(json.dumps(value))


def web_page(root: Path) -> None:
    (root / "dev" / "dev_outputs.json").write_text("<!DOCTYPE html><html>404</html>")


def empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


@pytest.mark.parametrize(
    "damage, expected",
    [
        (cut_off, "dev_questions.json: ends in the middle of a value (line 20, 900 bytes): the file was cut off."),
        (no_gold, "dev_questions.json: 1 of 4 questions have no gold in dev_outputs.json: 313. The two files must"),
        (web_page, "dev_outputs.json: holds a web page (it begins with '<!DOCTYPE html>'), expected JSON."),
        (empty, "no questions found. Expected "),
    ],
)
def test_data_that_are_not_what_they_should_be(damage, expected, tagpr, tmp_path):
    root = shutil.copytree(FIXTURE, tmp_path / "data")
    damage(root)
    runs = tmp_path / "runs"
    answer = tagpr("experiment=lamp_small", f"data.root={root}", f"paths.runs={runs}", "logger=none", "until=records")
    assert expected in one_message(answer, code=1)
    assert [path.name for path in runs.glob("cache/records/*") if not path.name.endswith(".lock")] == []


def test_a_value_that_a_constructor_refuses_shows_before_the_first_stage(tagpr, tmp_path):
    answer = tagpr("experiment=smoke", f"paths.runs={tmp_path}", "logger=none", "prompt.order=tim", "until=chains")
    assert one_message(answer, code=1) == "Error: prompt.order='tim', expected one of ranked, time."
    assert not (tmp_path / "cache" / "records").exists()


def test_a_backbone_that_is_not_there(tagpr, tmp_path):
    answer = tagpr(
        "experiment=smoke", f"paths.runs={tmp_path}", "logger=none", "until=chains", "backbone=hf",
        "backbone.path=/no/such",
    )  # fmt: skip
    expected = "Error: no folder at /no/such: expected a Hugging Face folder, or a hub id of the form owner/name."
    assert one_message(answer, code=1) == expected


def test_real_people_without_an_experiment_get_the_one_that_is_made_for_them(tagpr, tmp_path):
    answer = tagpr("data=table", f"paths.runs={tmp_path}")
    assert answer.code == 1
    assert answer.err.splitlines() == [
        "data=table without an experiment: experiment=lamp_small.",
        "Error: no value for data.path. Give it on the command line, e.g. data.path=...",
    ]
    assert one_message(tagpr("experiment=demo", "data=table", f"paths.runs={tmp_path}"), code=2).startswith(
        "Config error: experiment=demo sets data.size"
    )
