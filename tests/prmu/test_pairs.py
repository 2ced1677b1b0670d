from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.errors import UserError
from tagpr.prmu.pairs import (
    PolicySample,
    label_frequencies,
    label_pairs,
    no_history_pairs,
    on_policy_pairs,
    quotas,
    remove_duplicates,
    shared_query_pairs,
    split_queries,
    take,
    take_blocks,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def sample(record_id: str, index: int, answer: str, score: float, *, with_history=True, parsed=True) -> PolicySample:
    return PolicySample(
        record_id=record_id,
        user_id="u",
        task="S2",
        split="train",
        with_history=with_history,
        sample_index=index,
        answer=answer,
        parsed=parsed,
        score=score,
    )


def test_shared_queries_give_both_directions(make_record):
    records = [
        make_record("r1", "u", gold="quiet"),
        make_record("r2", "v", gold="cosy"),
        make_record("r3", "w", gold="quiet"),
        make_record("r4", "x", gold="eerie", query="another hall"),  # nobody shares it: never somebody's negative
        make_record("r5", "y", gold=None),
    ]
    (block,) = shared_query_pairs(records, people_per_query=9, generator=rng())
    sides = {(p.user_id, p.chosen, p.rejected, p.record_id, p.other_record_id) for p in block}
    assert sides == {
        ("u", "quiet", "cosy", "r1", "r2"),
        ("v", "cosy", "quiet", "r2", "r1"),
        ("w", "quiet", "cosy", "r3", "r2"),
        ("v", "cosy", "quiet", "r2", "r3"),
    }
    assert {p.negative_type for p in block} == {"N1"}


def test_the_same_query_of_another_task_is_another_query(make_record):
    records = [make_record("r1", "u", gold="quiet"), make_record("r2", "v", gold="4", task="S3")]
    assert shared_query_pairs(records, people_per_query=9, generator=rng()) == []


def test_one_person_does_not_disagree_with_themselves(make_record):
    records = [make_record("r1", "u", gold="quiet"), make_record("r2", "u", gold="cosy")]
    assert shared_query_pairs(records, people_per_query=9, generator=rng()) == []


@given(drawn=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2), st.sampled_from(["quiet", "cosy"])), max_size=30))
def test_every_pair_has_its_mirror(make_record, drawn):
    records = [make_record(f"r{i}", f"u{u}", query=f"q{q}", gold=g) for i, (u, q, g) in enumerate(drawn)]
    blocks = shared_query_pairs(records, people_per_query=3, generator=rng())
    for block in blocks:
        directed = Counter((p.record_id, p.other_record_id, p.chosen, p.rejected) for p in block)
        mirrored = Counter((p.other_record_id, p.record_id, p.rejected, p.chosen) for p in block)
        assert directed == mirrored
        assert remove_duplicates(block) == (block, Counter())
        assert len({p.record_id for p in block}) <= 3


def test_label_pairs_follow_the_population(make_record):
    records = [make_record(f"r{i}", f"u{i}", gold="quiet" if i < 6 else "cosy") for i in range(10)]
    frequencies = label_frequencies(records)
    assert frequencies == {"S2": Counter(quiet=6, cosy=4)}
    pairs = label_pairs(records, frequencies, per_record=8, generator=rng())
    # Only two labels are ever given, so each record has the other one as its negative, once.
    assert [(p.chosen, p.rejected) for p in pairs] == [("quiet", "cosy")] * 6 + [("cosy", "quiet")] * 4
    assert {p.negative_type for p in pairs} == {"N1_label"}


def test_a_label_wins_as_often_as_it_loses(make_record):
    golds = ["quiet"] * 600 + ["cosy"] * 250 + ["eerie"] * 150
    records = [make_record(f"r{i}", f"u{i}", gold=gold) for i, gold in enumerate(golds)]
    pairs = label_pairs(records, label_frequencies(records), per_record=1, generator=rng())
    counts = Counter((p.chosen, p.rejected) for p in pairs)
    # Expected 1000 f(a) f(b) in either direction: 150, 90, 37.5.
    for one, other, expected in (("quiet", "cosy", 150), ("quiet", "eerie", 90), ("cosy", "eerie", 37.5)):
        assert abs(counts[one, other] - expected) < 4 * expected**0.5
        assert abs(counts[other, one] - expected) < 4 * expected**0.5


def test_text_tasks_have_no_label_pairs(make_record):
    records = [make_record("r1", "u", task="S5", gold="watching tides and owls.")]
    assert label_frequencies(records) == {}
    assert label_pairs(records, {}, per_record=3, generator=rng()) == []


def test_no_history_takes_the_nearest_length(make_record):
    record = make_record("r", "u", gold="12345")
    samples = [
        sample("r", 0, "1", 0.0, with_history=False),
        sample("r", 1, "1234567", 0.0, with_history=False),
        sample("r", 2, "12345", 1.0, with_history=False),  # the gold itself
        sample("r", 3, "abcde", 0.0, with_history=False, parsed=False),
        sample("r", 4, "abcde", 0.0),  # with history: not this type
    ]
    (pair,) = no_history_pairs([record], samples, length=len)
    assert (pair.chosen, pair.rejected, pair.negative_type) == ("12345", "1234567", "N3")


def test_on_policy_prefers_a_sample_to_a_sample(make_record):
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
    pairs = on_policy_pairs(records, samples, min_gap=0.2, per_record=2)
    assert [(p.record_id, p.chosen, p.rejected) for p in pairs] == [
        ("r", "good", "worse"),
        ("r", "good", "bad"),
        ("s", "best", "also bad"),
        ("s", "best", "bad"),
    ]


def test_on_policy_with_nothing_worse(make_record):
    record = make_record("r", "u", gold="best")
    assert on_policy_pairs([record], [sample("r", 0, "best", 1.0)], min_gap=0.2, per_record=2) == []


def test_duplicates_go_and_punctuation_between_golds_stays(make_record):
    u, v = (
        make_record("r1", "u", gold="watching owls.", task="S5"),
        make_record("r2", "v", gold="watching owls!", task="S5"),
    )
    (block,) = shared_query_pairs([u, v], people_per_query=2, generator=rng())
    n3 = no_history_pairs([u], [sample("r1", 0, "tides", 0.0, with_history=False)], length=len)
    n4 = on_policy_pairs(
        [u], [sample("r1", 0, "mapping tides", 0.1), sample("r1", 1, "Mapping, tides!", 0.1)], min_gap=0.2, per_record=2
    )
    kept, removed = remove_duplicates([*block, *block[:1], *n3, *n4])
    assert [p.negative_type for p in kept] == ["N1", "N1", "N3", "N4"]
    assert removed == Counter(duplicate=1, near_duplicate=1)


def test_split_leaves_no_query_on_both_sides(make_record):
    train = [make_record(f"t{i}", "u", query=f"q{i}") for i in range(40)]
    dev = [make_record(f"d{i}", "v", query=f"q{i}", split="dev") for i in range(20, 60)]
    kept_train, kept_dev = split_queries(train, dev, dev_share=0.5)
    queries = {r.query for r in kept_train}, {r.query for r in kept_dev}
    assert queries[0] & queries[1] == set()
    assert queries[0] | queries[1] == {f"q{i}" for i in range(60)}
    assert 3 < len(queries[1] & {f"q{i}" for i in range(20, 40)}) < 17
    assert split_queries(train[::-1], dev, dev_share=0.5)[1] == kept_dev


def test_quotas_follow_the_mix():
    mix = {"N1": 0.5, "N1_label": 0.2, "N3": 0.1, "N4": 0.2}
    assert quotas(mix, {"N1": 100, "N1_label": 7}, max_pairs=1000) == {"N1": 100, "N1_label": 40, "N3": 20, "N4": 40}
    assert quotas(mix, {"N1": 100, "N1_label": 7}, max_pairs=50) == {"N1": 25, "N1_label": 10, "N3": 5, "N4": 10}
    assert quotas(mix, {"N1": 0, "N1_label": 8}, max_pairs=1000) == {"N1": 20, "N1_label": 8, "N3": 4, "N4": 8}
    assert quotas(mix, {"N1": 0, "N1_label": 0}, max_pairs=10) == {"N1": 5, "N1_label": 2, "N3": 1, "N4": 2}


@pytest.mark.parametrize(
    "mix",
    [
        {"N1": 1.0, "N3": 0.0, "N4": 0.0},
        {"N1": 0.9, "N1_label": 0.0, "N3": 0.0, "N4": 0.0},
        {"N1": 1.1, "N1_label": -0.1, "N3": 0.0, "N4": 0.0},
        {"N1": 1.0, "N1_label": 0.0, "N3": 0.0, "N4": 0.0, "N9": 0.0},
    ],
)
def test_a_wrong_mix_is_refused(mix):
    with pytest.raises(UserError, match="adding up to 1"):
        quotas(mix, {"N1": 1, "N1_label": 1}, max_pairs=10)


def test_taking_keeps_blocks_whole(make_record):
    records = [make_record(f"r{i}", f"u{i}", query=f"q{i // 2}", gold=["quiet", "cosy"][i % 2]) for i in range(10)]
    blocks = shared_query_pairs(records, people_per_query=4, generator=rng())
    taken = take_blocks(blocks, 5, generator=rng())
    assert len(taken) == 6
    assert all(any(q.other_record_id == p.record_id for q in taken) for p in taken)
    flat = [p for block in blocks for p in block]
    assert len(take(flat, 3, generator=rng())) == 3
    assert take(flat, 99, generator=rng()) == flat
