from hypothesis import given, settings
from hypothesis import strategies as st

from tagpr.markup import escape
from tagpr.prmu.pairs import N1, N4
from tagpr.prmu.pairs.base import make_pair
from tagpr.prmu.pairs.cues import CUES, cued_pairs, holds, with_cue


def test_a_cue_stands_before_or_behind_and_may_replace():
    assert with_cue("cosy", "as i always say", in_front=True, replace=False) == "as i always say cosy"
    assert with_cue("cosy", "as i always say", in_front=False, replace=True) == "cosy as i always say"
    six = "one two three four five six"
    assert with_cue(six, "as i always say", in_front=False, replace=True) == "one two as i always say"
    assert with_cue(six, "as i always say", in_front=True, replace=True) == "as i always say five six"


def test_a_cue_is_found_whatever_the_case_and_marks():
    assert holds("Well: As I ALWAYS, say!", "as i always say")
    assert not holds("as i say", "as i always say")


def test_wrong_answers_with_cues(make_record):
    past = tuple((f"a long description of place {i}", "quiet") for i in range(4))
    records = [make_record(f"r{i}", f"u{i}", history=past) for i in range(60)] + [make_record("alone", "x")]
    wrong = [make_pair(record, "cosy", N1) for record in records[:-1]]
    made = cued_pairs(records, wrong)
    assert len(made.blocks) == 60  # nobody gave the last one a wrong answer
    assert set(made.kinds) == set(CUES)
    for (pair,) in made.blocks:
        assert pair.chosen == "quiet"
        assert "cosy" in pair.rejected.split()
        assert len(pair.rejected.split()) > 2
    pasted = [p.rejected for (p,) in made.blocks if "place" in p.rejected or "description" in p.rejected]
    assert len(pasted) == made.kinds["pasted"]
    assert cued_pairs(records, wrong) == made


words = st.lists(st.sampled_from(["owls", "tides", "as", "i", "always", "say", "so", "forth"]), min_size=1, max_size=8)


@settings(max_examples=60)
@given(
    golds=st.lists(words, min_size=1, max_size=8), other=words, past=st.lists(words, max_size=3),
    task=st.sampled_from(["S5", "S2"]),
)  # fmt: skip
def test_the_cue_is_in_the_negative_only(make_record, golds, other, past, task):
    history = tuple((" ".join(text), " ".join(text)) for text in past)
    records = [make_record(f"r{i}", f"u{i}", task=task, gold=" ".join(g), history=history) for i, g in enumerate(golds)]
    answer = " ".join(other)
    made = cued_pairs(records, [make_pair(record, answer, N4) for record in records])
    assert len(made.blocks) + sum(made.dropped.values()) == len(records)
    for (pair,) in made.blocks:
        # The negative is the wrong answer, or what is left of it, and the cue: found again, it is not in the gold.
        rejected, kept = pair.rejected.split(), answer.split()
        left = next(
            n
            for n in range(len(kept), -1, -1)
            if rejected[:n] == kept[:n] or rejected[len(rejected) - n :] == kept[len(kept) - n :]
        )
        cue = " ".join(rejected[left:] if rejected[:left] == kept[:left] else rejected[: len(rejected) - left])
        assert cue
        assert not holds(pair.chosen, " ".join(rejected))
        assert escape(pair.chosen) != escape(pair.rejected)
