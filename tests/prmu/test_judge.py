import numpy as np
import pytest
import torch

from tagpr.prmu.datamodule import histories_of
from tagpr.prmu.gate import GateNotMet, StopGate, WarnGate, WeakRewardModel, no_samples
from tagpr.prmu.judge import (
    BestOfN,
    JudgedPairs,
    best_of_n,
    bootstrap_lower_bound,
    judge_pairs,
    pair_metrics,
    pick_metrics,
    swap_wins,
)
from tagpr.prmu.pairs import PolicySample, shared_query_pairs
from tagpr.prmu.text_encoder import FrozenEncoder


@pytest.fixture
def people(make_record):
    responses = ("cosy", "grand", "eerie", "quiet")
    return [
        make_record(f"r{i}", f"u{i}", gold=gold, history=((f"x{i}", gold), (f"y{i}", gold)))
        for i, gold in enumerate(responses)
    ]


@pytest.fixture
def pairs(people):
    (block,) = shared_query_pairs(people, people_per_query=9, generator=np.random.default_rng(0))
    return block


def judged(model, pairs, people, chunk=5) -> JudgedPairs:
    encode = FrozenEncoder(model.encoder, capacity=99)
    return judge_pairs(model, pairs, *histories_of(pairs, people), chunk=chunk, encode=encode)


def test_margins_are_those_of_single_scorings(bilinear, pairs, people):
    result = judged(bilinear, pairs, people)
    histories, contexts = histories_of(pairs, people)
    for i in (0, 4, 11):
        pair = pairs[i]
        users = [histories[pair.record_id], histories[pair.other_record_id]]
        rewards = bilinear.score(users, [contexts[pair.record_id]] * 2, [pair.chosen, pair.rejected])
        assert rewards.shape == (2, 2)
        torch.testing.assert_close(result.margins[i], rewards[0, 0] - rewards[0, 1], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(result.other_margins[i], rewards[1, 0] - rewards[1, 1], atol=1e-5, rtol=1e-4)


def test_a_user_blind_model_is_at_half_on_every_personal_figure(agnostic, pairs, people):
    with torch.no_grad():
        agnostic.arch.head.weight.normal_(0, 10)
    metrics = pair_metrics(judged(agnostic, pairs, people), prefix="unseen")
    assert metrics["unseen/accuracy/N1"] == 0.5
    assert metrics["unseen/swap_accuracy"] == metrics["unseen/swap_accuracy/S2"] == 0.5


def test_the_untrained_dot_product_is_alive(bilinear, pairs, people):
    """People whose history holds their answer: it agrees with that history before any training."""
    assert pair_metrics(judged(bilinear, pairs, people), prefix="p")["p/swap_accuracy"] > 0.6


def test_swaps_count_each_couple_once(bilinear, pairs, people):
    wins, own, other = swap_wins(judged(bilinear, pairs, people))
    assert len(wins) == len(pairs) // 2 == 6
    assert {frozenset(couple) for couple in zip(own, other, strict=True)} == {
        frozenset((f"u{i}", f"u{j}")) for i in range(4) for j in range(i)
    }


def test_bootstrap_bounds():
    generator = np.random.default_rng(0)
    same = torch.ones(6)
    assert bootstrap_lower_bound(same, [list("aabbcc")], num_resamples=50, generator=generator) == 1.0
    values = torch.tensor([0.0, 1.0] * 50)
    people = [f"u{i}" for i in range(100)]
    lower = bootstrap_lower_bound(values, [people], num_resamples=2000, generator=generator)
    assert lower == pytest.approx(0.5 - 1.96 * 0.05, abs=0.01)
    # Values that hang on two people each are surer to vary together.
    two = bootstrap_lower_bound(values, [people, people[1:] + people[:1]], num_resamples=2000, generator=generator)
    assert two < lower


def samples_of(record, answers: dict[str, float], unparsed: str = "") -> list[PolicySample]:
    return [
        PolicySample(
            record_id=record.record_id,
            user_id=record.user_id,
            task=record.task,
            split="dev",
            with_history=True,
            sample_index=i,
            answer=answer,
            parsed=answer != unparsed,
            score=score,
        )
        for i, (answer, score) in enumerate(answers.items())
    ]


def test_best_of_n(bilinear, people):
    record = people[0]
    samples = samples_of(record, {"cosy": 1.0, "quiet": 0.0, "broken": 0.5}, unparsed="broken")
    references = {"S2": [((f"z{i}", "quiet"),) for i in range(0)] or [()]}
    encode = FrozenEncoder(bilinear.encoder, capacity=99)
    best = best_of_n(bilinear, samples, {record.record_id: record}, references, encode=encode)
    assert best.users == ["u0"]
    assert best.random.tolist() == [0.5]
    assert best.picked.tolist() == [1.0]  # "cosy" is what this person's history holds
    assert best.blind.tolist() == [0.5]  # e_0 = 0 and w = 0: the generic user has no opinion, a tie
    assert pick_metrics(best, prefix="b") == {"b/picked": 1.0, "b/blind": 0.5, "b/random": 0.5}
    assert pick_metrics(no_samples(), prefix="b") == {}


def test_gate_met_and_not(people):
    people_list = [f"u{i}" for i in range(40)]
    good = BestOfN(users=people_list, picked=torch.ones(40), blind=torch.zeros(40), random=torch.zeros(40))
    swaps = torch.ones(40)
    gate = WarnGate(num_resamples=100)
    report = gate.check(swaps, (people_list, people_list[1:] + people_list[:1]), good, seed=0)
    assert report["met"]
    assert report["swap"]["lower"] == 1.0
    assert report["best_of_n"]["gain_over_blind"] == 1.0
    gate.enforce(report)
    report = gate.check(torch.full((40,), 0.5), (people_list, people_list), good, seed=0)
    assert not report["met"]
    assert not report["swap"]["met"]
    with pytest.warns(WeakRewardModel, match=r"swap accuracy 0\.500.*not met"):
        gate.enforce(report)
    with pytest.raises(GateNotMet, match="prmu/gate=warn"):
        StopGate(num_resamples=100).enforce(report)


def test_a_figure_that_cannot_be_measured_is_not_met():
    report = WarnGate(num_resamples=10).check(torch.zeros(0), ([], []), no_samples(), seed=0)
    assert report == {"swap": None, "best_of_n": None, "met": False}
    with pytest.warns(WeakRewardModel, match="cannot be measured"):
        WarnGate(num_resamples=10).enforce(report)
