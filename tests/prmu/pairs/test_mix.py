import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.errors import UserError
from tagpr.prmu.pairs import MIX_KEYS, shared_query_pairs
from tagpr.prmu.pairs.mix import quotas, take_blocks

MIX = {"N1": 0.5, "N1_label": 0.2, "N2": 0.0, "N3": 0.1, "N4": 0.1, "N5": 0.05, "N6": 0.05}


def numbers(**given: int) -> dict[str, int]:
    return dict.fromkeys(MIX_KEYS, 0) | given


def test_quotas_follow_the_mix():
    # N1 fills its half of 200, N1_label its fifth of 35, N4 its tenth of 40: the largest total holds.
    available = numbers(N1=100, N1_label=7, N4=4, N5=9999, N6=9999)
    assert quotas(MIX, available, max_pairs=1000) == numbers(N1=100, N1_label=40, N3=20, N4=20, N5=10, N6=10)
    assert quotas(MIX, available, max_pairs=50) == numbers(N1=25, N1_label=10, N3=5, N4=5, N5=3, N6=2)


def test_a_scarce_type_does_not_cap_the_others():
    # Ten N1 pairs would fill their half of 20: a run once had 10 pairs in all for it.
    available = numbers(N1=10, N1_label=800, N3=64, N4=128)
    assert quotas(MIX, available, max_pairs=20_000) == numbers(N1=2000, N1_label=800, N3=400, N4=400, N5=200, N6=200)


def test_text_tasks_without_shared_queries_follow_what_the_policy_writes():
    # N3: 64 / .1 = 640 and N4: 128 / .1 = 1280; edits, of which there are plenty, keep to their share of that.
    available = numbers(N3=64, N4=128, N5=700, N6=700)
    assert quotas(MIX, available, max_pairs=20_000) == numbers(N1=640, N1_label=256, N3=128, N4=128, N5=64, N6=64)


def test_edits_alone_are_pairs_too():
    mix = dict.fromkeys(MIX_KEYS, 0.0) | {"N5": 3.0, "N6": 1.0}
    assert quotas(mix, numbers(N5=30, N6=40), max_pairs=1000) == numbers(N5=120, N6=40)
    assert quotas(mix, numbers(N1=30), max_pairs=1000) == numbers()


@given(
    mix=st.lists(st.floats(0, 9), min_size=7, max_size=7).filter(lambda mix: sum(mix) > 0.1),
    available=st.lists(st.integers(0, 500), min_size=7, max_size=7),
    max_pairs=st.integers(1, 1000),
)
def test_quotas_add_up_to_their_total(mix, available, max_pairs):
    shares, there = dict(zip(MIX_KEYS, mix, strict=True)), dict(zip(MIX_KEYS, available, strict=True))
    quota = quotas(shares, there, max_pairs=max_pairs)
    total = sum(quota.values())
    assert total <= max_pairs
    for kind in MIX_KEYS:
        assert abs(quota[kind] - shares[kind] / sum(mix) * total) < 1 + 1e-6
    # One more or less of a type that does not say the total changes nothing.
    scarcest = min((k for k in MIX_KEYS if shares[k]), key=lambda k: there[k] / shares[k])
    without = quotas(shares, there | {scarcest: 0}, max_pairs=max_pairs)
    if any(shares[k] and there[k] for k in ("N1", "N1_label", "N2", "N3", "N4") if k != scarcest):
        assert without == quota


@pytest.mark.parametrize(
    "mix",
    [
        {"N1": 1.0, "N3": 0.0, "N4": 0.0},
        dict.fromkeys(MIX_KEYS, 0.0),
        MIX | {"N1_label": -0.1},
        MIX | {"N9": 0.0},
    ],
)
def test_a_wrong_mix_is_refused(mix):
    with pytest.raises(UserError, match="expected a share >= 0 for each of N1, N1_label, N2, N3, N4, N5, N6"):
        quotas(mix, numbers(N1=1), max_pairs=10)


def test_taking_keeps_blocks_whole(make_record):
    records = [make_record(f"r{i}", f"u{i}", query=f"q{i // 2}", gold=["quiet", "cosy"][i % 2]) for i in range(10)]
    blocks = shared_query_pairs(records, people_per_query=4, generator=np.random.default_rng(0))
    taken = take_blocks(blocks, 5, generator=np.random.default_rng(0))
    assert len(taken) == 6
    assert all(any(q.other_record_id == p.record_id for q in taken) for p in taken)
    flat = [p for block in blocks for p in block]
    assert take_blocks(blocks, 99, generator=np.random.default_rng(0)) == flat
    assert len(take_blocks([[p] for p in flat], 3, generator=np.random.default_rng(0))) == 3
    assert take_blocks(blocks, 0, generator=np.random.default_rng(0)) == []
