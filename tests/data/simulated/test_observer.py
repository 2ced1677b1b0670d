import numpy as np
import pytest

from tagpr.data.simulated.observer import best_answer, latent_style, posterior, reference_answers
from tagpr.tasks import ALL_TASKS

S2_ENTRIES = [
    ("a snug cafe by the pier with dice", "seaside"),
    ("a calm club by the mill with cards", "village"),
    ("a regal hall by the tram with drums", "grand"),
]
S2_QUERY = "a noisy inn by the ridge with poems"


def test_s2_posterior_and_answers_by_hand(hand_record):
    record = hand_record("S2", S2_QUERY, "mountain", S2_ENTRIES, noise=0.2)
    # Prior (.5, .3, .2); own label .8, another's .1.
    # place, place, mood: mood .5*.1*.1*.8 = .004, place .3*.8*.8*.1 = .0192, theme .2*.1*.1*.1 = .0002; sum .0234
    belief = posterior(record, record.profile)["aspect"]
    np.testing.assert_allclose(belief, [0.004 / 0.0234, 0.0192 / 0.0234, 0.0002 / 0.0234], rtol=1e-12)
    references = reference_answers(record, record.profile)
    assert references.bayes == "mountain"
    # The next answer is by place with .8 p + .1 (1 - p) = .1 + .7 p.
    assert references.bayes_expected == pytest.approx(0.1 + 0.7 * 0.0192 / 0.0234, abs=1e-12)
    assert references.blind == "lively"
    assert references.blind_expected == pytest.approx(0.1 + 0.7 * 0.5, abs=1e-12)


def test_any_subset_of_the_history_counts(hand_record):
    record = hand_record("S2", S2_QUERY, "mountain", S2_ENTRIES, noise=0.2)
    one = posterior(record, record.profile[1:2])["aspect"]  # .05, .24, .02
    np.testing.assert_allclose(one, np.array([0.05, 0.24, 0.02]) / 0.31, rtol=1e-12)
    np.testing.assert_allclose(posterior(record, ())["aspect"], [0.5, 0.3, 0.2])


def test_an_answer_that_fits_no_aspect_says_nothing(hand_record):
    record = hand_record("S2", S2_QUERY, "mountain", [("a snug cafe by the pier with dice", "science")], noise=0.2)
    np.testing.assert_allclose(posterior(record, record.profile)["aspect"], [0.5, 0.3, 0.2])


def test_s3_answers_the_median(hand_record):
    record = hand_record(
        "S3",
        "the cabin has rude staff, heavenly food and a tidy room",  # food 5, staff 1, room 3
        "5",
        [("a club with burnt food, civil staff and a bright room", "1")],  # 1 = food
        noise=0.0,
    )
    references = reference_answers(record, record.profile)
    assert (references.bayes, references.bayes_expected) == ("5", 1.0)
    # Blind: 5 with .5, 3 with .2, 1 with .3. Expected error of 5: .4 + 1.2 = 1.6, of 4: .5 + .2 + .9 = 1.6,
    # of 3: 1 + .6 = 1.6, of 2: 2 , of 1: 2.4; the first of the equal ones is kept.
    assert references.blind in "345"
    assert references.blind_expected == pytest.approx(1 - 1.6 / 4)


def test_s5_parts_are_independent_and_the_blind_title_may_leave_words_out(hand_record):
    record = hand_record(
        "S5",
        "we compare kites and bees in a short diary",
        "judging kites with bees!",
        [("this survey asks how owls need tides", "judging owls with tides!")],
        noise=1 - 0.7**3,  # .3 per part
    )
    beliefs = posterior(record, record.profile)
    # Openers (.40, .20, .16, .14, .10): the fourth seen with .7, others .3 / 4 = .075.
    weights = np.array([0.40, 0.20, 0.16, 0.10]) * 0.075
    assert beliefs["opener"][3] == pytest.approx(0.14 * 0.7 / (0.14 * 0.7 + weights.sum()))
    # Endings (.4, .3, .2, .1): "!" seen with .7, others .1.
    assert beliefs["ending"][1] == pytest.approx(0.21 / (0.21 + 0.04 + 0.02 + 0.01))
    # Blind, next parts: opener .4*.7 + .6*.075 = .325, joiner .5*.7 + .5*.15 = .425.
    # All four words 2 * 2.75 / 8 = .6875; without opener 2 * 2.425 / 7 = .692857; without both 4 / 6 = .6667.
    text, expected = best_answer(record, posterior(record, ()))
    assert text == "kites and bees."
    assert expected == pytest.approx(2 * 2.425 / 7)


def test_expected_scores_are_what_answers_get(small_source):
    records = small_source(sizes={"smoke": {"train": 8, "dev": 100, "test": 300}}, min_gap=-1.0).records(seed=5)
    for name, task in ALL_TASKS.items():
        unseen = [record for record in records if record.task == name and record.split != "train"]
        if not unseen:
            continue
        references = [reference_answers(record, record.profile) for record in unseen]
        for side in ("bayes", "blind"):
            got = np.array(
                [
                    task.score(getattr(reference, side), record.gold)
                    for reference, record in zip(references, unseen, strict=True)
                ]
            )
            expected = np.mean([getattr(reference, f"{side}_expected") for reference in references])
            by_person = {}
            for record, score in zip(unseen, got, strict=True):
                by_person.setdefault(record.user_id, []).append(score)
            means = np.array([np.mean(scores) for scores in by_person.values()])
            assert abs(got.mean() - expected) < 4 * means.std() / len(means) ** 0.5


def test_latent_style_sees_punctuation(hand_record):
    record = hand_record("S5", "we compare kites and bees in a short diary", "judging kites with bees!", [], noise=0.1)
    assert latent_style(record, "judging kites with bees!") == 1.0
    assert latent_style(record, "judging kites with bees.") == pytest.approx(4 / 5)
    assert latent_style(record, "kites with bees!") == 0.0
    assert latent_style(record, "") == 0.0
    assert latent_style(record, "judging kites and bees! judging") == pytest.approx(4 / 6)


def test_real_people_have_no_posterior(hand_record):
    from dataclasses import replace

    record = replace(hand_record("S2", S2_QUERY, "mountain", [], noise=0.1), truth=None)
    with pytest.raises(ValueError, match="S2-hand has no truth"):
        reference_answers(record, ())
