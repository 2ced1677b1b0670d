"""tagpr-prmu: scoring others' answers, damaged files, and the facts of a model."""

import json
import subprocess
import sys
import time

import pytest
import torch

from tagpr.prmu.command import main
from tagpr.prmu.texts import user_history
from tagpr.storage import write_json

HISTORIES = [
    {"user_id": "ann", "history": [{"input": "a pier", "output": "quiet"}, {"input": "a fair", "output": "lively"}]},
    {"user_id": "bob", "task": "S2", "history": [{"input": "a mill", "output": "village"}] * 6},
    {"user_id": "cy", "history": []},
]
ANSWERS = [
    {"user_id": "ann", "task": "S2", "query": "a calm hall", "answer": "quiet", "note": 7},
    {"user_id": "bob", "task": "S2", "query": "a calm hall", "answers": ["quiet", "lively", "quiet"]},
    {"user_id": "ann", "task": "S2", "query": "a pier", "answer": "quiet"},
    {"user_id": "cy", "task": "S2", "query": "a calm hall", "answer": "quiet"},
]


def write_lines(path, lines):
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def folder(bilinear, tmp_path):
    bilinear.temperature = 0.5
    bilinear.save_pretrained(tmp_path / "stage" / "model")
    calibration = {"temperature": 0.5, "ece": 0.04, "ece_if_calibrated": 0.03, "num_pairs": 60.0}
    write_json(tmp_path / "stage" / "calibration.json", calibration)
    swap = {"accuracy": 0.8, "lower": 0.7}
    write_json(tmp_path / "stage" / "gate.json", {"met": False, "swap": swap, "best_of_n": None})
    return tmp_path / "stage"


def score(folder, answers, histories, *more):
    output = folder / "scores.jsonl"
    code = main(
        ["score", "--model", str(folder), "--input", str(answers), "--histories", str(histories), "--output",
         str(output), *more]
    )  # fmt: skip
    return code, [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else None


@pytest.fixture
def files(tmp_path):
    return write_lines(tmp_path / "answers.jsonl", ANSWERS), write_lines(tmp_path / "histories.jsonl", HISTORIES)


def test_scores_are_the_models(folder, files, bilinear, make_record):
    code, lines = score(folder, *files)
    assert code == 0
    past = user_history(make_record("r", "ann", history=(("a pier", "quiet"), ("a fair", "lively"))))
    expected = bilinear.eval().score([past], ["tag : a calm hall"], ["quiet"])[0, 0]
    assert lines[0]["score"] == pytest.approx(float(expected), abs=1e-5)
    assert lines[0]["log_odds"] == pytest.approx(float(expected) / 0.5, abs=1e-5)
    assert {k: lines[0][k] for k in ANSWERS[0]} == ANSWERS[0]
    assert [line["num_entries"] for line in lines] == [2, 4, 1, 0]  # at most 4; the question itself is not its past


def test_several_answers_share_a_probability(folder, files):
    line = score(folder, *files)[1][1]
    first, second, third = line["scores"]
    assert first == third
    assert sum(line["probabilities"]) == pytest.approx(1.0)
    assert line["probabilities"][0] / line["probabilities"][1] == pytest.approx(
        float(torch.tensor((first - second) / 0.5).exp()), rel=1e-4
    )


def test_chunks_do_not_change_scores(folder, files):
    assert score(folder, *files, "--chunk", "1") == score(folder, *files, "--chunk", "3") == score(folder, *files)


def test_without_calibration_there_are_no_odds(bilinear, files, tmp_path):
    bilinear.save_pretrained(tmp_path / "model")
    _, lines = score(tmp_path, *files)
    assert [line["log_odds"] for line in lines] == [None] * 4
    assert lines[1]["probabilities"] is None


def test_a_task_for_all_lines(folder, files, tmp_path):
    bare = write_lines(tmp_path / "bare.jsonl", [{k: v for k, v in ANSWERS[0].items() if k != "task"}])
    assert score(folder, bare, files[1], "--task", "S2")[0] == 0


GOOD = json.dumps(ANSWERS[0]) + "\n"


@pytest.mark.parametrize(
    "answers, histories, expected",
    [
        ([GOOD, '{"user_id": "ann"\n'], None, "answers.jsonl:2: not JSON at column 18"),
        ([GOOD, "[1]\n"], None, "answers.jsonl:2: a list, expected a JSON object"),
        ([], None, "answers.jsonl: the file is empty"),
        (["\n\n"], None, "answers.jsonl: the file is empty"),
        ([GOOD, {**ANSWERS[0], "user_id": "zoe"}], None, "answers.jsonl:2: user 'zoe' has no history in"),
        ([{**ANSWERS[1], "task": "S3"}], None, "user 'bob' has no history in"),
        ([{**ANSWERS[0], "answer": "  "}], None, "answers.jsonl:1: an answer is '  ', expected text"),
        ([{**ANSWERS[1], "answers": []}], None, "answers.jsonl:1: 'answers' is '[]'"),
        ([{**ANSWERS[1], "answers": ["a", 3]}], None, "answers.jsonl:1: an answer is 3"),
        ([{**ANSWERS[1], "answer": "a"}], None, "answers.jsonl:1: expected either 'answer'"),
        ([{**ANSWERS[0], "task": "S22"}], None, "answers.jsonl:1: 'S22' is no task"),
        ([{"user_id": "ann", "query": "x", "answer": "y"}], None, "answers.jsonl:1: the field 'task' is missing"),
        ([{**ANSWERS[0], "query": ""}], None, "answers.jsonl:1: the field 'query' holds ''"),
        ([GOOD], [HISTORIES[0], HISTORIES[0]], "histories.jsonl:2: user 'ann' is there a second time"),
        ([GOOD], [{"user_id": "ann"}], "histories.jsonl:1: the field 'history' is missing"),
        ([GOOD], [{"user_id": "ann", "history": [{"input": "a"}]}], "histories.jsonl:1: history[0] is"),
        ([GOOD], ["<!doctype html>\n"], "histories.jsonl"),
    ],
    ids=range(17),
)
def test_damaged_files_end_with_one_line_and_nothing_written(folder, files, answers, histories, expected, capsys):
    write_lines(files[0], answers)
    if histories is not None:
        write_lines(files[1], histories)
    code, lines = score(folder, *files)
    said = capsys.readouterr().err.strip()
    assert code == 2
    assert lines is None
    assert expected in said
    assert len(said.splitlines()) == 1
    assert not list(folder.glob(".scores*"))


def test_what_cannot_be_read_or_written(folder, files, tmp_path, capsys):
    assert score(folder, tmp_path / "gone.jsonl", files[1])[0] == 2
    assert "gone.jsonl: cannot be read" in capsys.readouterr().err
    assert score(tmp_path / "nothing", *files)[0] == 2
    assert "is not a folder: expected model/prmu.json" in capsys.readouterr().err
    told = ["--model", str(folder), "--input", str(files[0]), "--histories", str(files[1])]
    assert main(["score", *told, "--output", str(tmp_path / "no" / "x.jsonl")]) == 2
    files[0].write_bytes(b"\xff\xfe{}")
    assert score(folder, *files)[0] == 2
    assert "UTF-16" in capsys.readouterr().err


def test_the_card_tells_the_facts_and_the_risk(folder, capsys):
    assert main(["card", str(folder)]) == 0
    said = capsys.readouterr().out
    for part in ("architecture: bilinear", "ECE, 60 pairs", "gate: not met", "lower 95 % bound 0.700", "risk: A user"):
        assert part in said
    assert "best-of-n: not measured" in said
    assert main(["card", str(folder / "model")]) == 0


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom tagpr.prmu.command import main\n"
        "try: main(['score', '--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    started = time.monotonic()
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 10  # a second on an idle machine
    assert "describes a person" in found.stdout


@pytest.mark.parametrize("luck, said", [({"ece_if_calibrated": 0.03}, "; by luck alone 0.030)"), ({}, "dev people)")])
def test_the_card_tells_how_far_its_certainty_is_off(folder, capsys, luck, said):
    write_json(folder / "calibration.json", {"temperature": 0.5, "ece": 0.04, "num_pairs": 60.0, **luck})
    assert main(["card", str(folder)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "0.040 (ECE, 60 pairs of dev people" in printed
    assert said in printed
