"""What the teacher's own chains are worth, beside the table."""

import pytest

from tagpr.analysis.runs import find_runs
from tagpr.analysis.sections import sections_of


@pytest.fixture
def lines(folders):
    """Lines of runs (name, seed, counts of the chains stage, teacher); two S2 questions, blind is right on one."""

    def of(*runs, simulated=True):
        for run_name, seed, counts, teacher in runs:
            s = f"{run_name}{seed}"
            folders.records("r" + s, "simulated" if simulated else "real")
            folders.stage("chains", "c" + s, counts=counts, cpu_seconds=1.0, config={"teacher": teacher})
            folders.stage("sft", "f" + s, counts={"gold_labels": 2, "steps": 1}, cpu_seconds=1.0)
            ask = folders.asked if simulated else lambda *given: folders.Asked(*given[:4], {"mode": given[4]})
            asked = [
                ask("S2", f"{s}q0", f"{s}u0", "cosy", "cosy", "cosy"),
                ask("S2", f"{s}q1", f"{s}u1", "city", "cosy", "city"),
            ]
            evaluation = folders.evaluation("e" + s, asked, ["cosy", "city"], records="r" + s)
            stages = [("records", "r" + s), ("chains", "c" + s), ("sft", "f" + s)]
            folders.run({"sft": ("sft", stages, {"greedy": evaluation})}, seed=seed, run_name=run_name)
        (section,) = sections_of(find_runs(folders.root), None)
        return [line for line in section.warnings if line.startswith("The teacher")]

    return of


COUNTS = {"gold_labels": 2, "teacher_score/S2": 0.4, "teacher_honest_score/S2": 0.5, "teacher_habitual_score/S2": 0.1}


def test_a_teacher_that_is_no_better_than_ignoring_the_person_is_named(lines):
    assert lines(("full", 0, COUNTS, {"habit": 0.3})) == [
        "The teacher itself, on train people, before rejection: S2 0.50. On S2 that is no better than ignoring the "
        "person (0.50)."
    ]


def test_replicates_are_averaged(lines):
    better = COUNTS | {"teacher_honest_score/S2": 0.8}
    assert lines(("full", 0, COUNTS, {"habit": 0.3}), ("full", 1, better, {"habit": 0.3})) == [
        "The teacher itself, on train people, before rejection: S2 0.65."
    ]


def test_two_teachers_have_a_line_each(lines):
    honest = {"gold_labels": 2, "teacher_score/S2": 0.9}
    assert lines(("full", 0, COUNTS, {"habit": 0.3}), ("honest", 0, honest, {"habit": 0.0})) == [
        "The teacher of full itself, on train people, before rejection: S2 0.50. On S2 that is no better than "
        "ignoring the person (0.50).",
        "The teacher of honest itself, on train people, before rejection: S2 0.90.",
    ]


def test_of_real_people_only_the_score(lines):
    assert lines(("full", 0, {"gold_labels": 2, "teacher_score/S2": 0.1}, {}), simulated=False) == [
        "The teacher itself, on train people, before rejection: S2 0.10."
    ]


def test_nothing_of_chains_that_were_made_without_these_counts(lines):
    assert lines(("full", 0, {"gold_labels": 2, "teacher_score": 0.5}, {})) == []
