"""A policy that recites golds without having seen a history is named; stock phrases and copies are not counted."""

import pytest

from tagpr import storage
from tagpr.analysis.comparison import compare
from tagpr.analysis.memorisation import Recited
from tagpr.analysis.runs import find_runs
from tagpr.analysis.sections import sections_of
from tagpr.types import Record

GOLD = "a quiet evening by the old harbour wall"


@pytest.fixture
def lines(folders):
    """Lines of a run whose base answers without history and whose sft sees two entries, on LaMP_5."""

    def of(golds, base, *, base_sample=None, sft=None, queries=(), references=(), shown=0):
        asked = [
            folders.Asked("LaMP_5", f"q{i}", f"u{i}", gold, {"copy": "x", **dict(references)})
            for i, gold in enumerate(golds)
        ]
        records = folders.records("r", "real")
        storage.write_records(
            records,
            [
                Record(
                    record_id=f"q{i}", user_id=f"u{i}", task="LaMP_5", split="test", purpose="test", question=query,
                    query=query, gold=golds[i], profile=(), retrieved=(),
                )
                for i, query in enumerate(queries)
            ],
        )  # fmt: skip
        evaluations = {"greedy": folders.evaluation("e0", asked, base, records="r", shown=shown)}
        if base_sample is not None:
            evaluations["sample"] = folders.evaluation("e1", asked, base_sample, records="r", shown=shown)
        rows = {"base": ("backbone", [], evaluations)}
        second = folders.evaluation("e2", asked, sft or golds, records="r", shown=2)
        rows["sft"] = ("sft", [("records", "r")], {"greedy": second})
        folders.run(rows)
        (section,) = sections_of(find_runs(folders.root), None)
        return [line for line in section.warnings if line.startswith(("LaMP_5: golds", "LaMP_5: no row", "MEM"))]

    return of


def test_a_policy_that_memorised_is_named_and_no_text_is_told(lines):
    golds = [f"{GOLD} number {i}" for i in range(10)]
    (line,) = lines(golds, [*golds[:3], *["something else"] * 7])
    assert line.startswith("MEMORISED TEXT? LaMP_5: ")
    assert "base 3 of 10 (30.0%). base: 1% or more" in line
    assert "sft" not in line, "it saw a history"
    assert "harbour" not in line


def test_short_golds_and_rare_hits_are_no_evidence(lines):
    golds = [*["Thank you very much"] * 5, *[f"{GOLD} number {i}" for i in range(10)]]
    (line,) = lines(golds, [*golds[:5], *golds[5:7], *["else"] * 8])
    assert line == "LaMP_5: golds of 5 or more words given word for word without any history: base 2 of 10 (20.0%)."


def test_a_gold_that_stands_in_its_question_is_copied(lines):
    golds = [f"{GOLD} number {i}" for i in range(4)]
    queries = [f"an abstract: {golds[0]}", "an abstract", "an abstract", "an abstract"]
    (line,) = lines(golds, [golds[0], *["else"] * 3], queries=queries)
    assert "base 0 of 4 (0.0%); 1 more stand in their question" in line


def test_a_question_counts_once_over_decodings_and_spaces_do_not_matter(lines):
    golds = [f"{GOLD} number {i}" for i in range(4)]
    wide = golds[0].replace(" ", "  ")
    (line,) = lines(golds, [wide, "x", "x", "x"], base_sample=[golds[0], golds[1], "x", "x"])
    assert "base 2 of 4 (50.0%)" in line


def test_where_every_row_sees_a_history_nothing_can_be_said(lines):
    (line,) = lines([GOLD], ["x"], shown=1)
    assert line == "LaMP_5: no row without history, so what a model knows by heart is not measured."


@pytest.mark.parametrize(
    "golds, recited, flagged", [(100, 2, False), (100, 3, True), (299, 3, True), (301, 3, False), (2500, 25, True)]
)
def test_the_threshold(golds, recited, flagged):
    assert Recited(golds=golds, recited=recited, copied=0).flagged == flagged


def test_label_tasks_and_simulated_people_have_no_such_line(folders):
    folders.records("r0", "simulated")
    asked = [folders.asked("S5", "q", "u", GOLD, "x", GOLD)]
    folders.run({"base": ("backbone", [], {"greedy": folders.evaluation("e", asked, [GOLD], shown=0)})})
    (comparison,) = compare(find_runs(folders.root))
    assert comparison.simulated
    (section,) = sections_of(find_runs(folders.root), None)
    assert not any("word for word" in line or "Leaks" in line for line in section.warnings)
