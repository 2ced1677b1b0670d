"""Folds of people as one run; every figure worked out below."""

import re

import pytest

from tagpr import run
from tagpr.analysis.comparison import compare
from tagpr.analysis.figures import row_figures
from tagpr.analysis.runs import read_run
from tagpr.analysis.sections import sections_of
from tagpr.analysis.tables import main, table_notes
from tagpr.errors import UserError


@pytest.fixture
def fold(folders):
    """A run that tests one fold: (fold, {person: (gold, sft's answer)}) -> its folder."""

    def make(index, people, *, num_folds=2, tag="", seed=0):
        key = f"{num_folds}-{index}-{seed}{tag}"
        data = {"folds": num_folds, "fold": index, "path": "t.csv"}
        folders.stage("records", f"r{key}", config={"data": data}, source_files={"t": "1"}, counts={}, cpu_seconds=1.0)
        folders.stage("sft", f"f{key}", counts={"gold_labels": 10 + 10 * index, "steps": 5}, cpu_seconds=20.0)
        asked = [
            folders.Asked("LaMP_3", f"q-{person}", person, gold, {"population_mode": "4"})
            for person, (gold, _) in people.items()
        ]
        answers = [answer for _, answer in people.values()]
        one = folders.evaluation(f"e{key}", asked, answers, records=f"r{key}")
        rows = {"sft": ("sft", [("records", f"r{key}"), ("sft", f"f{key}")], {"greedy": one})}
        return folders.run(rows, seed=seed, config={"data": data})

    return make


def test_folds_become_one_row_with_everybody_in_it(fold):
    # errors 0, 2 | 1, unreadable: the worst end, 4; always 4: 1, 3 | 1, 0
    first = fold(0, {"ann": ("5", "5"), "bob": ("1", "3")})
    second = fold(1, {"cat": ("3", "4"), "dan": ("4", "who knows")})
    (comparison,) = compare([read_run(second), read_run(first)])
    rows = {row.name: row for row in row_figures(comparison)}
    assert rows["sft"].people == 4
    assert rows["sft"].metrics["LaMP_3", "greedy"]["mae"] == pytest.approx((0 + 2 + 1 + 3) / 4)
    # of the four squared errors, not the mean of the folds' roots
    assert rows["sft"].metrics["LaMP_3", "greedy"]["rmse"] == pytest.approx(((0 + 4 + 1 + 9) / 4) ** 0.5)
    assert rows["population_mode"].metrics["LaMP_3", "greedy"]["mae"] == pytest.approx((1 + 3 + 1 + 0) / 4)
    assert rows["sft"].parse_failures["greedy"] == 0.25
    assert rows["sft"].scores["greedy"].value == pytest.approx((1 + 0.5 + 0.75 + 0.25) / 4)
    assert (rows["sft"].spent.gold_labels, rows["sft"].spent.cpu_seconds) == (15, 21)
    assert comparison.tasks == ("LaMP_3",)
    assert comparison.rows[0].by_seed[0].evaluations["greedy"].tasks["LaMP_3"]["n"] == 4
    notes = table_notes(sections_of([read_run(first), read_run(second)], None))
    assert any(line.startswith("2 folds, 4 people: each was tested once") for line in notes)


def test_folds_of_unequal_size_count_by_their_questions(fold):
    runs = [fold(0, {"ann": ("5", "5"), "bob": ("5", "5"), "eve": ("5", "5")}), fold(1, {"cat": ("5", "none")})]
    rows = {row.name: row for row in row_figures(compare([read_run(run) for run in runs])[0])}
    assert rows["sft"].parse_failures["greedy"] == 0.25
    assert rows["sft"].metrics["LaMP_3", "greedy"]["mae"] == 1.0


def test_missing_folds_are_named(fold):
    alone = [read_run(fold(1, {"ann": ("5", "5")}, num_folds=4))]
    assert "Not everybody was tested: 1 people, fold 1 of 4. For the rest run data.fold=0,2,3 too." in table_notes(
        sections_of(alone, None)
    )
    two = [*alone, read_run(fold(3, {"bob": ("5", "5")}, num_folds=4))]
    assert any("2 people, fold 1, 3 of 4" in line for line in table_notes(sections_of(two, None)))


def test_a_person_counts_once(fold):
    first = read_run(fold(0, {"ann": ("5", "5")}))
    with pytest.raises(UserError, match="test the same person of LaMP_3"):
        compare([first, read_run(fold(1, {"ann": ("5", "4")}))])
    with pytest.raises(UserError, match="both test fold 0 of full, seed 0"):
        compare([first, read_run(fold(0, {"bob": ("5", "4")}, tag="again"))])


def test_other_numbers_of_folds_and_other_seeds_are_not_pooled_with_them(fold):
    runs = [fold(0, {"ann": ("5", "5")}), fold(0, {"ann": ("5", "4")}, num_folds=3)]
    assert len(compare([read_run(run) for run in runs])) == 2
    seeds = [fold(i, {name: ("5", "4")}, seed=seed) for seed in (0, 1) for i, name in enumerate(("ann", "bob"))]
    (comparison,) = compare([read_run(run) for run in seeds])
    assert comparison.rows[0].by_seed.keys() == {0, 1}
    assert row_figures(comparison)[-1].people == 2


def test_intervals_are_over_all_folds_people(fold, folders, capsys):
    for index in range(2):
        # 11 people a fold: too few for an interval alone, 22 together; half of them off by one
        fold(index, {f"p{index}{i}": ("4", "4" if i % 2 else "5") for i in range(11)})
    (section,) = sections_of([read_run(path.parent) for path in folders.root.rglob("run.json")], None)
    (row,) = [one for one in section.figures if one.name == "sft"]
    low, high = row.metric_intervals["LaMP_3"]
    assert low < 12 / 22 < high
    always_4 = next(one for one in section.figures if one.name == "population_mode")
    assert always_4.metric_intervals["LaMP_3"] == (0, 0)
    assert main([str(folders.root / "demo")]) == 0
    printed = capsys.readouterr().out
    assert f"0.545 [{low:.3f}, {high:.3f}]" in printed
    assert "2 folds, 22 people" in printed
    assert "LaMP_3/greedy/mae/low" in (folders.root / "demo" / "table.csv").read_text()


def test_a_sweep_ends_with_the_pooled_table(fold, capsys):
    first, second = fold(0, {"ann": ("5", "5"), "bob": ("1", "3")}), fold(1, {"cat": ("3", "4")})
    run._show_sweep([first, second, first])
    printed = capsys.readouterr().out
    assert "2 folds, 3 people" in " ".join(printed.split())
    assert f"tagpr-table {first.parent}" in printed
    # errors 0, 2, 1
    assert re.search(r"sft +1\.000", printed)
