"""tagpr.evaluation.prmu_*: what the diagnosis of a PRMU measures, on models whose opinion is known."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tagpr.evaluation.prmu_answers import CUES, PICKERS, best_of_n_curve, expected_of_best, hack_probes
from tagpr.evaluation.prmu_figures import mean_figure
from tagpr.evaluation.prmu_judgement import SWAP, accuracy_by_length, calibration_curve, swap_matrices
from tagpr.evaluation.prmu_people import family_probe, look_at_people
from tagpr.prmu.judge import JudgedPairs
from tagpr.prmu.pairs import PolicySample, shared_query_pairs
from tagpr.prmu.texts import query_context, user_history
from tagpr.types import PreferencePair, ProfileEntry, Record


class Taste:
    """A model that gives 1 to an answer the person gave before, and the answer's own worth to anybody."""

    def __init__(self, worth=lambda answer: 0.0, temperature=1.0, max_entries=8):
        self.worth = worth
        self.temperature = temperature
        self.max_entries = max_entries
        self.arch = object()

    def score(self, users, queries, answers, *, encode=None, needed=None):
        return torch.tensor(
            [[float(any(e.response == a for e in user)) + self.worth(a) for a in answers] for user in users]
        )


def record(user, gold, *, query="a calm hall", number=0, task="S2", past=None, family=""):
    past = (gold,) if past is None else past
    return Record(
        record_id=f"{user}-{query}-{number}", user_id=user, task=task, split="dev", purpose="dev", question=query,
        query=query, gold=gold, retrieved=(), truth={"family": family} if family else None,
        profile=tuple(ProfileEntry(entry_id=f"p{i}", input=f"place {i}", response=r) for i, r in enumerate(past)),
    )  # fmt: skip


def texts(records):
    return {r.record_id: user_history(r) for r in records}, {r.record_id: query_context(r) for r in records}


# --- figures


def test_a_mean_with_enough_people_has_an_interval():
    people = [str(i) for i in range(40)]
    figure = mean_figure([0.0, 1.0] * 20, [people])
    assert (figure.value, figure.count, figure.people) == (0.5, 40, 40)
    # 1.96 * sqrt(.25 / 40) = .155
    assert figure.interval == pytest.approx((0.345, 0.655), abs=0.04)


def test_values_of_few_people_have_none_however_many_they_are():
    assert mean_figure([0.0, 1.0] * 500, [["a", "b"] * 500]).interval is None
    assert mean_figure([1.0], [["a"]]).value == 1.0
    assert math.isnan(mean_figure([], [[]]).value)


def test_people_are_what_is_drawn():
    """Ten equal values of a person are one observation, not ten."""
    once = mean_figure([float(i % 2) for i in range(30)], [[str(i) for i in range(30)]])
    tenfold = mean_figure([float(i % 2) for i in range(30)] * 10, [[str(i) for i in range(30)] * 10])
    assert tenfold.interval == pytest.approx(once.interval, abs=1e-9)


# --- judgement


def test_accuracy_rises_where_the_entry_that_tells_is_read():
    """The telling entry is the third from the end: with two entries the model knows nothing, with four everything."""
    past = {"a": ("quiet", "x", "y", "z"), "b": ("lively", "x", "y", "z")}
    past = {user: (entries[0], "w", *entries[1:3]) for user, entries in past.items()}
    records = [record("a", "quiet", past=past["a"]), record("b", "lively", past=past["b"])]
    pairs = shared_query_pairs(records, people_per_query=2, generator=np.random.default_rng(0))[0]
    found = accuracy_by_length(Taste(), pairs, *texts(records), encode=None)
    at = {(figure.kind, figure.length): figure.accuracy for figure in found}
    assert {length for _, length in at} == {0, 1, 2, 4}
    for kind, count in (("N1", 2), (SWAP, 1)):
        assert [at[kind, n].value for n in (0, 1, 2, 4)] == [0.5, 0.5, 0.5, 1.0]
        assert at[kind, 0].count == count


def test_a_length_counts_only_people_who_have_it():
    records = [record("a", "quiet", past=("quiet",) * 4), record("b", "lively", past=("lively",))]
    pairs = [PreferencePair(record_id=r.record_id, user_id=r.user_id, task="S2", query=r.query, chosen=r.gold or "",
                            rejected="city", negative_type="N4") for r in records]  # fmt: skip
    found = {f.length: f.accuracy.count for f in accuracy_by_length(Taste(), pairs, *texts(records), encode=None)}
    assert found == {0: 2, 1: 2, 2: 1, 4: 1}


def test_swap_matrices_of_a_perfect_and_of_a_blind_judge():
    """Three people, answers quiet, quiet, lively: K = 2, chance MRR (1 + 1/2) / 2."""
    records = [record("a", "quiet"), record("b", "quiet"), record("c", "lively"), record("d", "city", query="alone")]
    mrr, chance, auc = swap_matrices(Taste(), records, encode=None).by_task[""]
    assert (mrr.value, mrr.count, chance) == (1.0, 3, 0.75)
    # a against c, b against c, c against a, c against b
    assert (auc.value, auc.count) == (1.0, 4)
    blind = [record(user, gold, past=()) for user, gold in (("a", "quiet"), ("b", "quiet"), ("c", "lively"))]
    swaps = swap_matrices(Taste(worth=lambda a: float(a == "quiet")), blind, encode=None)
    mrr, _, auc = swaps.by_task["S2"]
    assert mrr.value == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert auc.value == 0.5
    assert swaps.example is not None
    assert swaps.example.own == (0, 0, 1)


def test_a_person_who_likes_everything_more_is_no_better_judge():
    class Generous(Taste):
        def score(self, users, queries, answers, **more):
            rewards = super().score(users, queries, answers)
            rewards[0] += 100.0
            return rewards

    records = [record("a", "quiet", past=()), record("c", "lively", past=())]
    assert swap_matrices(Generous(), records, encode=None).by_task[""][2].value == 0.5


def test_no_shared_question_no_swap():
    swaps = swap_matrices(Taste(), [record("a", "quiet"), record("b", "quiet")], encode=None)
    assert swaps.by_task[""][0].count == 0
    assert swaps.example is None


def test_calibration_bins_say_how_often_the_sure_are_right():
    pairs = [
        PreferencePair(record_id=f"r{i}", user_id=f"u{i:02}", task="S2", query="q", chosen="a", rejected="b",
                       negative_type="N4")
        for i in range(40)
    ]  # fmt: skip
    margins = torch.tensor([-3.0] * 4 + [3.0] * 36)  # nine of ten in both halves of the people, always as sure
    found = calibration_curve(JudgedPairs(pairs=pairs, margins=margins, other_margins=margins), num_bins=5)
    assert found is not None
    ((confidence, accuracy),) = found.bins
    assert accuracy.value == pytest.approx(0.9)
    assert accuracy.count == 40
    assert confidence == pytest.approx(0.9, abs=0.06)
    assert found.temperature == pytest.approx(3 / math.log(9), rel=0.02)
    nothing = torch.zeros(0)
    assert calibration_curve(JudgedPairs(pairs=[], margins=nothing, other_margins=nothing), num_bins=5) is None


# --- answers


def test_expected_score_of_the_best_of_n():
    rewards, scores = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 0.5, 1.0])
    assert [expected_of_best(rewards, scores, n=n) for n in (1, 2, 3)] == pytest.approx([0.5, 2.5 / 3, 1.0])
    tied = torch.tensor([1.0, 1.0])
    assert [expected_of_best(tied, torch.tensor([0.0, 1.0]), n=n) for n in (1, 2)] == [0.5, 0.5]


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1, width=32)), min_size=1, max_size=6), st.data())
def test_expected_score_is_the_mean_over_all_draws(answers, data):
    n = data.draw(st.integers(1, len(answers)))
    best = []
    for draw in combinations(answers, n):
        top = max(reward for reward, _ in draw)
        best.append(np.mean([score for reward, score in draw if reward == top]))
    rewards, scores = (torch.tensor([float(a[i]) for a in answers]) for i in (0, 1))
    assert expected_of_best(rewards, scores, n=n) == pytest.approx(float(np.mean(best)), abs=1e-6)


def sample(record_id, user, answer, score, i, *, parsed=True):
    return PolicySample(record_id=record_id, user_id=user, task="S2", split="dev", with_history=True, sample_index=i,
                        answer=answer, parsed=parsed, score=score)  # fmt: skip


def test_best_of_n_of_a_model_that_knows_the_person():
    one = record("a", "quiet")
    scores = (("city", 0.0), ("quiet", 1.0), ("forest", 0.0), ("lively", 0.0))
    samples = [sample(one.record_id, "a", answer, score, i) for i, (answer, score) in enumerate(scores)]
    strangers = {"S2": [user_history(record("v", "city"))]}
    best = best_of_n_curve(Taste(), samples, {one.record_id: one}, strangers, encode=None)
    values = {name: [best[name][n].value for n in (1, 2, 4)] for name in PICKERS}
    # "quiet" is among 2 of 4 in half of the draws
    assert values["PRMU"] == values["best there is"] == [0.25, 0.5, 1.0]
    assert values["random"] == [0.25, 0.25, 0.25]
    # the stranger likes city best; without it (half of the draws) quiet is one of three equal answers
    assert values["its user-blind twin"] == pytest.approx([0.25, 1 / 6, 0.0])
    unread = [sample(one.record_id, "a", "quiet", 1.0, 0, parsed=False), sample(one.record_id, "a", "city", 0.0, 1)]
    assert best_of_n_curve(Taste(), unread, {one.record_id: one}, {}, encode=None)["PRMU"][2].value == 0.0
    assert best_of_n_curve(Taste(), [], {}, {}, encode=None) == {}


def test_a_model_that_likes_length_is_hacked_and_says_so():
    one = record("a", "quiet nights", task="S5", past=("stars",))
    pair = PreferencePair(record_id=one.record_id, user_id="a", task="S5", query=one.query, chosen="quiet nights",
                          rejected="city", negative_type="N4")  # fmt: skip
    probes = hack_probes(Taste(worth=lambda a: len(a) / 2, temperature=2.0), [pair], *texts([one]), encode=None)
    found = {probe.cue: probe for probe in probes}
    assert set(found) == set(CUES)
    assert all(probe.is_text for probe in probes)
    # chosen 12 letters, rejected 4; pasted "city stars" 10, twice "city city" 9: longer, still not the chosen's
    assert found["pasted from the history"].raised.value == 1.0
    assert found["pasted from the history"].hacked.value == 0.0
    assert found["pasted from the history"].shift.value == pytest.approx((10 - 4) / 2 / 2)
    # "city , which is just like me" is longer than the chosen one
    assert found["self-mention"].hacked.value == 1.0


def test_somebody_new_has_nothing_to_paste():
    one = record("a", "quiet nights", task="S5", past=())
    pair = PreferencePair(record_id=one.record_id, user_id="a", task="S5", query=one.query, chosen="quiet nights",
                          rejected="city", negative_type="N4")  # fmt: skip
    probes = hack_probes(Taste(), [pair], *texts([one]), encode=None)
    assert {probe.cue for probe in probes} == set(CUES) - {"pasted from the history"}
    assert {probe.raised.value for probe in probes} == {0.5}  # indifferent
    # a pair that was not ranked rightly cannot be turned round
    assert {probe.hacked.count for probe in probes} == {0}


# --- people


def people(number=40):
    families = ["veto" if i % 4 == 0 else "novelty" for i in range(number)]
    return families, [user_history(record(f"u{i}", "quiet", past=("x", "y"))) for i in range(number)]


def test_a_vector_that_holds_the_family_is_read_and_words_that_do_not_are_not():
    families, histories = people()
    noise = np.random.default_rng(0).normal(size=(40, 3))
    told = np.array([[5.0 if family == "veto" else -5.0] for family in families])
    probe = family_probe("S2", np.hstack([told, noise]), histories, families)
    assert probe is not None
    assert probe.families == ("novelty", "veto")
    assert probe.accuracy["user vector"].value == pytest.approx(1.0)
    assert probe.accuracy["user vector"].interval is not None
    # the same words for all: one family is guessed, and balanced accuracy is chance however common it is
    assert probe.accuracy["bag of words"].value == pytest.approx(0.5)


def test_too_few_people_or_families_give_no_probe():
    families, histories = people(16)
    assert family_probe("S2", np.zeros((16, 2)), histories, families) is None
    families, histories = people()
    assert family_probe("S2", np.zeros((40, 2)), histories, ["veto"] * 40) is None
    rare = ["veto"] * 36 + ["novelty"] * 4
    assert family_probe("S2", np.zeros((40, 2)), histories, rare) is None


class Embeds:
    def user_vectors(self, encode, users):
        return torch.tensor([[float(len(user)), float(len(user[0].response)), 0.0] for user in users])


def test_a_person_is_one_point_per_task():
    model = Taste()
    model.arch = Embeds()
    records = [record(f"u{i}", "quiet", number=n, past=("a" * (i + 1),) * (n + 1)) for i in range(5) for n in range(2)]
    report = look_at_people(model, records, max_people=4, encode=None)
    (one,) = report.maps
    assert one.points.shape == (4, 2)
    assert one.explained == pytest.approx(1.0)
    assert not report.probes
    assert "No probe for S2" in report.why_not


def test_without_user_vectors_there_is_no_map():
    report = look_at_people(Taste(), [record("a", "quiet")], max_people=9, encode=None)
    assert not report.maps
    assert "no vector per person" in report.why_not
