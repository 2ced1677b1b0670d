"""Swapped rows in the table: pooled over seeds, named where they gain without being specific."""

import csv
from dataclasses import asdict

import pytest

from tagpr import storage
from tagpr.analysis.files import write_sections
from tagpr.analysis.personalization import HEADINGS, SHORT_HEADINGS, cells, short_cells
from tagpr.analysis.runs import find_runs
from tagpr.analysis.sections import sections_of
from tagpr.analysis.tables import final_metrics, table_notes
from tagpr.evaluation.specificity import MEAN, SwappedAnswer
from tagpr.evaluation.swap import CONDITIONS


def swap_artifact(folders, fingerprint, users, scores, *, exact=3):
    """Every user has one S2 question with these scores; the observer has 1 with the own history, else 0."""
    folder = folders.stage("swap", fingerprint, counts={})
    answers = [
        SwappedAnswer(
            record_id=f"q-{user}", user_id=user, task="S2", condition=condition, other_user_id="", exact=True,
            entries=2, characters=9, completion="", answer="", parsed=True, truncated=False, gold="cosy", score=score,
            bayes_answer="", bayes_score=float(condition == "own"), other_answer="grand", other_answer_from="rule",
            other_score=0.25, bayes_other_score=1.0,
        )
        for user in users
        for condition, score in zip(CONDITIONS, scores, strict=True)
    ]  # fmt: skip
    storage.write_parquet(folder / "swap.parquet", answers, SwappedAnswer)
    storage.write_json(
        folder / "swap.json",
        {
            "tasks": {}, "matching": {"nearest": {"exact": exact, "closest": 1}, "random": {"exact": 4, "closest": 0}},
            "other_answer_from": {"gold": 1, "rule": 3}, "other_answer_unknown": 0, "without_history": 2,
        },
    )  # fmt: skip
    return fingerprint


def run_with(folders, seed, users, scores, name="full"):
    folders.records(f"r{seed}", "simulated")
    asked = [folders.asked("S2", f"q-{user}", user, "cosy", "cosy", "cosy") for user in users]
    own = folders.evaluation(f"e{seed}", asked, ["cosy"] * len(users), records=f"r{seed}", shown=3)
    other = folders.evaluation(f"b{seed}", asked, ["grand"] * len(users), records=f"r{seed}", shown=3)
    rows = {"base": ("backbone", [], {"greedy": other}), "sft": ("sft", [("records", f"r{seed}")], {"greedy": own})}
    diagnostics = {"sft": {"swap": swap_artifact(folders, f"w{seed}", users, scores)}} if scores else {}
    return folders.run(rows, seed=seed, run_name=name, diagnostics=diagnostics)


def only_section(folders):
    (section,) = sections_of(find_runs(folders.root / "demo"), None)
    return section


def test_a_row_is_pooled_over_seeds_and_says_how_well_histories_matched(folders):
    run_with(folders, 0, ["ann", "bob"], (1.0, 0.5, 0.5, 0.0, 1.0))
    run_with(folders, 1, ["ann", "bob"], (0.5, 0.5, 0.0, 0.0, 0.5))
    (row,) = only_section(folders).swapped
    figures = {name: one.value for name, one in row.personal[MEAN].figures.items()}
    assert (figures["own"], figures["nearest"], figures["gain"], figures["specificity"]) == (0.75, 0.5, 0.75, 0.25)
    assert figures["share"] == 0.25
    assert row.personal[MEAN].people == 4, "a simulated world has its own people"
    assert row.matched == {"nearest": 6 / 8, "random": 1.0}
    assert (row.from_rule, row.without_history) == (0.75, 4)
    assert short_cells(row) == ("sft", "0.750", "0.500", "0.000", "+0.750", "+0.250", "1.000", "0.25")
    assert [len(line) for line in cells(row)] == [len(HEADINGS)] * 2
    assert len(short_cells(row)) == len(SHORT_HEADINGS)


def test_the_files_hold_the_figures(folders, tmp_path):
    users = [f"u{i}" for i in range(20)]
    run_with(folders, 0, users, (1.0, 0.25, 0.5, 0.0, 1.0))
    section = only_section(folders)
    write_sections([section], tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "## Personalization: the same questions with other histories" in text
    assert "| sft | S2 | 20 | 1.000 | 0.250 | 0.500 | 0.000 | 1.000 | +1.000 [+1.000, +1.000] | +0.750 [" in text
    assert "else (75% for sft) the other's preferred answer" in text
    assert "nearest other 75.0%, random other 100.0%; 2 questions without history left out" in text
    lines = list(csv.DictReader((tmp_path / "personalization.csv").open()))
    assert [line["task"] for line in lines] == ["S2", "mean"]
    assert (float(lines[0]["specificity"]), float(lines[0]["specificity/low"])) == (0.75, 0.75)
    assert final_metrics([section])["evaluate/sft/specificity"] == 0.75


def test_gain_without_specificity_is_named(folders):
    users = [f"u{i}" for i in range(20)]
    run_with(folders, 0, users, (1.0, 1.0, 1.0, 0.0, 1.0))
    (note,) = [line for line in table_notes([only_section(folders)]) if "Few-shot" in line]
    assert note.startswith("Few-shot formatting, not personalization: sft (")


def test_who_is_specific_or_too_few_to_say_is_not_named(folders):
    run_with(folders, 0, [f"u{i}" for i in range(20)], (1.0, 0.5, 1.0, 0.0, 1.0))
    assert not [line for line in table_notes([only_section(folders)]) if "Few-shot" in line]
    run_with(folders, 1, ["ann"], (1.0, 1.0, 1.0, 0.0, 1.0), name="few")
    assert not [line for line in table_notes([only_section(folders)]) if "Few-shot" in line]


def test_without_diagnoses_there_is_no_section_and_no_file(folders, tmp_path):
    run_with(folders, 0, ["ann"], None)
    write_sections([only_section(folders)], tmp_path)
    assert "Personalization" not in (tmp_path / "table.md").read_text()
    assert not (tmp_path / "personalization.csv").exists()


def test_a_row_that_two_runs_share_keeps_what_either_was_asked(folders):
    """Both have the same evaluations of SFT; only the first had its histories swapped."""
    run_with(folders, 0, ["ann"], (1.0, 0.5, 0.0, 0.0, 1.0))
    folders.run({"sft": ("sft", [("records", "r0")], {"greedy": "e0"})}, run_name="no_prmu")
    (row,) = only_section(folders).swapped
    assert row.name == "sft"


def test_an_artifact_reads_back_as_it_was_written(folders):
    swap_artifact(folders, "w", ["ann"], (1.0, 0.0, 0.0, 0.0, 1.0))
    rows = storage.read_parquet(folders.root / "cache" / "swap" / "w" / "swap.parquet")
    assert asdict(SwappedAnswer(**rows[0])) == pytest.approx(rows[0])
