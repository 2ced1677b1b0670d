"""Whose history is lent to whom, how it is matched, and that nothing else of the prompt changes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.data.other_people import People, closest
from tagpr.data.retrieval import BM25Retriever, NoRetriever
from tagpr.data.simulated.logic import Rule
from tagpr.data.simulated.observer import reference_answers
from tagpr.errors import UserError
from tagpr.evaluation.swap import CONDITIONS, swapped_histories, with_shuffled_responses
from tagpr.types import ProfileEntry, Prompt, Record


def record_of(user, *inputs, query="hotel by the sea", gold="4", number=0, responses=None):
    responses = responses or [str(i % 5 + 1) for i in range(len(inputs))]
    profile = tuple(
        ProfileEntry(entry_id=f"{user}{i}", input=text, response=said)
        for i, (text, said) in enumerate(zip(inputs, responses, strict=True))
    )
    return Record(
        record_id=f"{user}-q{number}", user_id=user, task="LaMP_3", split="test", purpose="test",
        question=f"What is the score of the following review on a scale of 1 to 5? review: {query}", query=query,
        gold=gold, profile=profile, retrieved=tuple(range(len(profile))),
    )  # fmt: skip


def build(record):
    """Every retrieved entry, uncut."""
    history = tuple(record.profile[i] for i in record.retrieved)
    text = "".join(f"{e.input} => {e.response}\n" for e in history) + record.query
    return Prompt(record=record, text=text, history=history, thinking=False, num_cut=0, num_dropped=0)


def swap(record, others, *, candidates=20, length_band=0.25, seed=0, retriever=None):
    found = swapped_histories(
        build(record), People([record, *others]), build=build, retriever=retriever or BM25Retriever(k=8),
        candidates=candidates, length_band=length_band, seed=seed,
    )  # fmt: skip
    assert [one.condition for one in found] == list(CONDITIONS)
    return dict(zip(CONDITIONS, found, strict=True))


ANN = record_of("ann", "sea view and sand", "a boat on the sea")
SEA = record_of("sea", "sand and sea here", "the boat was wet", query="a play")
TOWN = record_of("town", "trams and lights", "loud bars open late", query="a play")


def test_the_nearest_other_shares_words_with_the_question_and_the_own_inputs():
    # town shares no word with ann's question or inputs ("a", "and" aside); sea shares sea, sand, boat.
    assert [one.user_id for one in People([ANN, TOWN, SEA]).nearest(ANN, seed=0)] == ["sea", "town"]
    by = swap(ANN, [TOWN, SEA])
    assert by["nearest"].other is SEA
    assert {e.input for e in by["nearest"].prompt.history} == {e.input for e in SEA.profile}


def test_the_question_counts_as_much_as_the_own_history():
    # One shares the one word of the question, the other the one word of the history: cosines (1, 0) and (0, 1).
    asked = record_of("ann", "boats", query="trams")
    by_question, by_history, neither = record_of("q", "trams"), record_of("h", "boats"), record_of("n", "cats")
    ranked = People([asked, neither, by_question, by_history]).nearest(asked, seed=0)
    assert {one.user_id for one in ranked[:2]} == {"q", "h"}
    assert ranked[2] is neither


def test_only_the_history_changes():
    by = swap(ANN, [SEA, TOWN])
    for one in by.values():
        record = one.prompt.record
        assert replace(record, profile=ANN.profile, retrieved=ANN.retrieved) == ANN
        assert one.prompt.text.endswith(ANN.query)
    assert by["own"].prompt == build(ANN)
    assert by["none"].prompt.history == ()
    assert by["none"].prompt.text == ANN.query
    assert by["random"].other in (SEA, TOWN)


def test_a_person_never_lends_to_themselves_nor_to_their_own_other_questions():
    sibling = record_of("ann", "sea sea sea", "sea view", number=1)
    people = People([ANN, sibling, TOWN])
    assert people.nearest(ANN, seed=0) == people.at_random(sibling, seed=3) == [TOWN]
    with pytest.raises(UserError, match=r"ann is the only person with questions of LaMP_3"):
        swap(ANN, [sibling])


def test_the_others_entries_are_retrieved_against_the_question_and_never_more_than_the_own():
    rich = record_of("rich", "nothing", "hotel by the sea at night", "hotel sea", "trams", query="x")
    by = swap(ANN, [rich])
    # BM25 ranks the two entries with hotel and sea first; the question's own words decide, not the profile's order.
    assert {e.entry_id for e in by["nearest"].prompt.history} == {"rich1", "rich2"}


def test_an_entry_that_is_the_question_itself_is_not_lent():
    same = record_of("same", ANN.query, "sea and sand", "a wet boat", query="x")
    lent = swap(ANN, [same])["nearest"].prompt.history
    assert "same0" not in {e.entry_id for e in lent}
    assert len(lent) == 2


def sized(entries, characters):
    """A prompt whose history has that many entries and characters (responses of one each)."""
    inputs = ["x" * (characters // entries - 1)] * entries
    inputs[0] += "x" * (characters - sum(len(i) + 1 for i in inputs))
    return build(record_of(f"u{entries}-{characters}", *inputs))


@pytest.mark.parametrize(
    "offered, chosen, exact",
    [
        ([(2, 100), (3, 80), (3, 100)], (3, 80), True),  # 20 % shorter lies within the band; the first that fits
        ([(2, 100), (3, 120), (3, 125), (3, 130)], (3, 120), True),
        ([(3, 126), (3, 74)], (3, 126), False),  # both 26 % off: the earlier one
        ([(2, 100), (3, 300), (3, 200)], (3, 200), False),  # the number of entries before the length
        ([(1, 100), (5, 100), (2, 10)], (2, 10), False),
    ],
)
def test_the_first_history_of_the_same_size_is_taken_else_the_closest(offered, chosen, exact):
    prompts = [sized(*size) for size in offered]
    prompt, other, is_exact = closest(sized(3, 100), ((p, p.record) for p in prompts), length_band=0.25)
    assert (len(prompt.history), sum(len(e.input) + 1 for e in prompt.history)) == chosen
    assert (other, is_exact) == (prompt.record, exact)


def test_no_more_than_so_many_candidates_are_looked_at():
    # The only fitting one stands second.
    near = record_of("near", "sea " * 60, "boat " * 60, query="x")
    assert swap(ANN, [near, TOWN], candidates=2)["nearest"].other is TOWN
    first = swap(ANN, [near, TOWN], candidates=1)["nearest"]
    assert (first.other, first.exact) == (near, False)


def test_a_random_other_is_the_same_one_whenever_the_seed_is_and_any_one_otherwise():
    others = [record_of(f"o{i}", "one thing here", "two boats here") for i in range(10)]
    people = People([ANN, *others])
    assert people.at_random(ANN, seed=4) == people.at_random(ANN, seed=4)
    assert people.at_random(ANN, seed=4) == People([*others, ANN]).at_random(ANN, seed=4)
    firsts = {people.at_random(ANN, seed=seed)[0].user_id for seed in range(60)}
    assert firsts == {f"o{i}" for i in range(10)}


@given(st.lists(st.sampled_from("12345"), min_size=2, max_size=9), st.integers(0, 99))
def test_shuffling_moves_every_response_and_keeps_them_all(responses, seed):
    record = record_of("u", *(f"text {i}" for i in range(len(responses))), responses=responses)
    # Responses that can be told apart, so that one that stays would be seen.
    record = replace(
        record, profile=tuple(replace(e, response=f"{e.response}/{i}") for i, e in enumerate(record.profile))
    )
    shuffled = with_shuffled_responses(build(record), seed=seed).profile
    assert [e.input for e in shuffled] == [e.input for e in record.profile]
    assert sorted(e.response for e in shuffled) == sorted(e.response for e in record.profile)
    assert all(one.response != other.response for one, other in zip(shuffled, record.profile, strict=True))


def test_only_shown_entries_exchange_their_responses():
    record = record_of("u", "a", "b", "c", responses=["1", "2", "3"])
    prompt = replace(build(record), history=record.profile[:2])
    assert [e.response for e in with_shuffled_responses(prompt, seed=0).profile] == ["2", "1", "3"]


def test_one_entry_and_entries_without_inputs_cannot_be_shuffled():
    one = record_of("u", "a")
    tweets = record_of("u", "", "", responses=["hi", "ho"])
    assert with_shuffled_responses(build(one), seed=0) is one
    assert with_shuffled_responses(build(tweets), seed=0) is tweets


def test_what_the_other_says_is_their_gold_where_they_were_asked_the_same():
    same = record_of("bob", "sea", query=ANN.query, gold="2", number=1)
    people = People([ANN, record_of("bob", "sea", query="other", gold="5"), same])
    (lent,) = people.at_random(ANN, seed=0)
    assert lent is same
    assert people.answer_of(lent, ANN) == ("2", "gold")
    assert people.answer_of(TOWN, ANN) == ("", "")


def test_a_simulated_other_says_what_their_rule_prefers(simulated_records):
    tests = [r for r in simulated_records if r.split == "test" and r.task == "S2"]
    people = People(tests)
    asked, other = tests[0], next(one for one in tests if one.query != tests[0].query)
    asked = replace(asked, query="a snug cafe by the pier, full of dice on a weekend")
    cases = {  # what rules say to the question, by the table in logic.py
        Rule("lexicographic", "theme", "mood", ()): "games",
        Rule("context_switch", "mood", "place", ()): "seaside",  # it is the weekend
        Rule("drifter", "mood", "theme", ()): "games",  # a question is never of the older half
        Rule("veto", "mood", "place", ("cosy",)): "seaside",
    }
    for rule, says in cases.items():
        told = replace(other, truth={**other.truth, "rule": rule.as_json()})
        assert people.answer_of(told, asked) == (says, "rule")


def test_a_simulated_other_writes_in_their_manner(simulated_records):
    asked, other = (
        replace(r, query=text, truth={"style": style})
        for r, text, style in zip(
            [r for r in simulated_records if r.task == "S5"][:2],
            ("we compare gardens and pearls in a memoir", "we compare owls and tides in a diary"),
            ({"opening": 0, "connective": 0, "punctuation": 0}, {"opening": 3, "connective": 1, "punctuation": 1}),
            strict=True,
        )
    )
    assert People([asked, other]).answer_of(other, asked) == ("judging gardens with pearls!", "rule")


def test_the_observer_follows_the_history_it_is_shown(simulated_records):
    """With another's history it answers as the other would, where the two rules differ: swaps carry the person."""
    tests = [r for r in simulated_records if r.split == "test" and r.task == "S2"]
    people = People(tests)
    hits = []
    for record in tests:
        shown = replace(record, retrieved=tuple(range(len(record.profile))))
        for one in swapped_histories(
            build(shown), people, build=build, retriever=BM25Retriever(k=8), candidates=20, length_band=0.25, seed=0
        )[1:2]:
            assert one.other.user_id != record.user_id
            says, source = people.answer_of(one.other, record)
            if source == "rule":
                hits.append(reference_answers(one.prompt.record, one.prompt.history).bayes == says)
    assert len(hits) > 20
    assert sum(hits) / len(hits) > 0.9


def test_people_without_any_words_are_taken_in_the_order_of_chance():
    blank = [record_of(f"b{i}", "", "", responses=["-", "-"], query="!") for i in range(4)]
    people = People(blank)
    assert len(people.nearest(blank[0], seed=0)) == 3


def test_a_retriever_that_finds_nothing_leaves_no_history_to_lend():
    by = swap(ANN, [SEA], retriever=NoRetriever())
    assert (by["nearest"].prompt.history, by["nearest"].exact) == ((), False)
