"""Chains about simulated people against the world."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import TAGS, TagVocabulary, render_chain
from tagpr.chains.teachers.scripted_world import ScriptedWorldTeacher
from tagpr.data.simulated.logic import Rule
from tagpr.data.simulated.reasoning import reference_chain
from tagpr.evaluation.process_truth import FIGURES, best_rule_match, judge
from tagpr.types import ProfileEntry, Prompt, Record

ALL = TagVocabulary(names=list(TAGS))
NAMES = ("examine_examples", "identify_patterns", "infer_preference", "analyze_query", "apply_preference")


def entry(text, said):
    return ProfileEntry(entry_id=f"{text}/{said}", input=text, response=said)


VENUES = (
    entry("a snug cafe by the pier, full of dice", "cosy"),  # mood
    entry("a noisy hotel by the grove, full of poems", "lively"),  # mood
    entry("a gilded hall by the tram, full of chess", "games"),  # theme: a slip
)
RECORD = Record(
    record_id="q", user_id="u", task="S2", split="test", purpose="test", question="", gold="quiet",
    query="a calm lodge by the ridge, full of drums", profile=VENUES, retrieved=(0, 1, 2),
    truth={
        "rule": Rule("lexicographic", "mood", "place", ()).as_json(), "preferred": "quiet", "evidence": [0, 1],
        "noise": 0.08, "families": ["lexicographic"],
    },
)  # fmt: skip
MANNER = {"opening": 3, "connective": 1, "punctuation": 1}
TITLES = replace(
    RECORD, task="S5", query="we compare gardens and pearls in a memoir", gold="judging gardens with pearls!",
    profile=(entry("", "judging owls with tides!"), entry("", "mapping bees with kites!"),
             entry("", "judging trains and wolves!")),
    truth={"style": MANNER, "preferred": "judging gardens with pearls!", "evidence": [0], "noise": 0.08,
           "families": ["lexicographic"]},
)  # fmt: skip


def completion(*steps, answer="quiet", tags=NAMES):
    return render_chain(steps, tags, answer)


TRUE = ("<1> cosy mood snug cosy same mood <2> lively mood noisy lively", "pattern : mood <1> <2>",
        "user : mood , place if no mood", "query : mood calm quiet", "so : quiet")  # fmt: skip


def test_a_chain_that_is_true_throughout():
    assert judge(RECORD, (0, 1, 2), completion(*TRUE), ALL) == {
        "rule_match": 1.0, "evidence_f1": 1.0, "application": 1.0, "answer_follows": 1.0, "right_wrong_reason": 0.0,
        "wrong_right_reason": 0.0, "true_examined": 1.0, "true_patterns": 1.0, "true_query": 1.0,
    }  # fmt: skip


def test_a_right_answer_for_the_wrong_reason():
    steps = ("<3> games theme chess games", "pattern : theme <3> <1>", "user : theme , mood if no theme",
             "query : theme drums music", "so : quiet")  # fmt: skip
    assert judge(RECORD, (0, 1, 2), completion(*steps), ALL) == {
        # cited 1 and 3, evidence 1 and 2; the stated rule says music
        "rule_match": 0.0, "evidence_f1": 0.5, "application": 0.0, "answer_follows": 1.0, "right_wrong_reason": 1.0,
        "wrong_right_reason": 0.0, "true_examined": 1.0, "true_patterns": 0.0, "true_query": 1.0,
    }  # fmt: skip


def test_half_of_the_rule_is_another_rule():
    steps = [*TRUE[:2], "user : mood , theme if no mood", *TRUE[3:]]
    found = judge(RECORD, (0, 1, 2), completion(*steps), ALL)
    assert (found["rule_match"], found["application"], found["right_wrong_reason"]) == (0.0, 1.0, 1.0)


def test_a_wrong_answer_with_the_right_reason_that_the_chain_did_not_come_to():
    found = judge(RECORD, (0, 1, 2), completion(*TRUE, answer="music"), ALL)
    assert (found["wrong_right_reason"], found["answer_follows"], found["application"]) == (1.0, 0.0, 1.0)


def test_entry_numbers_count_what_the_prompt_shows():
    found = judge(RECORD, (2, 1), completion(*TRUE), ALL)
    # <1> is now the third entry of the profile and no evidence; <2> is the second
    assert (found["evidence_f1"], found["true_examined"]) == (pytest.approx(2 / 3), 0.0)
    assert "evidence_f1" not in judge(RECORD, (2,), completion(*TRUE), ALL)


def test_without_spans_or_truth_there_is_nothing_to_judge():
    assert judge(RECORD, (0, 1, 2), "quiet", ALL) is None
    assert judge(RECORD, (0, 1, 2), "<think>user : mood</think>quiet", ALL) is None
    assert judge(replace(RECORD, truth=None), (0, 1, 2), completion(*TRUE), ALL) is None
    assert judge(replace(RECORD, task="LaMP_2"), (0, 1, 2), completion(*TRUE), ALL) is None
    assert judge(RECORD, (0, 1, 2), completion(*TRUE), TagVocabulary(names=[])) is None


def test_a_chain_without_a_rule_has_no_application():
    found = judge(RECORD, (0, 1, 2), completion("user : hm", "so : quiet", tags=NAMES[2::2]), ALL)
    assert (found["rule_match"], found["right_wrong_reason"]) == (0.0, 1.0)
    assert "application" not in found


def test_with_three_tags_a_span_holds_several_steps_and_only_its_own_is_read():
    steps = (f"{TRUE[0]} {TRUE[1]}", f"{TRUE[2]} but : <3> games {TRUE[3]}", "so : quiet check : quiet")
    found = judge(RECORD, (0, 1, 2), completion(*steps, tags=NAMES[::2]), ALL)
    # what contradicts the rule is cited, and not as evidence
    assert found == {
        "rule_match": 1.0, "evidence_f1": 1.0, "application": 1.0, "answer_follows": 1.0, "right_wrong_reason": 0.0,
        "wrong_right_reason": 0.0, "true_examined": 1.0,
    }  # fmt: skip


def test_manners_are_judged_with_their_endings():
    steps = ("<1> judging owls with tides! <2> mapping bees with kites!", "user : judging with!",
             "so : judging gardens with pearls!")  # fmt: skip
    found = judge(TITLES, (0, 1, 2), completion(*steps, answer="judging gardens with pearls!", tags=NAMES[::2]), ALL)
    assert found == {
        # cited 1 and 2, evidence 1
        "rule_match": 1.0, "evidence_f1": pytest.approx(2 / 3), "application": 1.0, "answer_follows": 1.0,
        "right_wrong_reason": 0.0, "wrong_right_reason": 0.0, "true_examined": 1.0,
    }  # fmt: skip
    other = [*steps[:1], "user : judging with.", steps[2]]
    found = judge(TITLES, (0, 1, 2), completion(*other, answer="judging gardens with pearls!", tags=NAMES[::2]), ALL)
    assert (found["rule_match"], found["application"], found["right_wrong_reason"]) == (0.0, 0.0, 1.0)


def test_the_best_observer_believes_what_most_entries_say():
    assert best_rule_match(RECORD, (0, 1, 2)) == {"rule_match": 1.0}
    assert best_rule_match(RECORD, (2,)) == {"rule_match": 0.0}
    # `judging`, `with` and `!` stand twice or oftener; the second title alone opens otherwise
    assert best_rule_match(TITLES, (0, 1, 2)) == {"rule_match": 1.0}
    assert best_rule_match(TITLES, (1,)) == {"rule_match": 0.0}


def whole(record):
    return Prompt(record=record, text="", history=record.profile, thinking=True, num_cut=0, num_dropped=0)


def judged(record, chain):
    tags = RulesTagger().tag(whole(record), chain.steps)
    return judge(record, range(len(record.profile)), render_chain(chain.steps, tags, chain.answer), ALL)


def test_chains_of_somebody_who_knows_the_truth_are_true_in_every_span(simulated_records):
    for record in simulated_records[::7]:
        found = judged(record, reference_chain(record, list(enumerate(record.profile)), examples=6))
        assert 0 < found.pop("evidence_f1", 1.0) <= 1
        assert found.pop("right_wrong_reason") == found.pop("wrong_right_reason") == 0
        assert set(found.values()) == {1.0}, (record.record_id, found)


def test_a_teacher_without_habit_and_errors_is_consistent_and_finds_no_more_than_can_be_known(simulated_records):
    families = {"of_data": list(simulated_records[0].truth["families"]), "of_size": None, "held_out": None}
    teacher = ScriptedWorldTeacher(
        families=families, slip=0.08, examples=6, error_rate=0.0, habit=0.0, habit_consistency=0.9
    )
    records = simulated_records[::5]
    found = [judged(r, *teacher.chains(whole(r), num_samples=1, seed=0)) for r in records]
    for name in ("application", "answer_follows", "true_examined", "true_patterns", "true_query"):
        assert all(one.get(name, 1.0) == 1.0 for one in found), name
    best = [best_rule_match(r, range(len(r.profile)))["rule_match"] for r in records]
    matches = sum(one["rule_match"] for one in found)
    assert 0.3 * len(records) < matches <= sum(best) + 0.05 * len(records)


@given(st.text(alphabet="<>/think aeuso:123mood ,", max_size=60), st.sampled_from(["S1", "S2", "S3", "S4", "S5", "S7"]))
def test_any_text_is_judged_without_an_error(text, task):
    record = replace(TITLES if task in ("S4", "S5", "S7") else RECORD, task=task)
    found = judge(record, (0, 2), f"<think><examine_examples>{text}</examine_examples></think>{text}", ALL)
    assert found is None or set(found) <= set(FIGURES)
    text = f"<infer_preference>user : {text}</infer_preference><apply_preference>so : {text}</apply_preference>"
    found = judge(record, (0, 2), f"<think>{text}</think>quiet", ALL)
    assert found is None or set(found) <= set(FIGURES)
