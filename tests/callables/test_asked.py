"""tagpr.callables.asked: rows of others' data sets, good and damaged, and completions in every form they come in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.callables.asked import asked, completion_text
from tagpr.chains.tags import TagVocabulary
from tagpr.errors import BadInputError

NO_TAGS = TagVocabulary(names=())


def read(row, **changes):
    return asked({**row, **changes}, where="row 0", needs_history=True)


def test_a_row_is_a_record_with_its_history(row):
    one = read(row)
    assert (one.record.task, one.record.user_id, one.record.gold) == ("S2", "ann", "quiet")
    assert [(e.input, e.response) for e in one.history] == [
        ("a pier at dusk", "quiet"),
        ("a mill by a river", "village"),
    ]
    assert one.task.read_question(one.record.question).query == "a calm hall"


def test_rows_of_one_question_share_an_id_and_others_do_not(row):
    same, other_person = read(row).record.record_id, read(row, user_id="bob").record.record_id
    assert read(row, thinking=True).record.record_id == same != other_person
    assert read(row, history=row["history"][:1]).record.record_id != same


def test_shown_entries_are_numbered_as_the_prompt_numbers_them(row):
    one = read(row, shown=[1])
    assert [entry.response for entry in one.history] == ["village"]
    assert len(one.record.profile) == 2  # PRMU knows the whole person


def test_arrays_of_numpy_are_lists(row):
    one = read(row, history=np.array(row["history"], dtype=object), shown=np.array([1, 0]))
    assert [entry.response for entry in one.history] == ["village", "quiet"]


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"task": "S22"}, "'S22' is no task"),
        ({"task": None}, "row 0: the column 'task' is missing"),
        ({"user_id": " "}, "row 0: the column 'user_id' holds ' '"),
        ({"query": ["a"]}, "row 0: the column 'query' holds ['a']"),
        ({"history": None}, "row 0: this reward needs the person's past"),
        ({"history": "quiet"}, "row 0: the column 'history' holds 'quiet'; expected a list of"),
        ({"history": [{"input": "a"}]}, "row 0: history[0] is"),
        ({"history": [3]}, "row 0: history[0] is '3'"),
        ({"shown": [2]}, "row 0: shown names entry 2 of a history of 2"),
        ({"shown": [-1]}, "row 0: shown names entry -1"),
    ],
    ids=str,
)
def test_damaged_rows_are_named(row, changes, expected):
    with pytest.raises(BadInputError) as error:
        read(row, **changes)
    assert expected in str(error.value)


def test_a_person_without_a_past_is_one_where_that_is_said(row):
    assert read(row, history=[]).history == ()
    assert asked({**row, "history": None}, where="row 0", needs_history=False).history == ()


@pytest.mark.parametrize(
    "completion, prompt, expected",
    [
        ("quiet", "Which tag?", "quiet"),
        ("so</think>quiet", "Which tag?<think>\n", "<think>so</think>quiet"),
        ([{"role": "assistant", "content": "quiet"}], [{"role": "user", "content": "Which?"}], "quiet"),
        ([{"role": "assistant", "content": "no"}, {"role": "assistant", "content": "quiet"}], [], "quiet"),
        ([{"role": "assistant", "content": "quiet", "reasoning_content": "so"}], [], "<think>so</think>quiet"),
        ([{"role": "assistant", "content": [{"type": "text", "text": "quiet"}]}], [], "quiet"),
        ([{"role": "tool", "content": "9"}], [], ""),
        ([{"role": "assistant", "content": None}], [], ""),
    ],
)
def test_what_the_model_wrote(completion, prompt, expected):
    assert completion_text(completion, prompt) == expected


def test_the_completion_tells_whether_it_thinks_unless_the_row_does(row):
    thinking, parsed = read(row).read("<think>so</think>quiet", NO_TAGS)
    assert thinking
    assert parsed.g_answer
    thinking, parsed = read(row).read("quiet", NO_TAGS)
    assert not thinking
    assert parsed.g_answer
    assert not read(row, thinking=True).read("quiet", NO_TAGS)[1].g_answer


@given(st.text(max_size=60))
def test_any_text_is_read(text):
    line = {"task": "S2", "user_id": "ann", "query": "a calm hall", "history": []}
    one = asked(line, where="row 0", needs_history=True)
    assert one.read(text, NO_TAGS)[1].g_answer in (True, False)
