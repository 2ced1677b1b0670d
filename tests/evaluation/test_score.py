import json
import subprocess
import sys

import pytest

from tagpr.evaluation.score import main


def write(path, task, outputs):
    path.write_text(json.dumps({"task": task, "golds": [{"id": i, "output": o} for i, o in outputs.items()]}))
    return str(path)


def scored(tmp_path, task, answers, golds):
    files = {
        "--predictions": write(tmp_path / "p.json", task, answers),
        "--golds": write(tmp_path / "g.json", task, golds),
        "--out": str(tmp_path / "scores.json"),
    }
    code = main(["--task", task, *(part for pair in files.items() for part in pair)])
    return code, tmp_path / "scores.json"


def test_ratings_with_the_official_fallback_beside_the_forgiving_reader(tmp_path, capsys):
    code, out = scored(tmp_path, "LaMP_3", {"b": "I say 4", "a": 5}, {"a": "5", "b": "4"})
    assert code == 0
    # "I say 4" is no number: gold 4 -> 1, an error of 3.
    assert json.loads(out.read_text()) == {
        "task": "LaMP_3",
        "num_items": 2,
        "num_unparsable": 1,
        "metrics": {"mae": 1.5, "rmse": 4.5**0.5},
        "lenient": {"num_unparsable": 0, "metrics": {"mae": 0.0, "rmse": 0.0}},
    }
    assert "mae           1.5000   0.0000" in capsys.readouterr().out


@pytest.mark.parametrize(
    "task, answers, golds, message",
    [
        (
            "LaMP_2",
            {"a": "comedy"},
            {"a": "comedy", "b": "action"},
            "1 of the 2 golds have no prediction (first: ['b'])",
        ),
        ("LaMP_2", {"a": "comedy", "c": "x"}, {"a": "comedy"}, "1 predictions have no gold (first: ['c'])"),
        ("LaMP_2", {"a": "comedy"}, {"a": "sports"}, "id a: gold 'sports' is none of the labels"),
        ("LaMP_2", {"a": None}, {"a": "comedy"}, "id a: output is None"),
        ("LaMP_22", {"a": "comedy"}, {"a": "comedy"}, "Did you mean 'LaMP_2'"),
    ],
)
def test_wrong_input_is_said_in_one_line_and_nothing_is_written(tmp_path, capsys, task, answers, golds, message):
    code, out = scored(tmp_path, task, answers, golds)
    assert code == 2
    assert not out.exists()
    assert message in capsys.readouterr().err


def test_no_torch_is_needed():
    blocked = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None; "
    program = blocked + "import tagpr.evaluation.score, tagpr.data.stage"
    subprocess.run([sys.executable, "-c", program], check=True)
