from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.data.simulated.lexicon import KEYWORDS
from tagpr.data.simulated.observer import _candidates, _outcomes, _score_table, visible_parts
from tagpr.data.simulated.style import STYLE_TASKS, STYLE_WORDS, part_noise, read_style, style_parts, write_style
from tagpr.tasks import ALL_TASKS


def test_texts_by_hand():
    keywords = ("kites", "bees")
    assert write_style("S4", {"harshness": 2, "formality": 0, "length": 1, "punctuation": 1}, keywords) == (
        "dreadful kites affect bees today!"
    )
    assert write_style("S4", {"harshness": 0, "formality": 2, "length": 0, "punctuation": 3}, keywords) == (
        "gentle kites wreck bees..."
    )
    assert write_style("S5", {"opening": 4, "connective": 2, "punctuation": 2}, keywords) == (
        "praising kites versus bees~"
    )
    style = {"opening": 0, "formality": 2, "connective": 1, "harshness": 1, "punctuation": 0}
    assert write_style("S7", style, keywords) == "honestly, folks find kites with bees passable."
    assert write_style("S7", dict.fromkeys(style), keywords) == "find kites bees"


@given(st.sampled_from(STYLE_TASKS), st.data())
def test_a_manner_reads_back(task, data):
    style = {part: data.draw(st.integers(0, len(words) - 1)) for part, words in STYLE_WORDS[task].items()}
    keywords = data.draw(st.lists(st.sampled_from(KEYWORDS), min_size=2, max_size=2, unique=True))
    assert read_style(task, write_style(task, style, keywords)) == style


@pytest.mark.parametrize(
    "task, text",
    [
        ("S5", ""),
        ("S5", "kites and bees."),
        ("S5", "exploring kites and bees"),
        ("S5", "exploring watching kites and bees."),
        ("S5", "exploring kites and bees and owls."),
        ("S4", "kites affect gentle bees."),
        ("S7", "honestly, folks find kites with bees."),
    ],
)
def test_other_texts_have_no_manner(task, text):
    assert read_style(task, text) is None


def test_every_task_shows_three_to_five_parts_and_the_ending():
    for task in STYLE_TASKS:
        assert 3 <= len(style_parts(task)) <= 5
        assert "punctuation" in style_parts(task)
    assert {part for task in STYLE_TASKS for part in style_parts(task)} == {
        *("opening", "connective", "punctuation", "formality", "length", "harshness")
    }


@pytest.mark.parametrize("task", STYLE_TASKS)
def test_part_noise_makes_a_text_differ_with_the_stated_chance(task):
    assert 1 - (1 - part_noise(task, 0.2)) ** len(style_parts(task)) == pytest.approx(0.2)


@pytest.mark.parametrize("task", STYLE_TASKS)
def test_the_table_of_scores_is_the_tasks_own_score(task):
    keywords = ("kites", "bees")
    table = _score_table(task)

    def text(places):
        style = dict(zip(visible_parts(task), places, strict=True)) | {"punctuation": 1}
        return write_style(task, style, keywords)

    listed, golds = _candidates(task), _outcomes(task)
    for row, column in product(range(0, len(listed), 7), range(0, len(golds), 5)):
        assert table[row, column] == pytest.approx(ALL_TASKS[task].score(text(listed[row]), text(golds[column])))
