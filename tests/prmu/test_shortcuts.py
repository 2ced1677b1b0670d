from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagpr.prmu.pairs import N1, N2, N3, label_frequencies, label_pairs, shared_query_pairs
from tagpr.prmu.pairs.base import PolicySample, make_pair
from tagpr.prmu.shortcuts import accuracy, lower_bound, shortcut_report

BLIND = ("length", "query_overlap", "is_model_text", "user_agnostic")


def report_of(train, dev, records, samples=()):
    return shortcut_report(train, dev, records={r.record_id: r for r in records}, samples=samples, limit=0.65)


def sample(record, answer) -> PolicySample:
    return PolicySample(
        record_id=record.record_id, user_id=record.user_id, task=record.task, split="train", with_history=True,
        sample_index=0, answer=answer, parsed=True, score=0.0,
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    golds=st.lists(st.sampled_from(["quiet", "cosy", "a grand hall!"]), min_size=12, max_size=24),
    extra=st.lists(st.sampled_from(["long and longer text", "x"]), max_size=6),
)
def test_what_sees_no_user_is_at_half_on_n1_in_any_mix(make_record, golds, extra):
    records = [make_record(f"r{i}", f"u{i}", query=f"q{i // 3}", gold=g, task="S5") for i, g in enumerate(golds)]
    blocks = shared_query_pairs(records, people_per_query=3, generator=np.random.default_rng(0))
    others = [make_pair(record, text, N3) for record, text in zip(records, extra, strict=False)]
    half = len(blocks) // 2
    train = [p for block in blocks[:half] for p in block] + others
    dev = [p for block in blocks[half:] for p in block] + others
    if any(p.negative_type == N1 for p in dev):
        report = report_of(train, dev, records, [sample(records[0], "x"), sample(records[1], "quiet")])
        assert {name: report["accuracy"][name]["N1"] for name in BLIND} == dict.fromkeys(BLIND, 0.5)


def test_a_learnt_rule_is_turned_round_with_its_sides(make_record):
    one = make_pair(make_record("r", "u", task="S5"), "x", N3)

    def features(pair, answer):
        return {"length": float(len(answer))}

    def pairs(*sides):
        return [replace(one, chosen=chosen, rejected=rejected) for chosen, rejected in sides]

    train = pairs(("short", "longer text"), ("a", "bbb"))
    dev = pairs(("tiny", "a long text"), ("a longer text", "short"), ("same", "size"), ("", "x"))
    # Shorter wins in train: right, wrong, a tie, right.
    assert accuracy(features, train, dev) == 0.625
    assert accuracy(features, [replace(p, chosen=p.rejected, rejected=p.chosen) for p in train], dev) == 0.375
    assert accuracy(features, [], dev) == 0.5
    assert accuracy(lambda pair, answer: {}, train, dev) == 0.5


def test_every_model_finds_its_own_shortcut(make_record):
    # Chosen: what the history says, longer, with the query's word, by a person; rejected: none of it.
    records = [
        make_record(
            f"r{i}", f"u{i}", task="S5", query=f"about word{i}", gold=f"word{i} liked by person{i} very much",
            history=((f"x{i}", f"liked by person{i}"),),
        )
        for i in range(40)
    ]  # fmt: skip
    pairs = [make_pair(record, "some model wrote", N2) for record in records]
    samples = [sample(record, "some model wrote") for record in records[:20]]
    report = report_of(pairs[:20], pairs[20:], records, samples)
    assert all(by_type["N2"] == 1.0 for by_type in report["accuracy"].values())
    assert report["questions"] == {"N2": 20}
    assert len(report["exceeded"]) == 5
    assert report["exceeded"][0] == "length on N2: 1.000 of 20 questions"
    few = report_of(pairs[:20], pairs[20:22], records, samples)
    # Two of two by chance: one in four.
    assert few["exceeded"] == []
    assert len(few["too_few_to_tell"]) == 5


def test_types_about_answers_are_shown_and_not_judged(make_record):
    records = [make_record(f"r{i}", f"u{i}", task="S5", gold="a much longer text than that") for i in range(40)]
    pairs = [make_pair(record, "short", N3) for record in records]
    report = report_of(pairs[:20], pairs[20:], records)
    assert report["accuracy"]["length"] == {"N3": 1.0}
    assert report["exceeded"] == report["too_few_to_tell"] == []


def test_the_bound_is_wilsons():
    # (p + z2/2n - z sqrt(p q / n + z2 / 4n2)) / (1 + z2/n) for p = .8, n = 10, z = 1.96: .4902
    assert lower_bound(0.8, 10) == pytest.approx(0.4902, abs=1e-4)
    assert lower_bound(0.8, 1000) > 0.77


def test_labels_drawn_by_frequency_are_no_gift(make_record):
    golds = ["quiet"] * 600 + ["cosy"] * 250 + ["eerie"] * 150
    records = [make_record(f"r{i}", f"u{i}", query=f"q{i}", gold=gold) for i, gold in enumerate(golds)]
    pairs = label_pairs(records, label_frequencies(records), per_record=1, generator=np.random.default_rng(0))
    report = report_of(pairs[::2], pairs[1::2], records)
    assert 0.4 < report["accuracy"]["user_agnostic"]["N1_label"] < 0.6
