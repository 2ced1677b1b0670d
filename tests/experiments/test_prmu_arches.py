"""experiments/prmu_arches: the yardsticks by hand, the way to them, and the table of made-up stages."""

from __future__ import annotations

import math
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.prmu_arches.blind_share import LessAnybody
from experiments.prmu_arches.measure import (
    ACCURACY,
    AGREEING,
    DISAGREEING,
    ECE,
    FIGURES,
    HACKED,
    OVER_RANDOM,
    OVER_TWIN,
    SLICES,
    SWAP,
    measure,
)
from experiments.prmu_arches.pool import lead, pooled, share_of_the_way
from experiments.prmu_arches.stages import FULL, World, trained_in
from experiments.prmu_arches.table import section, text
from experiments.prmu_arches.yardsticks import (
    IMPOSSIBLE,
    ORACLE,
    POPULATION,
    POSTERIOR,
    ExpectedScore,
    Judges,
    OwnAnswer,
    from_entries,
    from_truth,
    likelier_of_anybody,
    possible_golds,
    yardsticks,
)
from tagpr.data.simulated.command import compose_source
from tagpr.data.simulated.observer import reference_answers
from tagpr.data.simulated.truth import preferred_answer, true_rule
from tagpr.errors import UserError
from tagpr.evaluation.prmu_figures import Figure
from tagpr.prmu.pairs import PolicySample, shared_query_pairs
from tagpr.prmu.texts import query_context, user_history
from tagpr.storage import write_json
from tagpr.tasks import ALL_TASKS
from tagpr.types import Record

RUN = Path(__file__).parents[2] / "experiments" / "prmu_arches" / "run.sh"


@pytest.fixture(scope="module")
def people() -> list[Record]:
    """Everybody of a smoke world, all six tasks."""
    source = compose_source(["data.size=smoke", "data.tasks=[S1,S2,S3,S4,S5,S7]"])
    return source.draw(seed=0, advance=lambda people: None)


@pytest.fixture(scope="module")
def noise_free(people: list[Record]) -> World:
    """Train people's questions answered as their rule says, those that several share paired; four answers to some."""
    asked = []
    for record in people:
        if record.split == "train":
            assert record.truth is not None
            asked.append(replace(record, gold=preferred_answer(record.task, true_rule(record.truth), record.query)))
    blocks = shared_query_pairs(asked, people_per_query=3, generator=np.random.default_rng(0))
    pairs = [pair for block in blocks[::3] for pair in block]
    samples = []
    for record in asked[::20]:
        golds = list(possible_golds(record.task, record.query).values())
        for i in range(4):
            answer = (record.gold or "") if i == 2 else golds[i % len(golds)]
            score = ALL_TASKS[record.task].score(answer, record.gold or "")
            samples.append(
                PolicySample(record_id=record.record_id, user_id=record.user_id, task=record.task, split="dev",
                             with_history=True, sample_index=i, answer=answer, parsed=True, score=score)
            )  # fmt: skip
    everybody = [record for record in people if record.split != "train"] + asked
    return World(seed="w", records=everybody, pairs=pairs, samples=samples, num_bins=10)


def strangers(people: list[Record], number: int = 3):
    found: dict[str, list] = {}
    for record in people:
        if record.split == "test" and len(found.setdefault(record.task, [])) < number:
            found[record.task].append(user_history(record))
    return found


class Blind:
    """Likes long answers, whoever is asked."""

    temperature, max_entries = 1.0, 6

    def score(self, users, queries, answers, *, encode=None, needed=None):
        return torch.tensor([[float(len(answer)) for answer in answers] for _ in users])


# --- in one world


def test_the_oracle_ranks_every_noise_free_pair_rightly_and_cannot_be_hacked(noise_free):
    found = measure(
        yardsticks(noise_free.records, max_entries=6)[ORACLE], noise_free, strangers(list(noise_free.records)),
        encode=None,
    )  # fmt: skip
    assert found[ACCURACY].value == found[SWAP].value == 1.0
    assert found[AGREEING].value == found[DISAGREEING].value == 1.0
    assert found[ACCURACY].count == len(noise_free.pairs) > 50
    assert found[HACKED].value == 0.0
    # the gold is among the four answers, and scores 1
    best = 1.0 - np.mean([sample.score for sample in noise_free.samples])
    assert found[OVER_RANDOM].value == pytest.approx(best, abs=1e-6)
    assert found[ECE].value < 0.02


def test_a_blind_judge_is_at_one_half_and_gains_nothing_over_its_twin(noise_free):
    found = measure(
        Judges(of_pairs=Blind(), of_answers=Blind()), noise_free, strangers(list(noise_free.records)), encode=None
    )
    assert found[ACCURACY].value == found[SWAP].value == 0.5
    assert found[OVER_TWIN].value == pytest.approx(0.0, abs=1e-9)
    assert found[HACKED].value > 0.5  # every cue makes an answer longer
    # mirrors: each pair of the one slice is one of the other, turned round
    assert found[AGREEING].value + found[DISAGREEING].value == pytest.approx(1.0)
    assert found[AGREEING].count == found[DISAGREEING].count


def test_the_posterior_lies_between_and_knows_nothing_without_entries(noise_free):
    world = replace(noise_free, samples=[])
    whole, one, none = (
        measure(yardsticks(world.records, max_entries=n)[POSTERIOR], world, {}, encode=None) for n in (6, 1, 0)
    )
    assert none[ACCURACY].value == none[SWAP].value == 0.5
    for name in (ACCURACY, SWAP):
        assert 0.5 < one[name].value < whole[name].value < 1.0


# --- the yardsticks


def test_an_answer_is_weighed_by_its_chance_and_the_populations(people):
    """S3, noise n: the true rule's level has 1 - n, each of the four others n / 4."""
    record = next(one for one in people if one.task == "S3")
    assert record.truth is not None
    noise = record.truth["noise"]
    own = preferred_answer("S3", true_rule(record.truth), record.query)
    levels = ["1", "2", "3", "4", "5"]
    oracle = OwnAnswer([record], believe=from_truth, max_entries=6)
    asked = [user_history(record)], [query_context(record)] * 6, [*levels, "10"]
    *rewards, impossible = oracle.score(*asked)[0].tolist()
    assert impossible == IMPOSSIBLE
    likelihoods = [
        reward + likelier_of_anybody(record, level, own) for level, reward in zip(levels, rewards, strict=True)
    ]
    for level, likelihood in zip(levels, likelihoods, strict=True):
        gap = 0.0 if level == own else math.log(noise / 4 / (1 - noise))
        assert likelihood - likelihoods[levels.index(own)] == pytest.approx(gap)
    # 1 - n for the own level, n / 4 for each other one, |error| / 4 off
    expected = ExpectedScore([record], believe=from_truth, max_entries=6).score(*asked)[0].tolist()
    for level, value in zip(levels, expected[:5], strict=True):
        chances = [1 - noise if gold == own else noise / 4 for gold in levels]
        by_hand = sum(p * (1 - abs(int(level) - int(g)) / 4) for p, g in zip(chances, levels, strict=True))
        assert value == pytest.approx(by_hand)


@pytest.mark.parametrize("task", ["S1", "S2", "S3", "S4", "S5", "S7"])
def test_the_posteriors_favourite_is_the_observers_answer(people, task):
    """Two codes for one thing: the best of all possible golds cannot beat the observer's answer."""
    for record in [one for one in people if one.task == task and one.split == "dev"][:4]:
        best = reference_answers(record, record.profile)
        judge = ExpectedScore([record], believe=from_entries, max_entries=99)
        golds = list(possible_golds(task, record.query).values())
        answers = [best.bayes, *golds]
        rewards = judge.score([user_history(record)], [query_context(record)] * len(answers), answers)[0]
        assert rewards[0] == pytest.approx(best.bayes_expected, abs=1e-9)
        assert rewards.max() <= best.bayes_expected + 1e-9


def test_a_text_about_something_else_is_nobodys(people):
    one, other = [r for r in people if r.task == "S5" and r.split == "dev"][:2]
    answers = [preferred_answer("S5", true_rule(r.truth or {}), r.query) for r in (one, other)]
    judge = OwnAnswer([one], believe=from_truth, max_entries=6)
    own, elsewhere = judge.score([user_history(one)], [query_context(one)] * 2, answers)[0].tolist()
    assert own > 0 > elsewhere == IMPOSSIBLE


def test_only_cells_that_are_needed_are_judged(people):
    record = next(one for one in people if one.task == "S3")
    judge = OwnAnswer([record], believe=from_entries, max_entries=6)
    rewards = judge.score(
        [user_history(record)], [query_context(record)] * 2, ["1", "2"], needed=torch.tensor([[True, False]])
    )
    assert rewards.isnan().tolist() == [[False, True]]


def test_people_without_a_truth_have_no_yardstick(people):
    record = replace(people[0], truth=None)
    judge = OwnAnswer([record], believe=from_entries, max_entries=6)
    with pytest.raises(UserError, match="simulated people alone"):
        judge.score([user_history(record)], [query_context(record)], ["1"])


def test_what_anybody_would_like_is_taken_off(people):
    """R is the length for all; less all of it, nothing is left."""
    record = next(one for one in people if one.task == "S2")
    asked = [user_history(record)], [query_context(record)] * 2, ["cosy", "quiet"]
    less = [
        LessAnybody(Blind(), strangers(people), [record], blind_share=share).score(*asked).tolist()  # type: ignore[arg-type]
        for share in (0.0, 0.5, 1.0)
    ]
    assert less == [[[4.0, 5.0]], [[2.0, 2.5]], [[0.0, 0.0]]]


# --- over seeds


def figure(value: float, *, people: int = 40, interval: tuple[float, float] | None = None) -> Figure:
    return Figure(value=value, interval=interval, count=10, people=people)


def test_one_seed_keeps_its_interval_over_people():
    one = pooled({"a": figure(0.7, interval=(0.6, 0.8))})
    assert (one.value, one.low, one.high) == (0.7, 0.6, 0.8)


def test_several_seeds_have_students_interval_over_seeds():
    """.6 .7 .8: mean .7, s = .1; t(2) = 4.303; half 4.303 * .1 / sqrt(3) = .248."""
    found = pooled({str(i): figure(value) for i, value in enumerate((0.6, 0.7, 0.8))})
    assert found.value == pytest.approx(0.7)
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 2 == pytest.approx(0.2484, rel=0.03)
    few = pooled({str(i): figure(value, people=6) for i, value in enumerate((0.6, 0.7, 0.8))})
    assert few.low is None  # 18 people in all


def test_share_of_the_way_is_a_ratio_of_means_over_shared_seeds():
    arm = {"a": figure(0.7), "b": figure(0.8), "only here": figure(0.0)}
    posterior = {"a": figure(0.9), "b": figure(0.9), "only there": figure(0.0)}
    found = share_of_the_way(arm, posterior, chance=0.5)
    assert found is not None
    assert found.value == pytest.approx(0.25 / 0.4)  # (.75 - .5) / (.9 - .5)
    one = share_of_the_way({"a": figure(0.2)}, {"a": figure(0.25)}, chance=0.0)
    assert one is not None
    assert (one.value, one.low) == (pytest.approx(0.8), None)
    # from another judge's figure: (.75 - .6) / (.9 - .6)
    found = share_of_the_way(arm, posterior, chance={"a": figure(0.6), "b": figure(0.6)})
    assert found is not None
    assert found.value == pytest.approx(0.15 / 0.3)
    assert share_of_the_way({"a": figure(0.7)}, {"b": figure(0.9)}, chance=0.5) is None


def test_a_lead_is_paired_by_seed():
    """Worlds that differ by .4 do not blur a lead of .1 in each."""
    one = {"a": figure(0.5), "b": figure(0.7), "c": figure(0.9)}
    other = {"a": figure(0.4), "b": figure(0.6), "c": figure(0.8)}
    found = lead(one, other)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_the_section_has_every_arm_and_the_yardsticks():
    values = {"bilinear": 0.8, "similarity": 0.6, POPULATION: 0.5, POSTERIOR: 0.9, ORACLE: 1.0}
    found = {arm: {name: {"a": figure(v)} for name in (*FIGURES, *SLICES)} for arm, v in values.items()}
    lines = section(found)
    cells = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in lines if line.startswith("|")}
    assert [line.split("|")[1].strip() for line in lines if line.startswith("|")][2:8] == [
        "bilinear", "similarity", POPULATION, POSTERIOR, ORACLE, "chance",
    ]  # fmt: skip
    assert cells["bilinear - similarity"][0].strip() == "+0.200"
    assert text(None) == text(pooled({"a": figure(math.nan)})) == "-"


# --- stages


def stage(folder: Path, name: str, *, arch: str = "bilinear", mix_n1: float = 0.5, contrast: float = 1.0) -> None:
    cache = folder / "cache"
    write_json(cache / "records" / "w" / "manifest.json", {"stage": "records", "config": {}})
    pairs = f"p{mix_n1}"
    mix = {"N1": mix_n1, "N2": 0.1}
    write_json(cache / "pairs" / pairs / "manifest.json", {"stage": "pairs", "config": {"pairs": {"mix": mix}}})
    write_json(cache / "prmu" / name / "model" / "prmu.json", {"arch": arch})
    config = {"prmu": {"objective": {"contrast_weight": contrast}}}
    write_json(
        cache / "prmu" / name / "manifest.json",
        {"stage": "prmu", "inputs": {"records": "w", "pairs": pairs}, "config": config},
    )


def test_arms_are_told_by_what_they_lack(tmp_path):
    stage(tmp_path, "1")
    stage(tmp_path, "2", arch="basis")
    stage(tmp_path, "3", mix_n1=0)
    stage(tmp_path, "4", contrast=0)
    (tmp_path / "cache" / "prmu" / "running").mkdir()
    found = {(one.arch, one.part) for one in trained_in(tmp_path)}
    assert found == {("bilinear", FULL), ("basis", FULL), ("bilinear", "no N1"), ("bilinear", "no contrast")}
    assert [one.arch for one in trained_in(tmp_path / "cache" / "prmu" / "2")] == ["basis"]
    stage(tmp_path, "5", arch="basis")
    with pytest.raises(UserError, match="must count once"):
        trained_in(tmp_path)


def test_a_folder_without_prmu_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"run\.sh"):
        trained_in(tmp_path)


def test_run_sh_says_which_studies_there_are():
    found = subprocess.run(["bash", str(RUN), "nothing"], capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "arches, parts or all" in found.stderr
