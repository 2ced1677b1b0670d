from collections import Counter
from dataclasses import replace

from tagpr.prmu.pairs import N1, N2, N3, N4, Made
from tagpr.prmu.pairs.base import make_pair
from tagpr.prmu.pairs.duplicates import without_duplicates
from tagpr.prmu.pairs.shared_query import disagreements


def made(*blocks) -> Made:
    return Made(blocks=list(blocks), dropped=Counter())


def test_duplicates_go_and_punctuation_between_golds_stays(make_record):
    u = make_record("r1", "u", gold="watching owls.", task="S5")
    v = make_record("r2", "v", gold="watching owls!", task="S5")
    block = disagreements([u, v])
    n4 = [[make_pair(u, answer, N4)] for answer in ("mapping tides", "Mapping, tides!", "watching owls!")]
    kept = without_duplicates(
        {N1: made(block), N3: made([make_pair(u, "tides", N3)], [make_pair(u, "watching owls.", N3)]), N4: made(*n4)}
    )
    assert kept[N1].blocks == [block]
    assert [p.rejected for (p,) in kept[N3].blocks] == ["tides"]
    assert kept[N3].dropped == Counter(same_sides=1)
    assert [p.rejected for (p,) in kept[N4].blocks] == ["mapping tides"]
    # The last is N1's pair once more.
    assert kept[N4].dropped == Counter(near_duplicate=1, duplicate=1)


def test_a_couple_goes_whole(make_record):
    u, v = make_record("r1", "u", gold="quiet"), make_record("r2", "v", gold="cosy")
    couple = [
        make_pair(u, "cosy", N2, other_record_id="r2"),
        make_pair(v, "quiet", N2, chosen="eerie", other_record_id="r1"),
    ]
    # One direction is known from N1, the other is new: alone it would tip the balance.
    kept = without_duplicates({N1: made([make_pair(u, "cosy", N1, other_record_id="r2")]), N2: made(couple)})
    assert (kept[N2].blocks, kept[N2].dropped) == ([], Counter(duplicate=2))


def test_two_people_may_hold_the_same_other_answer(make_record):
    u, v, w = (make_record(f"r{i}", name, gold=g) for i, (name, g) in enumerate([("u", "a"), ("v", "b"), ("w", "b")]))
    block = disagreements([u, v, w])
    assert len(block) == 4
    assert without_duplicates({N1: made(block)})[N1].blocks == [block]
    again = without_duplicates({N1: made(block, [replace(block[0])])})
    assert again[N1].dropped == Counter(duplicate=1)
