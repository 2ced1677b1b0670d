from dataclasses import replace

import numpy as np
import pytest

from tagpr.data.simulated.grammar import read_facts
from tagpr.data.simulated.logic import (
    ASPECT_PRIOR,
    FAMILIES,
    FAMILY_PRIOR,
    RULES,
    Rule,
    answers,
    encode,
    possible_codes,
    read_answer,
    rule_prior,
)
from tagpr.data.simulated.observer import latent_style, posterior, reference_answers
from tagpr.data.simulated.truth import shown_truth
from tagpr.tasks import ALL_TASKS

CONTRARIAN = ("contrarian",)
S3_ENTRY = ("this cafe : food burnt, staff civil, room bright", "5")  # levels 1, 3, 4; 6 - 1 = 5
S3_QUERY = "this club : food soggy, staff devoted, room tidy"  # 2, 5, 3: contrarians say 4, 1, 3


def by_rule(record, history):
    return dict(zip(RULES[record.task], posterior(record, history)["rule"], strict=True))


def test_s3_by_hand(hand_record):
    record = hand_record("S3", S3_QUERY, "4", [S3_ENTRY], noise=0.2, families=CONTRARIAN)
    belief = by_rule(record, record.profile)
    # .46 * .8 = .368; .31 * .05 = .0155; .23 * .05 = .0115; sum .395
    assert belief[Rule("contrarian", "food", "", ())] == pytest.approx(0.368 / 0.395)
    assert belief[Rule("contrarian", "staff", "", ())] == pytest.approx(0.0155 / 0.395)
    assert belief[Rule("additive", "food", "staff", ())] == 0.0
    references = reference_answers(record, record.profile)
    # Next answer: .05 + .75 p. P(4) = .748734, P(1) = .079430, P(3) = .071835, P(2) = P(5) = .05.
    food, staff, room = 0.368 / 0.395, 0.0155 / 0.395, 0.0115 / 0.395
    error_of_4 = 3 * (0.05 + 0.75 * staff) + (0.05 + 0.75 * room) + 2 * 0.05 + 0.05
    assert references.bayes == "4"
    assert references.bayes_expected == pytest.approx(1 - error_of_4 / 4)
    assert food + staff + room == pytest.approx(1)
    # Blind: P(4) = .395, P(1) = .2825, P(3) = .2225. Expected error of 3: .395 + 2 * .2825 + .05 + 2 * .05 = 1.11,
    # of 4: 3 * .2825 + .2225 + .1 + .05 = 1.22, of 2: .2825 + .2225 + .79 + .15 = 1.445.
    assert references.blind == "3"
    assert references.blind_expected == pytest.approx(1 - 1.11 / 4)


def test_the_best_answer_per_metric(hand_record):
    record = hand_record("S3", S3_QUERY, "4", [], noise=0.2, families=CONTRARIAN)
    bayes = shown_truth(record, ())["bayes"]
    # P(1..5) = .2825, .05, .2225, .395, .05: mode 4, median 3, mean 2.88.
    assert (bayes["accuracy"], bayes["mae"]) == ("4", "3")
    assert bayes["rmse"] == pytest.approx(0.2825 + 0.1 + 0.6675 + 1.58 + 0.25)


def test_s2_noise_is_spread_over_what_is_mentioned(hand_record):
    families = ("lexicographic",)
    entry = ("a snug cafe by the pier", "seaside")  # no theme
    query = "a hushed club by the ridge, full of poems"
    record = hand_record("S2", query, "mountain", [entry], noise=0.2, families=families)
    belief = by_rule(record, record.profile)
    # mood first .46 * .2, place first .31 * .8; theme first: .23, of it b mood .46 / .77 (.2) or place .31 / .77 (.8).
    mood, place = 0.46 * 0.2, 0.31 * 0.8
    theme = 0.23 * (0.46 * 0.2 + 0.31 * 0.8) / 0.77
    total = mood + place + theme
    assert sum(p for rule, p in belief.items() if rule.a == "mood") == pytest.approx(mood / total)
    assert sum(p for rule, p in belief.items() if rule.a == "theme") == pytest.approx(theme / total)
    references = reference_answers(record, record.profile)
    assert references.bayes == "mountain"
    assert references.bayes_expected == pytest.approx(0.1 + 0.7 * place / total)  # own .8, others .1 each
    assert (references.blind, references.blind_expected) == ("quiet", pytest.approx(0.1 + 0.7 * 0.46))


def test_a_drifter_needs_its_place_in_the_whole_profile(hand_record):
    entries = [S3_ENTRY, ("this hall : food rotten, staff slow, room splendid", "5")]
    entries = [(text, "1") for text, _ in entries]  # 1 is the level of food in both
    record = hand_record("S3", S3_QUERY, "4", entries, noise=0.2, families=("drifter",))

    def chance_of(history, a="", b=""):
        return sum(p for rule, p in by_rule(record, history).items() if (a or rule.a, b or rule.b) == (rule.a, rule.b))

    older, newer = record.profile
    # Whichever entry is shown alone, it speaks of a if it is the older one, of b if it is the newer one.
    first_by_food = 0.46 * 0.8 / (0.46 * 0.8 + 0.54 * 0.05)
    assert chance_of([older], a="food") == pytest.approx(first_by_food)
    second = sum(ASPECT_PRIOR[i] * 0.46 / (1 - ASPECT_PRIOR[i]) for i in (1, 2))
    assert chance_of([newer], b="food") == pytest.approx(second * 0.8 / (second * 0.8 + (1 - second) * 0.05))


@pytest.mark.parametrize("task", ["S1", "S2", "S3"])
def test_the_posterior_is_plain_enumeration(world, task):
    """Rule by rule and entry by entry in plain Python, on a few people of a drawn world."""
    for record in [r for r in world if r.task == task][::97]:
        shown = record.profile[1:4]
        weights = []
        families = record.truth["families"]
        for index, rule in enumerate(RULES[task]):
            weight = rule_prior(task, tuple(families))[index]
            for place, entry in enumerate(shown, start=1):
                facts = read_facts(task, entry.input)
                (says,) = answers(encode(task, [facts], [place < len(record.profile) // 2]), [index])[0]
                others = len(possible_codes(task, facts)) - 1
                weight *= 0.92 if says == read_answer(task, entry.response, facts) else 0.08 / others
            assert (weight > 0) == (rule.family in families)
            weights.append(weight)
        expected = np.array(weights) / sum(weights)
        np.testing.assert_allclose(posterior(record, shown)["rule"], expected, rtol=1e-9, atol=1e-15)


def test_nothing_shown_is_the_population(hand_record):
    record = hand_record("S3", S3_QUERY, "4", [S3_ENTRY], noise=0.1)
    np.testing.assert_allclose(posterior(record, ())["rule"], rule_prior("S3", FAMILIES))
    references = reference_answers(record, ())
    assert (references.bayes, references.bayes_expected) == (references.blind, references.blind_expected)
    assert sum(FAMILY_PRIOR[f] for f in FAMILIES) == pytest.approx(1)


@pytest.mark.parametrize("entry", [("this cafe : food burnt", "5"), ("", "5"), (S3_ENTRY[0], "good")])
def test_what_cannot_be_read_says_nothing(hand_record, entry):
    record = hand_record("S3", S3_QUERY, "4", [entry], noise=0.1)
    np.testing.assert_allclose(posterior(record, record.profile)["rule"], rule_prior("S3", FAMILIES))


def test_without_noise_a_history_needs_an_author(hand_record):
    possible = hand_record("S3", S3_QUERY, "4", [S3_ENTRY], noise=0.0, families=CONTRARIAN)
    assert by_rule(possible, possible.profile)[Rule("contrarian", "food", "", ())] == 1.0
    assert reference_answers(possible, possible.profile).bayes_expected == 1.0
    impossible = hand_record("S3", S3_QUERY, "4", [(S3_ENTRY[0], "4")], noise=0.0, families=CONTRARIAN)
    with pytest.raises(ValueError, match="no possible author"):
        posterior(impossible, impossible.profile)


def test_s5_parts_are_independent_and_the_blind_title_may_leave_words_out(hand_record):
    record = hand_record(
        "S5",
        "we compare kites and bees in a short diary",
        "judging kites with bees!",
        [("this survey asks how owls shape tides", "judging owls with tides!")],
        noise=1 - 0.7**3,  # .3 per part
    )
    beliefs = posterior(record, record.profile)
    # Openings (.36, .22, .17, .14, .11): the fourth seen with .7, the others with .3 / 4 = .075.
    assert beliefs["opening"][3] == pytest.approx(0.14 * 0.7 / (0.14 * 0.7 + 0.86 * 0.075))
    # Endings (.4, .3, .2, .1): "!" seen with .7, the others with .1.
    assert beliefs["punctuation"][1] == pytest.approx(0.21 / (0.21 + 0.07))
    references = reference_answers(record, record.profile)
    assert references.bayes == "judging kites with bees!"
    # Blind, next parts: opening .36 * .7 + .64 * .075 = .3, connective .46 * .7 + .54 * .15 = .403.
    # All four words 2 * 2.703 / 8 = .67575; without opening 2 * 2.403 / 7 = .686571; without both 4 / 6 = .6667.
    assert references.blind == "kites and bees."
    assert references.blind_expected == pytest.approx(2 * 2.403 / 7)


def test_expected_scores_are_what_answers_get(world):
    for name in ("S1", "S2", "S3", "S4", "S5", "S7"):
        unseen = [record for record in world if record.task == name]
        for side in ("bayes", "blind"):
            by_person = {}
            for record in unseen:
                answer = record.truth[side]
                surplus = ALL_TASKS[name].score(answer["answer"], record.gold) - answer["expected"]
                by_person.setdefault(record.user_id, []).append(surplus)
            means = np.array([np.mean(own) for own in by_person.values()])
            assert abs(means.mean()) < 4 * means.std() / len(means) ** 0.5, (name, side)


def test_truth_is_what_the_record_functions_say(world):
    for record in world[::131]:
        references = reference_answers(record, record.profile)
        assert references.bayes == record.truth["bayes"]["answer"]
        assert references.bayes_expected == pytest.approx(record.truth["bayes"]["expected"])
        assert references.blind_expected == pytest.approx(record.truth["blind"]["expected"])
        shown = shown_truth(record, record.profile)
        assert shown["posterior"]["entropy"] == pytest.approx(record.truth["posterior"]["entropy"])


def test_latent_style_sees_punctuation(hand_record):
    record = hand_record("S5", "we compare kites and bees in a short diary", "judging kites with bees!", [], noise=0.1)
    assert latent_style(record, "judging kites with bees!") == 1.0
    assert latent_style(record, "judging kites with bees.") == pytest.approx(4 / 5)
    assert latent_style(record, "kites with bees!") == 0.0
    assert latent_style(record, "") == 0.0
    assert latent_style(record, "judging kites and bees! judging") == pytest.approx(4 / 6)


def test_real_people_have_no_posterior(hand_record):
    record = replace(hand_record("S3", S3_QUERY, "4", [], noise=0.1), truth=None)
    with pytest.raises(ValueError, match="S3-hand has no truth"):
        reference_answers(record, ())
