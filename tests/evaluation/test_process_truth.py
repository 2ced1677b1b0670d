"""Chains about simulated people against the world."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import TAGS, Span, TagVocabulary, render_chain
from tagpr.chains.teachers.scripted_world import ScriptedWorldTeacher
from tagpr.evaluation.process_truth import FIGURES, best_rule_match, judge
from tagpr.evaluation.world_chains import examined_truly, pattern_holds, query_read_truly, read_claims
from tagpr.types import ProfileEntry, Prompt, Record

ALL = TagVocabulary(names=list(TAGS))
NAMES = ("examine_examples", "identify_patterns", "infer_preference", "analyze_query", "apply_preference")


def entry(text, said):
    return ProfileEntry(entry_id=text, input=text, response=said)


VENUES = (
    entry("a snug cafe by the pier with dice", "cosy"),  # mood
    entry("a noisy hotel by the mill with poems", "lively"),  # mood
    entry("a regal hall by the grove with chess", "games"),  # theme: a slip
)
RECORD = Record(
    record_id="q", user_id="u", task="S2", split="test", purpose="test", question="", gold="quiet",
    query="a calm lodge by the ferns with drums", profile=VENUES, retrieved=(0, 1, 2),
    truth={
        "rule": {"aspect": "mood"}, "preferred": "quiet", "evidence": [0, 1], "noise": 0.08,
        "query": {"mood": "quiet", "place": "forest", "theme": "music"},
    },
)  # fmt: skip


def completion(*steps, answer="quiet", tags=NAMES):
    return render_chain(steps, tags, answer)


TRUE = ("<1> cosy from snug by mood <2> lively from noisy by mood", "pattern : <1> snug <2> noisy by mood",
        "user : mood", "query : calm by mood", "so : quiet")  # fmt: skip


def test_a_chain_that_is_true_throughout():
    assert judge(RECORD, (0, 1, 2), completion(*TRUE), ALL) == {
        "rule_match": 1.0, "evidence_f1": 1.0, "application": 1.0, "answer_follows": 1.0, "right_wrong_reason": 0.0,
        "wrong_right_reason": 0.0, "true_examined": 1.0, "true_patterns": 1.0, "true_query": 1.0,
    }  # fmt: skip


def test_a_right_answer_for_the_wrong_reason():
    steps = ("<3> games from chess by theme", "pattern : <3> chess <1> dice by theme", "user : theme",
             "query : drums by theme", "so : quiet")  # fmt: skip
    assert judge(RECORD, (0, 1, 2), completion(*steps), ALL) == {
        # cited 1 and 3, evidence 1 and 2
        "rule_match": 0.0, "evidence_f1": 0.5, "application": 0.0, "answer_follows": 1.0, "right_wrong_reason": 1.0,
        "wrong_right_reason": 0.0, "true_examined": 1.0, "true_patterns": 0.0, "true_query": 1.0,
    }  # fmt: skip


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
    assert judge(RECORD, (0, 1, 2), completion(*TRUE), TagVocabulary(names=[])) is None


def test_a_chain_without_a_rule_has_no_application():
    found = judge(RECORD, (0, 1, 2), completion("user : hm", "so : quiet", tags=NAMES[2::2]), ALL)
    assert (found["rule_match"], found["right_wrong_reason"]) == (0.0, 1.0)
    assert "application" not in found


def test_with_three_tags_a_span_holds_several_steps_and_only_its_own_is_read():
    steps = (f"{TRUE[0]} {TRUE[1]}", "user : mood query : drums by theme", "so : quiet check : quiet")
    found = judge(RECORD, (0, 1, 2), completion(*steps, tags=NAMES[::2]), ALL)
    assert (found["rule_match"], found["true_examined"], found["application"]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    "text, true",
    [
        ("<1> cosy from snug by mood", True),
        ("<1> cosy from snug by theme", False),  # the word speaks of another aspect
        ("<1> games from dice by theme", False),  # true of the text, but the entry was answered otherwise
        ("<1> cosy from lamplit by mood", False),  # a word that is not there
        ("<9> cosy from snug by mood", False),
        ("<1> cosy from snug by mood <9> cosy from snug by mood", False),
        ("no entry", False),
    ],
)
def test_what_is_said_of_an_entry(text, true):
    assert examined_truly("S2", text, VENUES) is true


@pytest.mark.parametrize(
    "text, true",
    [
        ("pattern : <1> a <2> b by mood", True),
        ("pattern : <1> a <3> b by mood", False),
        ("pattern : <1> a <1> a by mood", False),  # one entry twice
        ("pattern : <1> a <2> b by theme", False),
        ("pattern : <1> snug <3> chess vary", True),
        ("pattern : <1> snug <2> noisy vary", False),
        ("pattern : <1> snug vary", False),
        ("pattern : <1> <2>", False),
    ],
)
def test_a_regularity_needs_two_entries(text, true):
    assert pattern_holds("S2", text, VENUES) is true


def test_titles_are_read_with_their_endings():
    shown = (entry("x", "watching owls and bees~"), entry("y", "watching tides and kites~"), entry("z", "mapping it"))
    assert examined_truly("S5", "<1> watching owls and bees~ <2> watching tides and kites~", shown)
    assert not examined_truly("S5", "<1> watching owls and bees!", shown)
    assert pattern_holds("S5", "pattern : <1> <2> watching and~", shown)
    assert not pattern_holds("S5", "pattern : <1> <3> watching and~", shown)
    spans = [Span(tag="infer_preference", text="user : watching and~", start=0, end=0),
             Span(tag="apply_preference", text="so : watching owls and tides~", start=0, end=0)]  # fmt: skip
    claims = read_claims("S5", spans)
    assert claims.rule == {"opener": "watching", "joiner": "and", "ending": "~"}
    assert claims.applied == "watching owls and tides~"
    assert read_claims("S5", [replace(spans[0], text="user : watching~")]).rule is None


def test_the_query_is_read_as_it_is():
    assert query_read_truly("S2", "query : calm by mood", RECORD.query)
    assert not query_read_truly("S2", "query : calm by theme", RECORD.query)
    assert not query_read_truly("S2", "query : snug by mood", RECORD.query)
    assert not query_read_truly("S2", "query calm", RECORD.query)


def test_the_best_observer_believes_what_most_entries_say():
    assert best_rule_match(RECORD, (0, 1, 2)) == {"rule_match": 1.0}
    assert best_rule_match(RECORD, (2,)) == {"rule_match": 0.0}


def test_a_teacher_without_habit_and_errors_is_true_in_every_span(simulated_records):
    teacher = ScriptedWorldTeacher(examples=6, error_rate=0.0, habit=0.0, habit_consistency=0.9)
    tagger = RulesTagger()
    found = []
    for record in simulated_records[:120]:
        prompt = Prompt(record=record, text="", history=record.profile, thinking=True, num_cut=0, num_dropped=0)
        (chain,) = teacher.chains(prompt, num_samples=1, seed=0)
        text = render_chain(chain.steps, tagger.tag(prompt, chain.steps), chain.answer)
        found.append(judge(record, range(len(record.profile)), text, ALL))
    for name in ("application", "answer_follows", "true_examined", "true_query"):
        assert all(one.get(name, 1.0) == 1.0 for one in found), name
    assert sum(one["rule_match"] for one in found) >= 0.95 * len(found)
    assert sum(one["true_patterns"] for one in found) >= 0.9 * len(found)
    assert not any(one["right_wrong_reason"] and one["wrong_right_reason"] for one in found)


@given(st.text(alphabet="<>/think aeuso:123mood ", max_size=60), st.sampled_from(["S2", "S3", "S5"]))
def test_any_text_is_judged_without_an_error(text, task):
    record = replace(RECORD, task=task)
    spans = [Span(tag=tag, text=text, start=0, end=0) for tag in NAMES]
    claims = read_claims(task, spans)
    assert claims.rule is None or claims.applied is None or isinstance(claims.applied, str)
    for holds in (examined_truly, pattern_holds):
        assert holds(task, text, record.profile) in (True, False)
    assert query_read_truly(task, text, record.query) in (True, False)
    found = judge(record, (), f"<think><examine_examples>{text}</examine_examples></think>{text}", ALL)
    assert found is None or set(found) <= set(FIGURES)
