"""Several answers per question: summarised per question, then over people."""

import pytest

from tagpr.analysis.files import write_sections
from tagpr.analysis.runs import find_runs
from tagpr.analysis.sampled import cells
from tagpr.analysis.sections import sections_of


def section_of(folders, people, answers):
    asked = [folders.asked("S2", f"q{i}", f"u{i}", "cosy", "cosy", "cosy") for i in range(people)]
    folders.records("r0", "simulated")
    one = folders.evaluation("e", asked, ["cosy"] * people, shown=3)
    more = folders.evaluation("m", asked, [answers(i) for i in range(people)], shown=3, decoding="sample")
    folders.run({"sft": ("sft", [("records", "r0")], {"greedy": one, "sample": more})})
    (section,) = sections_of(find_runs(folders.root / "demo"), None)
    return section


def test_mean_best_and_spread_of_a_row(folders, tmp_path):
    section = section_of(folders, 2, lambda i: ("cosy", "grand") if i == 0 else ("grand", "grand"))
    (row,) = section.sampled
    assert (row.name, row.decoding, row.num_samples) == ("sft", "sample", 2)
    values = {name: one.value for name, one in row.figures.items()}
    assert values == pytest.approx({"mean": 0.25, "best_of_n": 0.5, "spread": 0.5**0.5 / 2})
    assert cells(row) == ("sft", "sample", "2", "0.250", "0.500", "0.354")
    # the table's own column is the mean over samples
    assert section.figures[1].scores["sample"].value == 0.25
    write_sections([section], tmp_path)
    assert "## Several answers per question" in (tmp_path / "table.md").read_text()


def test_more_samples_make_no_more_people(folders):
    """Twenty people whose samples agree: four answers each leave the interval as wide as one each does."""
    section = section_of(folders, 20, lambda i: ("cosy" if i % 2 else "grand",) * 4)
    (row,) = section.sampled
    mean = row.figures["mean"]
    assert mean.value == 0.5
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * (0.25 / 20) ** 0.5, abs=0.08)
    assert row.figures["spread"].value == 0


def test_one_answer_per_question_needs_no_section(folders, tmp_path):
    section = section_of(folders, 2, lambda i: "cosy")
    assert section.sampled == []
    write_sections([section], tmp_path)
    assert "Several answers" not in (tmp_path / "table.md").read_text()
