import json
import subprocess
import sys

import pytest

from tagpr.evaluation.score import main


def write(path, task, outputs):
    path.write_text(json.dumps({"task": task, "golds": [{"id": i, "output": o} for i, o in outputs.items()]}))
    return str(path)


def scored(tmp_path, task, answers, golds, *more, file_task=None):
    files = {
        "--predictions": write(tmp_path / "p.json", file_task or task, answers),
        "--golds": write(tmp_path / "g.json", task, golds),
        "--out": str(tmp_path / "scores.json"),
    }
    code = main(["--task", task, *(part for pair in files.items() for part in pair), "--resamples", "500", *more])
    return code, tmp_path / "scores.json"


def test_few_people_get_metrics_and_no_interval(tmp_path, capsys):
    code, out = scored(tmp_path, "LaMP_3", {"b": "I say 4", "a": 5}, {"a": "5", "b": "4"})
    assert code == 0
    scores = json.loads(out.read_text())
    # "I say 4" is no number: gold 4 -> 1, an error of 3.
    assert scores["metrics"] == {"mae": 1.5, "rmse": 4.5**0.5}
    assert scores["lenient_metrics"] == {"mae": 0.0, "rmse": 0.0}
    assert (scores["task"], scores["n"]) == ("LaMP_3", 2)
    assert (scores["parse_failures"], scores["lenient_parse_failures"]) == (1, 0)
    assert scores["intervals"] == {"mae": None, "rmse": None}
    printed = capsys.readouterr().out
    assert "No intervals: 2 people, expected at least 20" in printed
    assert "every question counts as its own person" in printed


def test_intervals_comparison_and_leaks_by_person(tmp_path, capsys):
    golds = {str(i): "5" if i % 2 else "1" for i in range(60)}
    questions = [
        {
            "id": i,
            "user_id": f"u{int(i) // 2}",
            "input": f"What is the score? review: text {i}",
            "profile": [{"id": "0", "text": f"text {int(i) ^ 1}", "score": golds[str(int(i) ^ 1)]}],
        }
        for i in golds
    ]
    (tmp_path / "q.json").write_text(json.dumps(questions))
    other = write(tmp_path / "o.json", "LaMP_3", dict.fromkeys(golds, "3"))
    answers = {i: "4" if i == "59" else gold for i, gold in golds.items()}
    code, out = scored(tmp_path, "LaMP_3", answers, golds, "--vs", other, "--questions", str(tmp_path / "q.json"))
    assert code == 0
    scores = json.loads(out.read_text())
    assert scores["people"] == {"n": 30, "known_by": "the questions' user_id"}
    low, high = scores["intervals"]["mae"]
    assert scores["metrics"]["mae"] == pytest.approx(1 / 60)
    assert low == 0 < 1 / 60 < high < 0.08
    lead = scores["vs"]["differences"]["mae"]
    assert lead["difference"] == pytest.approx(1 / 60 - 2)
    assert lead["interval"][0] < lead["difference"] < lead["interval"][1] < -1.9
    assert lead["p"] == 1 / 500
    assert scores["leaks"]["gold_in_own_profile"]["n"] == 0
    assert scores["leaks"]["gold_in_sibling_profile"]["n"] == 60
    printed = capsys.readouterr().out
    assert "60 of 60 golds stand in the profile of another question" in printed
    assert "this minus other" in printed


@pytest.mark.parametrize(
    "task, answers, golds, message",
    [
        ("LaMP_2", {"a": "comedy"}, {"a": "comedy", "b": "action"}, "1 of the 2 golds have no prediction (first: ['b'"),
        ("LaMP_2", {"a": "comedy", "c": "x"}, {"a": "comedy"}, "1 predictions have no gold (first: ['c'])"),
        ("LaMP_2", {"a": "comedy"}, {"a": "sports"}, "id a: gold 'sports' is none of the labels"),
        ("LaMP_2", {"a": None}, {"a": "comedy"}, "id a: output is None"),
        ("LaMP_2", {}, {}, "holds no golds"),
        ("LaMP_3", {"a": "1e300"}, {"a": "3"}, "with the answer '1e300' the metrics are not finite"),
        ("LaMP_22", {"a": "comedy"}, {"a": "comedy"}, "Did you mean 'LaMP_2'"),
    ],
)
def test_wrong_input_is_said_in_one_line_and_nothing_is_written(tmp_path, capsys, task, answers, golds, message):
    code, _ = scored(tmp_path, task, answers, golds)
    assert code == 2
    assert {path.name for path in tmp_path.iterdir()} == {"p.json", "g.json"}
    assert message in capsys.readouterr().err


def test_another_tasks_file_is_refused(tmp_path, capsys):
    code, out = scored(tmp_path, "LaMP_3", {"a": "3"}, {"a": "3"}, file_task="LaMP_5")
    assert (code, out.exists()) == (2, False)
    assert "its \"task\" is 'LaMP_5', --task is LaMP_3" in capsys.readouterr().err


@pytest.mark.parametrize("which", ["--predictions", "--golds", "--vs", "--questions"])
@pytest.mark.parametrize(
    "content, message",
    [
        (b"<!DOCTYPE html><html>", "holds a web page"),
        (b'{"task": "LaMP_3", "golds": [{"id": "a", "out', "the file was cut off"),
        (b"", "the file is empty"),
        (b"[\xe9]", "is not UTF-8"),
        (b"\xff\xfe\x00", "is UTF-16"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5000, "holds a number that is none"),
        (b"null", "found null"),
        (None, "there is no such file"),
    ],
)
def test_damaged_files_are_named(tmp_path, capsys, which, content, message):
    path = tmp_path / "damaged.json"
    if content is not None:
        path.write_bytes(content)
    code, out = scored(tmp_path, "LaMP_3", {"a": "3"}, {"a": "3"}, which, str(path))
    assert (code, out.exists()) == (2, False)
    printed = capsys.readouterr()
    assert str(path) in printed.err
    # Questions are read as a list, item by item: of anything else the first byte says enough.
    no_list = which == "--questions" and content and content[:1] in b"{9n"
    assert ("expected a list of questions" if no_list else message) in printed.err
    assert printed.out == ""


def test_out_overwrites_no_input_and_no_folder(tmp_path, capsys):
    assert scored(tmp_path, "LaMP_3", {"a": "3"}, {"a": "3"}, "--out", str(tmp_path))[0] == 2
    assert "is a folder" in capsys.readouterr().err
    assert scored(tmp_path, "LaMP_3", {"a": "3"}, {"a": "3"}, "--out", str(tmp_path / "g.json"))[0] == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert json.loads((tmp_path / "g.json").read_text())["task"] == "LaMP_3"


def test_no_torch_is_needed(tmp_path):
    golds = write(tmp_path / "g.json", "LaMP_5", {str(i): f"title {i}" for i in range(25)})
    blocked = ("torch", "transformers", "pytorch_lightning", "pandas", "pyarrow", "scipy", "rouge_score", "hydra")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); from tagpr.evaluation.score import main; "
        f"sys.exit(main(['--task', 'LaMP_5', '--predictions', {golds!r}, '--golds', {golds!r}, '--resamples', '50']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "[1.0000, 1.0000]" in done.stdout
    subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['torch'] = None; import tagpr.data.stage"], check=True
    )
