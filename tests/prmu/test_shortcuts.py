import numpy as np

from tagpr.prmu.pairs import label_frequencies, label_pairs, shared_query_pairs
from tagpr.prmu.shortcuts import shortcut_report
from tagpr.types import PreferencePair


def pair(chosen: str, rejected: str, kind: str, *, record_id: str = "r", query: str = "q") -> PreferencePair:
    return PreferencePair(
        record_id=record_id, user_id="u", task="S5", query=query, chosen=chosen, rejected=rejected, negative_type=kind
    )


def test_both_directions_leave_nothing_to_shortcuts(make_record):
    records = [
        make_record(f"{q}-{u}", f"u{u}", query=f"q{q}", gold=["quiet", "quiet", "cosy"][u])
        for q in range(6)
        for u in range(3)
    ]
    blocks = shared_query_pairs(records, people_per_query=3, generator=np.random.default_rng(0))
    pairs = [p for block in blocks for p in block]
    report = shortcut_report(pairs[:12], pairs[12:], limit=0.65)
    assert report["accuracy"] == {"length": {"N1": 0.5}, "majority": {"N1": 0.5}}
    assert report["exceeded"] == []


def test_length_is_found_in_either_direction():
    train = [pair("longer text", "short", "N3", record_id=str(i)) for i in range(4)]
    dev = [pair("a longer text", "short", "N3"), pair("tiny", "a long text", "N3"), pair("same", "size", "N3")]
    assert shortcut_report(train, dev, limit=0.65)["accuracy"]["length"]["N3"] == 0.5
    train = [pair("short", "longer text", "N3", record_id=str(i)) for i in range(4)]
    report = shortcut_report(train, dev[1:], limit=0.65)
    assert report["accuracy"]["length"]["N3"] == 0.75
    assert report["exceeded"] == ["length on N3: 0.750"]


def test_majority_knows_the_query():
    train = [pair("a", "b", "N4", record_id=str(i), query="known") for i in range(3)]
    train += [pair("b", "a", "N4", record_id=str(i), query="elsewhere") for i in range(3, 9)]
    dev = [pair("a", "b", "N4", query="known"), pair("b", "a", "N4", query="new")]
    assert shortcut_report(train, dev, limit=0.65)["accuracy"]["majority"]["N4"] == 1.0


def test_labels_drawn_by_frequency_are_no_gift(make_record):
    golds = ["quiet"] * 600 + ["cosy"] * 250 + ["eerie"] * 150
    records = [make_record(f"r{i}", f"u{i}", query=f"q{i}", gold=gold) for i, gold in enumerate(golds)]
    pairs = label_pairs(records, label_frequencies(records), per_record=1, generator=np.random.default_rng(0))
    report = shortcut_report(pairs[::2], pairs[1::2], limit=0.65)
    assert 0.4 < report["accuracy"]["majority"]["N1_label"] < 0.6
