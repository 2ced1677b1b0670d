"""The figures of experiments/world_learning by hand, and its tables from made-up runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.world_learning.equal_compute import equal_steps
from experiments.world_learning.evidence import f1_at_random, judged
from experiments.world_learning.figures import (
    ABOVE,
    BEST,
    BLIND,
    GAP,
    MEAN,
    SCORE,
    halves,
    lead,
    scores,
    text,
    with_best,
)
from experiments.world_learning.read import Answer, arms_of, run_named, unaware_scores
from experiments.world_learning.tables import page
from tagpr.analysis.panel import Estimate
from tagpr.analysis.runs import Artifact, Evaluation
from tagpr.chains.tags import TagVocabulary
from tagpr.compose import composed
from tagpr.data.simulated.command import compose_source
from tagpr.errors import UserError
from tagpr.storage import write_json
from tagpr.tasks import task_named
from tests.analysis.conftest import RunFolders

RUN = Path(__file__).parents[2] / "experiments" / "world_learning" / "run.sh"


def answer(task="S2", record="r0", *, user="u0", score=0.0, blind=0.0, best=1.0, seed=0) -> Answer:
    return Answer(seed=seed, user=user, task=task, record_id=record, score=score, blind=blind, best=best)


def people(num: int, *, score: float, blind: float, best: float) -> list[Answer]:
    return [answer(record=f"r{i}", user=f"u{i}", score=score, blind=blind, best=best) for i in range(num)]


def test_gap_closed_is_a_ratio_of_means_over_tasks():
    answers = [
        answer("S2", "a", score=1.0, blind=0.0, best=1.0),
        answer("S2", "b", score=0.0, blind=1.0, best=1.0),  # S2: score 1/2, blind 1/2, best 1
        answer("S3", "c", score=0.75, blind=0.25, best=1.0),
    ]
    found = scores(answers)
    assert found[SCORE, MEAN].value == pytest.approx((0.5 + 0.75) / 2)
    assert found[BLIND, MEAN].value == pytest.approx(0.375)
    assert found[BEST, "S3"].value == pytest.approx(1.0)
    assert found[ABOVE, MEAN].value == pytest.approx(0.25)
    assert found[GAP, "S2"].value == pytest.approx(0.0)
    assert found[GAP, "S3"].value == pytest.approx(0.5 / 0.75)
    assert found[GAP, MEAN].value == pytest.approx(0.25 / 0.625)  # not the mean of the tasks' ratios, 1/3


def test_without_a_gap_there_is_nothing_to_close():
    found = scores(people(30, score=0.5, blind=0.5, best=0.5))
    assert text(found[GAP, MEAN]) == "-"
    assert text(found[ABOVE, MEAN], "+") == "+0.000 [+0.000, +0.000]"


def test_intervals_need_twenty_people_whatever_they_were_asked():
    many_questions = [answer(record=f"r{i}", user=f"u{i % 19}", score=i % 2) for i in range(190)]
    assert scores(many_questions)[SCORE, MEAN].low is None
    half = [answer(record=f"r{i}", user=f"u{i}", score=i % 2) for i in range(100)]
    found = scores(half)[SCORE, MEAN]
    assert found.value == 0.5
    # 1.96 standard errors of a share of 1/2 among 100 people: .098
    assert (found.low, found.high) == (pytest.approx(0.402, abs=0.015), pytest.approx(0.598, abs=0.015))


def test_people_of_two_worlds_are_other_people():
    # 12 people in each of two worlds, of the same names: 24, enough for an interval
    twice = [answer(record=f"r{i}", user=f"u{i}", seed=seed, score=i % 2) for seed in (0, 1) for i in range(12)]
    assert len({one.key for one in twice}) == 24
    assert scores(twice)[SCORE, MEAN].low is not None
    assert scores(twice[:12])[SCORE, MEAN].low is None


def test_another_yardstick_changes_the_ceiling_alone():
    short, whole = people(3, score=0.5, blind=0.0, best=0.5), people(3, score=0.9, blind=0.0, best=1.0)
    found = scores(with_best(short, whole))
    assert (found[SCORE, MEAN].value, found[GAP, MEAN].value) == (0.5, 0.5)


def test_a_lead_is_paired_by_question():
    first = [answer(record="a", score=1.0), answer(record="b", score=0.0), answer("S3", "c", score=0.5)]
    second = [answer("S3", "c", score=0.75), answer(record="b", score=0.0), answer(record="a", score=0.0)]
    found = lead(first, second)
    assert found[SCORE, "S2"].value == pytest.approx(0.5)
    assert found[SCORE, MEAN].value == pytest.approx((0.5 - 0.25) / 2)


def test_arms_that_were_asked_other_questions_have_no_lead():
    with pytest.raises(UserError, match="2 and 1, 1 shared"):
        lead([answer(record="a"), answer(record="b")], [answer(record="a")])
    with pytest.raises(UserError, match="two worlds"):
        lead([answer(record="a", blind=0.0)], [answer(record="a", blind=1.0)])


def test_both_sides_of_a_slice_and_their_difference():
    inside = [
        answer("S2", "a", score=1.0, blind=0.0, best=1.0),
        answer("S3", "c", score=0.5, blind=0.0, best=1.0),
    ]
    outside = [
        answer("S2", "b", user="u1", score=0.5, blind=0.25, best=0.75),
        answer("S3", "d", user="u1", score=0.25, blind=0.25, best=0.75),
        answer("S5", "e", score=1.0, blind=0.0, best=1.0),  # no S5 inside: left out of both
    ]
    first, second, difference = halves([*inside, *outside], lambda one: one.record_id in "ac")
    assert first[SCORE, MEAN].value == pytest.approx(0.75)
    assert first[GAP, MEAN].value == pytest.approx(0.75)
    assert second[GAP, MEAN].value == pytest.approx((0.375 - 0.25) / (0.75 - 0.25))
    assert difference[GAP, MEAN].value == pytest.approx(0.75 - 0.25)
    assert difference[SCORE, "S2"].value == pytest.approx(0.5)
    assert ("score", "S5") not in first
    assert halves(inside, lambda one: True) == ({}, {}, {})


def test_a_side_with_few_people_has_no_interval():
    answers = [answer(record=f"r{i}", user=f"u{i}", score=float(i % 2)) for i in range(40)]
    first, second, difference = halves(answers, lambda one: int(one.user[1:]) < 25)
    assert first[SCORE, MEAN].low is not None
    assert second[SCORE, MEAN].low is None
    assert difference[SCORE, MEAN].low is None


def test_numbers_as_text():
    assert text(Estimate(value=0.5)) == "0.500"
    assert text(Estimate(value=0.5, low=-0.25, high=1.0), "+") == "+0.500 [-0.250, +1.000]"
    assert (text(None), text(Estimate(value=float("nan")))) == ("-", "-")


# --- two ceilings ----------------------------------------------------------------------------------------------------


def test_who_does_not_know_a_family_takes_its_people_for_others(tmp_path: Path):
    source = compose_source(["data.size=smoke", "data.families=[lexicographic,contrarian]",
                             "data.held_out_family=contrarian", "data.tasks=[S3]"])  # fmt: skip
    records = [one for one in source.draw(seed=0, advance=lambda n: None) if one.split == "test"]
    shown = {one.record_id: list(range(len(one.profile))) for one in records}
    write_json(tmp_path / "shown_entries.json", {"S3": shown})
    known = {("S3", one.record_id): one for one in records}
    found = unaware_scores(Evaluation(folder=tmp_path), known)
    assert found.keys() == known.keys()
    aware = []
    for key, record in known.items():
        assert record.truth is not None
        # Every entry is shown, so that the truth holds the same observer's answer.
        expected = task_named("S3").score(record.truth["bayes_unaware"]["answer"], record.gold or "")
        assert found[key] == pytest.approx(expected)
        if record.truth["held_out_family"]:
            aware.append(task_named("S3").score(record.truth["bayes"]["answer"], record.gold or "") - found[key])
    assert sum(aware) > 0  # to know the family is worth something on its people


# --- evidence --------------------------------------------------------------------------------------------------------


def test_evidence_drawn_at_random_by_hand():
    # 4 of 6 cited, 5 right: 4 * 5 / 6 = 3 1/3 in common; 2 * 10/3 / 9
    assert f1_at_random(cited=4, evidence=5, shown=6) == pytest.approx(20 / 27)
    assert f1_at_random(cited=6, evidence=5, shown=6) == pytest.approx(10 / 11)  # all: recall 1, precision 5/6
    assert f1_at_random(cited=0, evidence=5, shown=6) == 0.0


@given(num=st.integers(1, 6), data=st.data())
def test_evidence_drawn_at_random_is_the_mean_over_all_draws(num, data):
    right = data.draw(st.integers(1, num))
    cited = data.draw(st.integers(1, num))
    evidence = set(range(right))
    draws = [2 * len(evidence & set(some)) / (cited + right) for some in combinations(range(num), cited)]
    assert f1_at_random(cited=cited, evidence=right, shown=num) == pytest.approx(sum(draws) / len(draws))


def test_a_chain_that_cites_the_right_entries_is_better_than_chance():
    source = compose_source(["data.size=smoke", "data.tasks=[S3]"])
    record = source.draw(seed=0, advance=lambda n: None)[0]
    record = replace(record, truth={**(record.truth or {}), "evidence": [0, 2, 5]})
    vocabulary = TagVocabulary(names=["examine_examples"])

    def figures(cited: str, shown: Sequence[int] = range(6)) -> dict[str, float]:
        text = f"<think><examine_examples>{cited}</examine_examples></think>3"
        return judged(record, shown, text, vocabulary)

    right, wrong = figures("<1> 3 <3> 3"), figures("<2> 3 <4> 3")
    # evidence are entries 1, 3 and 6 of 6: two right ones 2 * 2 / 5; at random 2 * (2 * 3 / 6) / 5
    assert (right["evidence_f1"], right["at_random"], right["cited"]) == (pytest.approx(0.8), pytest.approx(0.4), 2)
    assert (right["over"], wrong["over"]) == (pytest.approx(0.4), pytest.approx(-0.4))
    assert right["all"] == pytest.approx(2 * 3 / 9)
    assert judged(record, range(6), "<think>no tags</think>3", vocabulary) == {}
    assert figures("<1> 3", shown=[1, 3]) == {}  # no entry shown is evidence


# --- equal compute ---------------------------------------------------------------------------------------------------


def sft(tmp_path: Path, steps: int, cpu_seconds: float, **manifest) -> Artifact:
    folder = tmp_path / f"{steps}-{cpu_seconds}"
    write_json(folder / "manifest.json", {"cpu_seconds": cpu_seconds, "counts": {"steps": steps}, **manifest})
    return Artifact(folder=folder)


@pytest.mark.parametrize(
    "steps, seconds, reference, expected",
    [(200, 100.0, 170.0, 340), (200, 200.0, 170.0, 170), (3, 10.0, 11.0, 3), (3, 1000.0, 1.0, 1)],
)
def test_steps_for_the_same_time(tmp_path, steps, seconds, reference, expected):
    assert equal_steps(sft(tmp_path, steps, seconds), sft(tmp_path, 200, reference)) == expected


def test_time_that_is_known_in_part_is_refused(tmp_path):
    with pytest.raises(UserError, match="went on after it was stopped"):
        equal_steps(sft(tmp_path, 200, 50.0, resumed=True), sft(tmp_path, 200, 170.0))


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> list[list[str]]:
    """What run.sh would call, for every study, with one override of the caller's."""
    folder = tmp_path_factory.mktemp("bin")
    for name, body in {"tagpr": f'printf "%s\\n" "$@" "" >> {folder}/calls', "python": "echo 300"}.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SEEDS": "0 3"}
    subprocess.run(["bash", str(RUN), "all", "elsewhere", "sft.steps=7"], env=environment, check=True)
    return [call.splitlines() for call in (folder / "calls").read_text().split("\n\n") if call]


def test_every_study_runs_once_per_seed_with_the_callers_overrides(commands):
    assert len(commands) == 2 * (3 + 1 + 2 + 1 + 5 + 1)
    assert len(set(map(tuple, commands))) == len(commands)
    for own in commands:
        assert ("seed=0" in own) != ("seed=3" in own)
        assert "paths.runs=elsewhere" in own
        # Where the study decides the steps itself its own word comes last.
        assert next(one for one in own if one.startswith("sft.steps")) == "sft.steps=7"
        assert ("sft.steps=300" in own) == any(one.endswith("_equal_cpu") for one in own)


def test_the_commands_are_valid_and_differ_in_what_they_study(commands):
    wanted = ("users_60", "varied", "held_out", "eight", "direct_equal_cpu", "untagged")
    found = {
        name: composed(own) for own in commands for name in wanted if f"run_name={name}" in own and "seed=0" in own
    }
    assert set(found) == set(wanted)
    assert found["users_60"].chains.train_people == 60
    assert list(found["users_60"].evaluation.rows) == ["sft"]
    assert {name: row.entries for name, row in found["varied"].evaluation.rows.items()} == {
        "sft": None, "sft_0": 0, "sft_1": 1, "sft_3": 3, "sft_8": 8,
    }  # fmt: skip
    assert found["held_out"].data.held_out_family == "contrarian"
    assert len(found["eight"].data.families) == 8
    assert found["direct_equal_cpu"].sft.steps == 300
    assert not found["direct_equal_cpu"].prompt.thinking
    assert found["untagged"].prompt.thinking
    assert not found["untagged"].tags.names
    assert all(list(one.rl.order) == [] for one in found.values())


def test_an_unknown_study_is_refused():
    answer = subprocess.run(["bash", str(RUN), "usres"], capture_output=True, text=True)
    assert answer.returncode == 2
    assert "usres is no study: users, entries" in answer.stderr


# --- tables ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> RunFolders:
    return RunFolders(root=tmp_path / "runs")


@pytest.fixture
def asked(folders):
    return [folders.asked("S2", f"r{i}", f"u{i}", "cosy", "snug" if i % 2 else "cosy", "cosy") for i in range(24)]


def users_run(folders, asked, name: str, number: int | None, *, right: int, seed: int = 0) -> Path:
    folders.records("r0", "world")
    write_json(folders.root / "cache" / "records" / "r0" / "manifest.json",
               {"counts": {"people_train": 240}, "config": {"data": {}}, "source_files": {}})  # fmt: skip
    folders.stage("chains", f"c{name}", config={"chains": {"train_people": number}}, counts={})
    counts = {"steps": 200, "train_chains": 480, "gold_labels": 300}
    folders.stage("sft", f"s{name}", config={"sft": {"batch_size": 24}}, counts=counts, cpu_seconds=100.0)
    answers = ["cosy" if i < right else "quiet" for i in range(len(asked))]
    path = [("records", "r0"), ("chains", f"c{name}"), ("sft", f"s{name}")]
    evaluations = {"greedy": folders.evaluation(f"e{name}", asked, answers)}
    return folders.run({"sft": ("sft", path, evaluations)}, run_name=name, experiment="world_users", seed=seed)


def test_the_table_of_training_people(folders, asked):
    users_run(folders, asked, "users_60", 60, right=12)
    users_run(folders, asked, "users_all", None, right=18)
    lines = page(folders.root)
    rows = [line for line in lines if line.startswith(("| 60 ", "| 240 "))]
    assert [row.split(" | ")[:5] for row in rows] == [
        ["| 60", "300", "480", "200", "10.0"],  # 200 steps of 24 chains over 480
        ["| 240", "300", "480", "200", "10.0"],
    ]
    # blind 12 of 24, Bayes 24 of 24; 12 and 18 right
    assert "0.500 [" in rows[0]
    assert " | - | 0.000 [" in rows[0]
    assert " | +0.250 [" in rows[1]
    assert " | 0.500 [" in rows[1]
    assert lines[-1].startswith("Scores are the tasks' rewards")
    assert not any("## Against history length" in line for line in lines)


def test_a_seed_of_an_arm_counts_once(folders, asked):
    first = users_run(folders, asked, "users_60", 60, right=12)
    second = users_run(folders, asked, "users_60", 60, right=12)
    assert first != second
    with pytest.raises(UserError, match="both seed 0 of users_60"):
        arms_of(folders.root, "world_users")
    assert any(line.startswith("No table: ") and "both seed 0" in line for line in page(folders.root))


def test_arms_without_a_common_seed_give_no_table(folders, asked):
    users_run(folders, asked, "users_60", 60, right=12, seed=0)
    users_run(folders, asked, "users_all", None, right=12, seed=1)
    assert any("no seed is common to all arms (users_60: 0; users_all: 1)" in line for line in page(folders.root))


def test_a_run_that_is_not_there_is_named(folders, asked):
    users_run(folders, asked, "users_60", 60, right=12)
    with pytest.raises(UserError, match=r"no run world_users/users_90 of seed 0.*users_60 \(seeds 0\)"):
        run_named(folders.root, "world_users", "users_90", 0)
