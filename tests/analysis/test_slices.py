"""Scores by kind of person, from predictions alone."""

import csv

import pytest

from tagpr.analysis.files import write_sections
from tagpr.analysis.runs import find_runs
from tagpr.analysis.sections import sections_of
from tagpr.analysis.slices import MAJORITY, MEAN, PROFILE, SHOWN, bin_of


@pytest.mark.parametrize(
    "count, expected",
    [(0, "0"), (1, "1-2"), (2, "1-2"), (3, "3-4"), (8, "5-8"), (9, "9-16"), (16, "9-16"), (17, "17+"), (500, "17+")],
)
def test_bins(count, expected):
    assert bin_of(count) == expected


def section_of(folders):
    (section,) = sections_of(find_runs(folders.root / "demo"), None)
    return section


@pytest.fixture
def section(folders):
    """ann answers as the majority, bob does not; sft is right for ann alone, base for bob alone. All profiles have 4
    entries; the prompts of sft show 3, those of base none."""
    asked = [
        folders.asked("S2", "a", "ann", "cosy", blind="cosy", bayes="cosy"),
        folders.asked("S2", "b", "bob", "grand", blind="cosy", bayes="cosy"),
        folders.asked("S3", "a3", "ann", "4", blind="4", bayes="4"),
    ]
    folders.records("r0", "simulated")
    base = folders.evaluation("base", asked, ["city", "grand", "1"], shown=0)
    sft = folders.evaluation("sft", asked, ["cosy", "cosy", "3"], shown=3)
    rows = {"base": ("backbone", [], {"greedy": base}), "sft": ("sft", [("records", "r0")], {"greedy": sft})}
    folders.run(rows)
    return section_of(folders)


def test_majority_and_history_by_hand(section):
    found = {(one.kind, one.value, one.task): one for one in section.slices}
    agree, differ = found[MAJORITY, "yes", MEAN], found[MAJORITY, "no", MEAN]
    assert (agree.tasks, agree.people, agree.questions) == (("S2", "S3"), 1, 2)
    # S2 right, S3 off by one of four
    assert {row: score.value for row, score in agree.scores.items()} == {"base": 0.125, "sft": (1 + 0.75) / 2}
    assert (differ.tasks, differ.people) == (("S2",), 1)
    assert {row: score.value for row, score in differ.scores.items()} == {"base": 1.0, "sft": 0.0}
    # History is that of the row that shows most, for all rows alike.
    assert {key[:2] for key in found if key[0] != MAJORITY} == {(PROFILE, "3-4"), (SHOWN, "3-4")}
    assert found[SHOWN, "3-4", "S2"].scores["base"].value == 0.5
    assert all(score.low is None for one in found.values() for score in one.scores.values())


def test_the_files_say_how_few_people_there_are(section, tmp_path):
    write_sections([section], tmp_path)
    text = (tmp_path / "slices.md").read_text()
    assert "| as the majority | yes | S2 S3 | 1 (fewer than 20) | 2 | 0.125 | 0.875 |" in text
    lines = list(csv.DictReader((tmp_path / "slices.csv").open()))
    assert {(line["row"], line["task"]) for line in lines if line["slice"] == SHOWN} == {
        (row, task) for row in ("base", "sft") for task in ("S2", "S3", "mean")
    }


def test_twenty_people_have_an_interval(folders):
    asked = [folders.asked("S2", f"q{i}", f"u{i}", "cosy", "cosy", "cosy") for i in range(21)]
    folders.records("r0", "simulated")
    one = folders.evaluation("e", asked, ["cosy"] * 10 + ["grand"] * 11, shown=3)
    folders.run({"sft": ("sft", [("records", "r0")], {"greedy": one})})
    (score,) = [s.scores["sft"] for s in section_of(folders).slices if (s.kind, s.task) == (MAJORITY, MEAN)]
    # standard error of 21 coins: .109
    assert score.value == pytest.approx(10 / 21)
    assert score.low == pytest.approx(10 / 21 - 0.214, abs=0.06)
    assert score.high == pytest.approx(10 / 21 + 0.214, abs=0.06)


def test_evaluations_that_did_not_note_what_they_showed_have_no_slices_by_history(section, folders):
    for path in folders.root.glob("cache/evaluate/*/shown.parquet"):
        path.unlink()
    assert {one.kind for one in section_of(folders).slices} == {MAJORITY}
