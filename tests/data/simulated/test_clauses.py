"""Rules in words say what the rules of logic.py say."""

import random

import pytest

from tagpr.data.simulated.clauses import CLAUSE_OF_TEXT, Clause, clause_code, deciding_clause, read_rule, rule_text
from tagpr.data.simulated.grammar import read_facts
from tagpr.data.simulated.items import ItemDials, draw_item
from tagpr.data.simulated.logic import LOGIC_TASKS, RULES, Rule, answers, encode

DIALS = ItemDials(
    held_out_frames=0.3,
    held_out_words=0.3,
    held_out_pairs=True,
    all_mentioned=0.6,
    min_decoys=2,
    max_decoys=4,
    weather_strength=0.5,
    broken=False,
)


@pytest.mark.parametrize("task", LOGIC_TASKS)
def test_clauses_decide_as_rules_do(task):
    """Two descriptions of the families, written apart: arrays there, words here."""
    rng = random.Random(1)
    facts = [read_facts(task, draw_item(task, DIALS, rng).text) for _ in range(80)]
    older = [rng.random() < 0.5 for _ in facts]
    codes = answers(encode(task, facts, older))
    undecided = 0
    for row, (found, is_older) in enumerate(zip(facts, older, strict=True)):
        for column, rule in enumerate(RULES[task]):
            clause, code = deciding_clause(task, rule, found, older=is_older)
            if clause is None:
                undecided += 1
                # S2: what should decide is left out of the text, so the other of the pair does.
                assert {rule.a, rule.b} - set(found.aspects[0])
            else:
                assert code == codes[row, column], (rule, found)
    assert (undecided > 0) == (task == "S2")


@pytest.mark.parametrize("task", LOGIC_TASKS)
def test_every_rule_has_words_of_its_own(task):
    for rule in RULES[task]:
        words = rule_text(task, rule)
        assert read_rule(task, words) == rule
        assert read_rule(task, " , ".join(reversed(words.split(" , ")))) == rule
        assert read_rule(task, f"{words} , {words}") is None
        assert read_rule(task, words.split()[-1]) != rule or words == rule.a
    assert all(clause.text == text for text, clause in CLAUSE_OF_TEXT[task].items())


def test_a_clause_applies_where_its_condition_holds():
    facts = read_facts("S3", "the new cafe on a weekend had soggy food, rude staff and bright room")
    said = {
        ("food",): 2,
        ("food", "flip"): 4,
        ("room", "toward", "food"): 3,  # (2 * 4 + 2) / 3 = 3.33
        ("staff", "up", "2", "new"): 3,
        ("4",): 4,
    }
    assert {value: clause_code("S3", Clause(value), facts, older=True) for value in said} == said
    conditions = {
        ("weekend",): True,
        ("weekday",): False,
        ("older",): True,
        ("newer",): False,
        ("usual",): False,
        ("food", "below", "3"): True,
        ("food", "above", "2"): False,
        ("food", "2"): True,
    }
    for condition, holds in conditions.items():
        assert (clause_code("S3", Clause(("room",), condition), facts, older=True) == 4) == holds, condition


def test_rule_texts_by_hand():
    assert (
        rule_text("S1", Rule("threshold", "staff", "", (4, "[2]")))
        == "[2] if [2] staff above 3 , [1] if [2] staff below 4"
    )
    assert rule_text("S2", Rule("veto", "mood", "theme", ("eerie",))) == "mood , theme if mood eerie"
    assert rule_text("S3", Rule("threshold", "room", "", (3, 1))) == "5 if room above 2 , 3 if room below 3"
