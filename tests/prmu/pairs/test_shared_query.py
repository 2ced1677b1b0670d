from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tagpr.prmu.pairs import Made, shared_query_pairs
from tagpr.prmu.pairs.duplicates import without_duplicates
from tagpr.prmu.pairs.shared_query import people_per_shared_query


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


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


def test_groups_hold_everybody_once(make_record):
    records = [make_record(f"r{i}", f"u{i}", query=f"q{i // 5}") for i in range(11)]  # 5, 5 and 1 people
    groups = people_per_shared_query(records, people_per_query=3, generator=rng())
    assert sorted(map(len, groups)) == [2, 2, 3, 3]
    assert sorted(r.record_id for group in groups for r in group) == sorted(r.record_id for r in records[:10])


@given(drawn=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2), st.sampled_from(["quiet", "cosy"])), max_size=30))
def test_every_pair_has_its_mirror(make_record, drawn):
    records = [make_record(f"r{i}", f"u{u}", query=f"q{q}", gold=g) for i, (u, q, g) in enumerate(drawn)]
    blocks = shared_query_pairs(records, people_per_query=3, generator=rng())
    for block in blocks:
        directed = Counter((p.record_id, p.other_record_id, p.chosen, p.rejected) for p in block)
        mirrored = Counter((p.other_record_id, p.record_id, p.rejected, p.chosen) for p in block)
        assert directed == mirrored
        assert all(p.chosen != p.rejected for p in block)
        assert len({p.record_id for p in block}) <= 3
    assert without_duplicates({"N1": Made(blocks=blocks, dropped=Counter())})["N1"].blocks == blocks
