from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.prmu.pairs.generated import no_history_pairs, on_policy_pairs, other_history_pairs
from tagpr.tasks import ALL_TASKS

SIZES = {"length": len, "max_ratio": 1.5}


# --- N3 --------------------------------------------------------------------------------------------------------------


def test_no_history_takes_the_nearest_length(make_record, sample):
    record = make_record("r", "u", gold="12345")
    samples = [
        sample("r", 0, "1", history="none"),
        sample("r", 1, "1234567", history="none"),
        sample("r", 2, "12345", 1.0, history="none"),  # the gold itself
        sample("r", 3, "abcde", history="none", parsed=False),
        sample("r", 4, "abcde"),  # with history: not this type
        sample("r", 5, "abcde", history="other", lender="s"),  # nor under another's
    ]
    ((pair,),) = no_history_pairs([record], samples, **SIZES).blocks
    assert (pair.chosen, pair.rejected, pair.negative_type) == ("12345", "1234567", "N3")


def test_no_history_says_why_there_is_none(make_record, sample):
    records = [make_record(i, "u", gold="four words like these", task="S5") for i in "abcd"]
    samples = [
        sample("a", 0, "four words like these", 1.0, history="none", task="S5"),
        sample("b", 0, "short", history="none", task="S5"),
        sample("c", 0, "four other words here", history="none", parsed=False, task="S5"),
        sample("d", 0, "four other words here", history="none", task="S5"),
    ]
    made = no_history_pairs(records, samples, **SIZES)
    assert [pair.record_id for (pair,) in made.blocks] == ["d"]
    assert made.dropped == Counter(agreement=1, length=1, unreadable=1)


# --- N4 --------------------------------------------------------------------------------------------------------------


def test_on_policy_prefers_a_sample_to_a_sample(make_record, sample):
    records = [make_record("r", "u", gold="best"), make_record("s", "u", gold="best"), make_record("t", "u")]
    samples = [
        sample("r", 0, "good", 0.8),
        sample("r", 1, "bad", 0.1),
        sample("r", 2, "so so", 0.7),
        sample("r", 3, "worse", 0.0),
        sample("s", 0, "bad", 0.1),
        sample("s", 1, "also bad", 0.1),
        sample("t", 0, "unreadable", 0.0, parsed=False),
    ]
    made = on_policy_pairs(records, samples, min_gap=0.2, per_record=2, **SIZES)
    assert [(p.record_id, p.chosen, p.rejected) for (p,) in made.blocks] == [
        ("r", "good", "worse"),
        ("r", "good", "bad"),
        ("s", "best", "also bad"),
        ("s", "best", "bad"),
    ]
    assert made.dropped == Counter(unreadable=1)


def test_on_policy_with_nothing_worse(make_record, sample):
    record = make_record("r", "u", gold="best")
    made = on_policy_pairs([record], [sample("r", 0, "best", 1.0)], min_gap=0.2, per_record=2, **SIZES)
    assert (made.blocks, made.dropped) == ([], Counter(agreement=1))


def test_on_policy_texts_are_of_about_one_length(make_record, sample):
    record = make_record("r", "u", gold="ten letter", task="S5")
    samples = [
        sample("r", 0, "ten letters", 0.9, task="S5"),  # 11
        sample("r", 1, "seven .", 0.0, task="S5"),  # 7: 11 > 1.5 * 7
        sample("r", 2, "eight ..", 0.1, task="S5"),  # 8: 11 <= 12
        sample("r", 3, "no less than seventeen", 0.2, task="S5"),  # 22 > 1.5 * 11
    ]
    made = on_policy_pairs([record], samples, min_gap=0.2, per_record=3, **SIZES)
    assert [p.rejected for (p,) in made.blocks] == ["eight .."]
    only_far = on_policy_pairs([record], samples[:2], min_gap=0.2, per_record=3, **SIZES)
    assert (only_far.blocks, only_far.dropped) == ([], Counter(length=1))


# --- N2 --------------------------------------------------------------------------------------------------------------


def lent(make, record, other, samples, *, min_gap=0.2):
    return other_history_pairs([record], samples, {record.record_id: other}, min_gap=min_gap, **SIZES)


def test_another_history_gives_a_couple_where_the_lender_was_asked_the_same(make_record, sample):
    # S3 scores 1 - |error| / 4.
    own = make_record("r", "u", task="S3", gold="5")
    other = make_record("s", "v", task="S3", gold="1")
    samples = [
        sample("r", 0, "4", 0.75, task="S3"),
        sample("r", 1, "5", 1.0, task="S3"),
        sample("r", 2, "2", 0.25, history="other", lender="s", task="S3"),
    ]
    made = lent(make_record, own, other, samples)
    ((first, mirror),) = made.blocks
    # "4" stands before "5" among samples as long as it: to u worth .75 against .25, to v .25 against .75.
    assert (first.user_id, first.chosen, first.rejected, first.other_record_id) == ("u", "4", "2", "s")
    assert (mirror.user_id, mirror.chosen, mirror.rejected, mirror.other_record_id) == ("v", "2", "4", "r")
    assert {first.negative_type, mirror.negative_type} == {"N2"}
    assert made.dropped == Counter()


def test_an_answer_that_neither_would_give_makes_no_couple(make_record, sample):
    own, other = make_record("r", "u", gold="quiet"), make_record("s", "v", gold="cosy")
    samples = [sample("r", 0, "eerie", history="other", lender="s")]
    made = lent(make_record, own, other, samples)
    assert (made.blocks, made.dropped) == ([], Counter(no_mirror=1))


def test_an_answer_that_is_right_all_the_same_makes_no_pair(make_record, sample):
    own, other = make_record("r", "u", gold="quiet"), make_record("s", "v", gold="cosy")
    samples = [sample("r", 0, "quiet", 1.0, history="other", lender="s")]
    made = lent(make_record, own, other, samples)
    assert (made.blocks, made.dropped) == ([], Counter(agreement=1))


def test_without_a_shared_query_a_sample_is_preferred_where_one_is_good_enough(make_record, sample):
    own = make_record("r", "u", task="S5", gold="watching tides and owls.")
    other = make_record("s", "v", task="S5", gold="praising rust", query="something else")
    rejected = "mapping owls with tides."
    samples = [
        sample("r", 0, "watching tides and rust.", 0.75, task="S5"),
        sample("r", 1, "watching tides, owls!", 0.8, task="S5"),  # 21 letters, the rejected one has 24, the other 24
        sample("r", 2, rejected, history="other", lender="s", task="S5"),
    ]
    ((pair,),) = lent(make_record, own, other, samples).blocks
    assert (pair.chosen, pair.rejected, pair.other_record_id) == ("watching tides and rust.", rejected, "")
    ((pair,),) = lent(make_record, own, other, samples[2:]).blocks
    assert pair.chosen == own.gold


def test_unreadable_answers_and_other_lengths_make_no_pair(make_record, sample):
    own = make_record("r", "u", task="S5", gold="watching tides and owls.")
    other = make_record("s", "v", task="S5", query="something else")
    unread = [sample("r", 0, "mapping owls", history="other", lender="s", parsed=False, task="S5")]
    assert lent(make_record, own, other, unread).dropped == Counter(unreadable=1)
    short = [sample("r", 0, "mapping owls", history="other", lender="s", task="S5")]
    assert lent(make_record, own, other, short).dropped == Counter(length=1)


@given(
    golds=st.tuples(st.sampled_from("12345"), st.sampled_from("12345")),
    own=st.lists(st.sampled_from("12345"), max_size=4),
    others=st.lists(st.sampled_from("12345"), min_size=1, max_size=3),
)
@pytest.mark.parametrize("min_gap", [0.2, 0.5])
def test_either_side_is_the_better_one_for_its_own_person(make_record, sample, golds, own, others, min_gap):
    mine, theirs = make_record("r", "u", task="S3", gold=golds[0]), make_record("s", "v", task="S3", gold=golds[1])
    score = ALL_TASKS["S3"].score
    samples = [sample("r", i, a, score(a, golds[0]), task="S3") for i, a in enumerate(own)]
    samples += [
        sample("r", i, a, score(a, golds[0]), history="other", lender="s", task="S3") for i, a in enumerate(others)
    ]
    made = lent(make_record, mine, theirs, samples, min_gap=min_gap)
    assert len(made.blocks) + sum(made.dropped.values()) == 1
    for block in made.blocks:
        assert [(p.chosen, p.rejected) for p in block[1:]] == [(block[0].rejected, block[0].chosen)]
        for pair, gold in zip(block, golds, strict=True):
            assert score(pair.chosen, gold) >= score(pair.rejected, gold) + min_gap
