import math
from collections import Counter

import numpy as np
import pytest

from tagpr.prmu.pairs import label_frequencies, label_pairs
from tagpr.prmu.pairs.labels import BlindLabels, plausible_label_pairs


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


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
    assert BlindLabels(records).chances(records[0]) == {}
    made = plausible_label_pairs(records, BlindLabels(records), per_record=3, margin=9.0, generator=rng())
    assert (made.blocks, made.dropped) == ([], Counter())


def harbours_and_halls(make_record):
    """Of a harbour nine in ten people say seaside; of a hall half say quiet, half cosy."""
    records = []
    for i in range(200):
        records.append(make_record(f"h{i}", f"u{i}", query=f"harbour {i}", gold="seaside" if i % 10 else "quiet"))
        records.append(make_record(f"g{i}", f"v{i}", query=f"hall {i}", gold="quiet" if i % 2 else "cosy"))
    return records


def test_the_blind_model_reads_the_query_and_no_own_gold(make_record):
    records = harbours_and_halls(make_record)
    blind = BlindLabels(records)
    at_sea, indoors = (
        blind.chances(make_record("x", "x", query="harbour")),
        blind.chances(make_record("x", "x", query="hall")),
    )
    assert sum(at_sea.values()) == pytest.approx(1.0)
    assert at_sea["seaside"] > 0.75
    assert indoors["seaside"] < 0.1
    # A question whose gold nobody else would give: judged by a model that did not see it, it stays unlikely.
    odd = make_record("odd", "odd", query="harbour only", gold="cosy")
    chances = BlindLabels([*records, odd]).chances(odd)
    assert chances["cosy"] < 0.1


def test_few_questions_give_frequencies(make_record):
    records = [make_record(f"r{i}", f"u{i}", gold="quiet" if i < 6 else "cosy") for i in range(8)]
    assert BlindLabels(records).chances(records[0]) == {"quiet": 0.75, "cosy": 0.25}


def test_labels_beyond_the_margin_are_left_out(make_record):
    records = [make_record(f"r{i}", f"u{i}", gold="quiet" if i < 6 else "cosy") for i in range(8)]
    blind = BlindLabels(records)  # p = 3/4, 1/4: log 3 = 1.0986 nats apart
    near = plausible_label_pairs(records, blind, per_record=60, margin=math.log(3) + 0.001, generator=rng())
    assert [(p.chosen, p.rejected) for (p,) in near.blocks] == [("quiet", "cosy")] * 6 + [("cosy", "quiet")] * 2
    assert near.dropped == Counter(agreement=8)
    far = plausible_label_pairs(records, blind, per_record=60, margin=math.log(3) - 0.001, generator=rng())
    assert (far.blocks, far.dropped) == ([], Counter(agreement=8, margin=8))


def test_the_blind_model_wins_half_of_the_plausible_pairs(make_record):
    records = harbours_and_halls(make_record)
    blind = BlindLabels(records)
    made = plausible_label_pairs(records, blind, per_record=1, margin=9.0, generator=rng())
    by_id = {record.record_id: record for record in records}
    wins = []
    for (pair,) in made.blocks:
        chances = blind.chances(by_id[pair.record_id])
        wins.append(chances[pair.chosen] > chances[pair.rejected])
    # 400 records; about 18 % of harbours and 50 % of halls make a pair. 4 standard errors of half of 136.
    assert len(wins) > 100
    assert abs(np.mean(wins) - 0.5) < 4 * 0.5 / len(wins) ** 0.5
