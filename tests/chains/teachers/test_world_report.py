"""The teacher's own report."""

import re

import pytest

from tagpr.chains.filters import ChainFilter
from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import TAGS, TagVocabulary
from tagpr.chains.teachers.scripted_world import ScriptedWorldTeacher
from tagpr.chains.teachers.world_report import HEAD, main, teacher_figures
from tagpr.data.simulated.command import compose_source
from tagpr.types import Prompt


def words(text: str, *, add_special_tokens: bool) -> dict[str, list[str]]:
    assert not add_special_tokens
    return {"input_ids": re.findall(r"</?\w+>|\w+|\.\.\.|[^\w\s]", text)}


FAMILIES = ("lexicographic", "contrarian")


@pytest.fixture(scope="module")
def records():
    source = compose_source(["data.size=smoke", "data.tasks=[S2,S5]", f"data.families=[{','.join(FAMILIES)}]"])
    return [r for r in source.draw(seed=3, advance=lambda people: None) if r.purpose == "sft"]


def figures(records, **changes):
    dials = {"slip": 0.08, "examples": 4, "error_rate": 0.0, "habit": 0.0, "habit_consistency": 0.9} | changes
    known = {"of_data": FAMILIES, "of_size": None, "held_out": None}
    rows = teacher_figures(
        [
            Prompt(record=record, text="", history=record.profile, thinking=True, num_cut=0, num_dropped=0)
            for record in records
        ],
        ScriptedWorldTeacher(families=known, **dials),
        chain_filter=ChainFilter(
            strictness=1.0,
            text_quantile=0.5,
            min_words=4,
            max_words=400,
            max_copied_share=0.3,
            duplicate_overlap=0.95,
        ),
        tagger=RulesTagger(),
        tags=TagVocabulary(names=list(TAGS)),
        tokenizer=words,
        num_samples=1,
        seed=0,
    )
    return {(row.task, row.family): row for row in rows}


def test_a_teacher_without_faults(records):
    rows = figures(records)
    assert set(rows) == {(t, f) for t in ("S2", "S5") for f in ("all", "lexicographic", "contrarian")}
    for row in rows.values():
        assert (row.habitual, row.unread, row.misread, row.inferred, row.applied) == (0, 0, 0, 0, 0)
        assert row.evidence_true == 1
        assert row.kept_right == 1
        assert row.kept == row.right  # strictness 1: right answers and nothing else
    tag, title = rows["S2", "all"], rows["S5", "all"]
    assert tag.chains == rows["S2", "lexicographic"].chains + rows["S2", "contrarian"].chains == 24 * 5
    assert 0.55 < tag.score == tag.right < 1
    assert title.rule_true > tag.rule_true
    assert len(tag.cells()) == len(HEAD)


def test_faults_show(records):
    tags = [record for record in records if record.task == "S2"]
    rows = figures(tags, habit=0.6, error_rate=0.2)
    tag = rows["S2", "all"]
    assert 0.4 < tag.habitual < 0.8
    assert 0.4 < tag.misread < 1.2  # four readings, each wrong with .2
    assert 0.1 < tag.inferred < 0.3
    assert 0.1 < tag.applied < 0.3
    assert tag.evidence_true < 0.7
    assert tag.score < figures(tags)["S2", "all"].score


def test_command(capsys):
    assert main(["experiment=smoke", "people=2", "data.tasks=[S3]", "data.families=[veto]"]) == 0
    printed = capsys.readouterr().out
    assert "## Habit 0.0" in printed
    assert "## Habit 0.3" in printed
    assert re.search(r"\| S3 \| veto \| 20 \|", printed)  # 2 people, 5 questions, 2 chains each
    assert main(["experiment=smoke", "teacher.habbit=1"]) == 2
    assert "habit" in capsys.readouterr().err
