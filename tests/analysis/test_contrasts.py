"""Rows against rows, in runs made by hand: replicates, the list chosen before the runs, and what may be claimed."""

import csv

import pytest

from tagpr.analysis.files import write_sections
from tagpr.analysis.runs import find_runs, read_run
from tagpr.analysis.sections import sections_of
from tests.analysis.made_runs import make_run, many_people


def test_contrasts_need_two_replicates(seed_0, seed_1):
    one = sections_of([read_run(seed_0)], None)[0].contrasts
    assert [(c.name, c.baseline, c.p, c.outcome) for c in one] == [("rl_guided", "sft", None, "")]
    assert one[0].difference.value == pytest.approx(7 / 24)
    two = sections_of([read_run(seed_0), read_run(seed_1)], None)[0].contrasts[0]
    # per replicate 7/24 and .5 - .9375: both signs, so every flip is at least as far from 0; no list, no outcome
    assert (two.p, two.adjusted_p, two.outcome) == (1.0, None, "")


def listed(**pairs):
    return {"evaluation": {"contrasts": {name: {"row": row, "against": other} for name, (row, other) in pairs.items()}}}


def two_arms(folders, num_seeds, contrasts):
    """Arms full, whose RL row is always right, and no_prmu, where RL changes nothing; SFT is always wrong."""
    right, wrong = ["cosy"] * 20, ["city"] * 20
    for seed in range(num_seeds):
        people = many_people(folders, 20)
        make_run(folders, people, seed=seed, base=wrong, sft=wrong, rl=right, config=contrasts)
        make_run(
            folders, people, seed=seed, base=wrong, sft=wrong, rl=wrong, run_name="no_prmu",
            config={"rl": "other", **contrasts},
        )  # fmt: skip
    return sections_of(find_runs(folders.root), None)[0]


def test_holm_runs_over_the_listed_contrasts_and_outcomes_follow(folders, tmp_path):
    section = two_arms(
        folders, 10,
        listed(
            lift=("rl_guided", "sft"), prmu=("full/rl_guided", "no_prmu/rl_guided"),
            tied=("no_prmu/rl_guided", "no_prmu/sft"), absent=("rl_exploratory", "sft"),
        ),
    )  # fmt: skip
    found = {(c.name, c.baseline): c for c in section.contrasts}
    lift = found["full/rl_guided", "full/sft"]
    # ten replicates of +1: p = 2 / 2^10; four were listed, the smallest p times four
    assert (lift.p, lift.adjusted_p, lift.outcome) == (pytest.approx(2 / 1024), pytest.approx(8 / 1024), "holds")
    assert (lift.difference.low, lift.difference.high) == (1.0, 1.0)
    # the second smallest times three, but not below the first
    assert found["full/rl_guided", "no_prmu/rl_guided"].adjusted_p == pytest.approx(8 / 1024)
    # no difference in any replicate: p = 1, and an interval without width
    assert found["no_prmu/rl_guided", "no_prmu/sft"].outcome == "tie"
    # a row that nothing was listed for stands below, without adjustment or outcome
    unlisted = found["no_prmu/sft", "full/sft"]
    assert (section.contrasts[-1], unlisted.p, unlisted.adjusted_p, unlisted.outcome) == (unlisted, 1.0, None, "")
    write_sections([section], tmp_path / "out")
    text = (tmp_path / "out" / "table.md").read_text()
    assert "Holm over the 4 listed (1 of them have no rows here and count as p = 1)" in text
    rows = list(csv.DictReader((tmp_path / "out" / "contrasts.csv").open()))
    assert [(row["row"], row["outcome"]) for row in rows[:2]] == [("full/rl_guided", "holds")] * 2


def test_nothing_is_claimed_with_fewer_than_ten_replicates(folders):
    section = two_arms(folders, 9, listed(lift=("rl_guided", "sft")))
    lift = section.contrasts[0]
    assert (lift.adjusted_p, lift.outcome) == (pytest.approx(2 / 512), "undecided")
    assert "9 replicates: fewer than the 10 that claims need. No claims." in section.warnings


def test_a_baseline_chosen_after_the_runs_claims_nothing(folders):
    two_arms(folders, 10, listed(lift=("rl_guided", "sft")))
    found = sections_of(find_runs(folders.root), "full/sft")[0].contrasts
    assert {c.name for c in found} == {"full/rl_guided", "no_prmu/rl_guided", "no_prmu/sft"}
    assert {(c.baseline, c.adjusted_p, c.outcome) for c in found} == {("full/sft", None, "")}


def test_runs_under_different_lists_have_no_list(folders):
    questions, answers = many_people(folders, 20), ["cosy"] * 20
    for seed, pair in enumerate([("rl_guided", "sft"), ("rl_guided", "base")]):
        make_run(
            folders, questions, seed=seed, base=answers, sft=answers, rl=answers, config=listed(lift=pair)
        )  # fmt: skip
    (section,) = sections_of(find_runs(folders.root), None)
    assert len(section.comparison.seeds) == 2, "still replicates of one arm"
    assert [(c.adjusted_p, c.outcome) for c in section.contrasts] == [(None, "")]
    assert any("started under different evaluation.contrasts" in line for line in section.warnings)
