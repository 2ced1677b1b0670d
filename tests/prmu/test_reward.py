import math

import pytest
import torch

from tagpr.errors import BadInputError
from tagpr.prmu.arch import ARCHES
from tagpr.prmu.reward import PrmuReward, RewardReferences, ScaleSample, reference_answers, reference_people
from tagpr.prmu.texts import user_history
from tagpr.tasks import ALL_TASKS


@pytest.fixture
def people(make_record):
    return [
        make_record(f"r{i}", f"u{i}", gold=gold, history=((f"x{i}", gold), (f"y{i}", gold)))
        for i, gold in enumerate(("cosy", "grand", "eerie"))
    ]


def reward(model, people, *, blind_share=0.5, clip=3.0, samples=(), max_records=2) -> PrmuReward:
    references = RewardReferences(people=("r0", "r1"), num_answers=4, samples=tuple(samples))
    return PrmuReward(
        model=model,
        references=references,
        people=reference_people(references.people, people),
        blind_share=blind_share,
        clip=clip,
        max_records=max_records,
        cache_texts=99,
    )


ANSWERS = [["cosy", "grand", "quiet"], ["cosy", "grand", "quiet"], ["eerie", "x", "x"]]


def test_scale_by_hand():
    samples = [
        ScaleSample(task="S2", own=1.0, blind=0.0),
        ScaleSample(task="S2", own=4.0, blind=2.0),
        ScaleSample(task="S3", own=2.0, blind=2.0),
    ]
    references = RewardReferences(people=(), num_answers=4, samples=tuple(samples))
    # S = own - blind / 2: 1, 3 | 1. Within S2 mean 2, std 1; S3 does not vary.
    scales = references.scale(blind_share=0.5)
    assert scales["S2"] == (2.0, 1.0)
    assert scales["S3"] == (1.0, 1.0)
    assert scales[""] == pytest.approx((5 / 3, math.sqrt(8 / 9)))


def test_rewards_by_hand(bilinear, people):
    samples = [ScaleSample(task="S2", own=0.1, blind=0.0), ScaleSample(task="S2", own=-0.3, blind=0.0)]
    made = reward(bilinear, people, samples=samples, clip=99.0)
    scores = made.prmu_scores(people, ANSWERS)
    assert scores.rewards.shape == (3, 3)
    context, own_history = "tag : a calm hall", people[2]
    centre = reference_answers(own_history, ANSWERS[2], number=4)
    histories = [tuple(made.people[v][2]) for v in range(2)]
    raw = bilinear.score([user_history(own_history), *histories], [context] * 5, ["eerie", *centre])
    centred = raw[:, 0] - raw[:, 1:].mean(dim=1)
    s = centred[0] - 0.5 * centred[1:].mean()
    expected = torch.sigmoid((s + 0.1) / 0.2)  # mean -.1, std .2
    torch.testing.assert_close(scores.rewards[2, 0], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scores.rewards[2, 1], scores.rewards[2, 2])


def test_a_reference_person_does_not_judge_themselves(bilinear, people):
    made = reward(bilinear, people)
    own, blind = made.parts(people, ANSWERS)
    torch.testing.assert_close(blind[0], made.parts([people[0]], [ANSWERS[0]])[1][0])
    torch.testing.assert_close(blind[0], _centred(made, people, person=1, record=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        blind[1], own[0], atol=1e-5, rtol=1e-4
    )  # u1 is judged by u0 alone; same query and answers


def _centred(made: PrmuReward, people, *, person: int, record: int) -> torch.Tensor:
    stand_in = people[record].__class__(
        **{f: getattr(people[record], f) for f in people[record].__slots__} | {"profile": people[person].profile}
    )
    return made.parts([stand_in], [ANSWERS[record]])[0][0]


def test_the_clip_saturates_and_is_counted(bilinear, people):
    samples = [ScaleSample(task="S2", own=s, blind=0.0) for s in (1e-5, -1e-5)]
    scores = reward(bilinear, people, samples=samples, clip=2.0).prmu_scores(people, ANSWERS)
    assert scores.saturated_share > 0.8
    low, high = 1 / (1 + math.exp(2)), 1 / (1 + math.exp(-2))
    assert scores.rewards.min() >= low - 1e-6
    assert scores.rewards.max() <= high + 1e-6


def test_user_blind_rewards_vanish_when_all_of_it_is_taken_out(agnostic, people):
    samples = [ScaleSample(task="S2", own=s, blind=s) for s in (0.5, -0.7)]
    scores = reward(agnostic, people, samples=samples, blind_share=1.0).prmu_scores(people, ANSWERS)
    torch.testing.assert_close(scores.rewards, torch.full((3, 3), 0.5))
    assert scores.saturated_share == 0.0


def test_chunks_do_not_matter(bilinear, people):
    one = reward(bilinear, people, max_records=1).prmu_scores(people, ANSWERS).rewards
    torch.testing.assert_close(one, reward(bilinear, people, max_records=9).prmu_scores(people, ANSWERS).rewards)


@pytest.mark.parametrize("name", ARCHES)
def test_every_architecture_gives_a_reward(name, make_model, people):
    """Chunked or not, and though history_text reads only the cells that count."""
    model = make_model(ARCHES[name])
    samples = [ScaleSample(task="S2", own=s, blind=0.0) for s in (0.1, -0.3)]
    whole = reward(model, people, max_records=9, samples=samples).prmu_scores(people, ANSWERS)
    parts = reward(model, people, max_records=1, samples=samples).prmu_scores(people, ANSWERS)
    assert whole.rewards.shape == (3, 3)
    assert whole.rewards.isfinite().all()
    for a, b in ((whole.rewards, parts.rewards), (whole.own, parts.own), (whole.blind, parts.blind)):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_centring_takes_out_what_the_query_alone_earns(bilinear, people):
    """An offset per query, however large, must not reach the squash."""
    plain = reward(bilinear, people).prmu_scores(people, ANSWERS)
    score = bilinear.score
    bilinear.score = lambda *rest, **others: score(*rest, **others) + 50.0
    shifted = reward(bilinear, people).prmu_scores(people, ANSWERS)
    torch.testing.assert_close(shifted.rewards, plain.rewards, atol=1e-4, rtol=1e-4)


def test_texts_are_read_once_within_a_call(bilinear, people):
    made = reward(bilinear, people, max_records=1)
    made.prmu_scores([*people, *people], [*ANSWERS, *ANSWERS])
    twice = made.encode.num_encoded
    made.prmu_scores(people, ANSWERS)
    assert made.encode.num_encoded == twice


def test_rewards_do_not_depend_on_what_was_judged_before(bilinear, people):
    """Or a run that goes on after a kill, with nothing remembered, would round differently."""
    fresh, used = reward(bilinear, people), reward(bilinear, people)
    used.prmu_scores(people[1:], ANSWERS[1:])
    expected, found = (made.prmu_scores(people, ANSWERS) for made in (fresh, used))
    assert used.encode.num_encoded == fresh.encode.num_encoded
    assert torch.equal(found.rewards, expected.rewards)


def test_reference_answers(make_record):
    label = make_record("r", "u")
    chosen = reference_answers(label, ["anything"], number=4)
    assert len(chosen) == 4
    assert set(chosen) <= set(ALL_TASKS["S2"].labels)
    assert reference_answers(label, ["else"], number=4) == chosen
    rating = make_record("r", "u", task="S3", gold="4")
    assert sorted(reference_answers(rating, [], number=9)) == ["1", "2", "3", "4", "5"]
    text = make_record("r", "u", task="S5", gold="watching owls.")
    assert reference_answers(text, ["a", "b", "a"], number=4) == ["a", "b"]


def test_saved_and_loaded(tmp_path):
    references = RewardReferences(
        people=("r0",), num_answers=3, samples=(ScaleSample(task="S2", own=1.5, blind=-0.25),)
    )
    references.save(tmp_path)
    assert RewardReferences.load(tmp_path) == references


def test_reference_people_must_be_there(people):
    with pytest.raises(BadInputError, match="'gone'"):
        reference_people(["gone"], people)


@pytest.mark.parametrize("wrong", [{"blind_share": -0.1}, {"clip": 0.0}])
def test_wrong_settings(bilinear, people, wrong):
    with pytest.raises(ValueError, match="expected blind_share"):
        reward(bilinear, people, **wrong)
