"""The evaluate stage on a test set whose golds are withheld: a file for the leaderboard, and no scores."""

import json
import runpy
import shutil
import threading
from pathlib import Path

import pytest

from tagpr.compose import composed
from tagpr.context import SilentProgress
from tagpr.pipeline.cache import ArtifactCache
from tagpr.pipeline.execute import Executor
from tagpr.pipeline.fingerprint import FileHashes
from tagpr.pipeline.graph import build_graph
from tagpr.pipeline.ledger import NAME, Ledger

FIXTURES = Path(__file__).parents[1] / "fixtures"
MAKER = runpy.run_path(str(FIXTURES / "make_lamp_mini.py"))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The shipped base, asked without history: {overrides: folder of the evaluate stage}."""
    root, runs = tmp_path_factory.mktemp("lamp"), tmp_path_factory.mktemp("runs")
    shutil.copytree(FIXTURES / "lamp_mini" / "LaMP_3", root / "LaMP_3")
    shutil.copytree(FIXTURES / "lamp_mini" / "LaMP_2" / "dev", root / "LaMP_2" / "dev")
    MAKER["write_withheld_test"](root, "LaMP_3", range(16, 21))
    MAKER["write_withheld_test"](root, "LaMP_2N", range(6, 9))
    executor = Executor(
        cache=ArtifactCache(runs), ledger=Ledger(place=runs / NAME, experiment="lamp", run_name="full", seed=0),
        view=SilentProgress(), stop=threading.Event(), loggers=lambda stage, folder: [],
        announce=lambda stage, state: None,
    )  # fmt: skip

    def evaluate(*overrides: str) -> Path:
        few = "evaluation.decodings.greedy.max_new_tokens=6"
        cfg = composed(["experiment=lamp_small", f"data.root={root}", few, *overrides])
        graph = build_graph(cfg, FileHashes(runs / "hashes.json"), lambda ablation: cfg)
        stage = next(row for row in graph.rows if row.name == "base").stages["greedy"]
        executor.run(stage.inputs["records"], force=False)
        return executor.run(stage, force=False).folder

    return evaluate


def test_the_submission_has_the_official_task_and_every_id_in_the_files_order(evaluated):
    folder = evaluated("data.report=test")
    assert not (folder / "predictions").exists()
    by_task = {path.stem: json.loads(path.read_text()) for path in (folder / "submission").iterdir()}
    assert {name: value["task"] for name, value in by_task.items()} == {"LaMP_3": "LaMP_3", "LaMP_2N": "LaMP_2"}
    for name, prefix, count in (("LaMP_3", "32", 5), ("LaMP_2N", "22", 3)):
        assert [set(item) for item in by_task[name]["golds"]] == [{"id", "output"}] * count
        assert [item["id"] for item in by_task[name]["golds"]] == [f"{prefix}{i}" for i in range(count)]
        assert all(isinstance(item["output"], str) for item in by_task[name]["golds"])


def test_scores_say_that_there_are_no_golds(evaluated):
    tasks = json.loads((evaluated("data.report=test") / "scores.json").read_text())["tasks"]
    assert {name: (task["n"], task["golds"]) for name, task in tasks.items()} == {"LaMP_2N": (3, 0), "LaMP_3": (5, 0)}
    for task in tasks.values():
        assert task["note"].startswith("no golds")
        assert not {"metrics", "score", "references"} & set(task)


def test_a_part_of_the_questions_is_no_submission(evaluated):
    folder = evaluated("data.report=test", "evaluation.people.max_records=4")
    assert not (folder / "submission").exists()
    assert {path.name for path in (folder / "predictions").iterdir()} == {"LaMP_2N.json", "LaMP_3.json"}


def test_predictions_that_are_scored_are_no_submission(evaluated):
    folder = evaluated("data.report=dev", "data.tasks=[LaMP_3]")
    assert [path.name for path in (folder / "predictions").iterdir()] == ["LaMP_3.json"]
    scores = json.loads((folder / "scores.json").read_text())["tasks"]["LaMP_3"]
    assert (scores["golds"], "note" in scores) == (4, False)
    assert not (folder / "submission").exists()
