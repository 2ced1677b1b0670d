import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS, task_named
from tagpr.types import ProfileEntry

LAMP = [name for name in ALL_TASKS if name.startswith("LaMP")]
CITATION = 'Deep "nets": a review [1]: "On trees [1]" [2]: "On leaves"'

# As in the official files, each shortened in its payload alone.
OFFICIAL = {
    "LaMP_1": (
        'For an author who has written the paper with the title "Deep nets", which reference is related? Just answer '
        'with [1] or [2] without explanation. [1]: "On trees" [2]: "On leaves"',
        'Deep nets [1]: "On trees" [2]: "On leaves"',
        "On trees On leaves",
    ),
    "LaMP_2": (
        "Which tag does this movie relate to among the following tags? Just answer with the tag name without further "
        "explanation. tags: [comedy, sci-fi, true story] description: Two men: one boat.",
        "Two men: one boat.",
        "Two men: one boat.",
    ),
    "LaMP_2N": (
        "Which category does this article relate to among the following categories? Just answer with the category name "
        "without further explanation. categories: [women, religion] article: Rain: again",
        "Rain: again",
        "Rain: again",
    ),
    "LaMP_3": (
        "What is the score of the following review on a scale of 1 to 5? just answer with 1, 2, 3, 4, or 5 without "
        "further explanation. review: Pros: none",
        "Pros: none",
        "Pros: none",
    ),
    "LaMP_4": ("Generate a headline for the following article: A: b", "A: b", "A: b"),
    "LaMP_5": ("Generate a title for the following abstract of a paper: We: do", "We: do", "We: do"),
    "LaMP_7": (
        "Paraphrase the following tweet without any explanation before or after it: so: tired",
        "so: tired",
        "so: tired",
    ),
}


@pytest.mark.parametrize("name", LAMP)
def test_official_questions_are_recognised(name):
    text, query, retrieval_query = OFFICIAL[name]
    task = ALL_TASKS[name]
    question = task.read_question(text)
    assert question.recognised
    assert question.query == query
    assert task.retrieval_query(text) == retrieval_query


@pytest.mark.parametrize("name", ALL_TASKS)
@given(payload=st.text(alphabet=st.characters(codec="utf-8"), min_size=1))
def test_a_question_reads_back_as_it_was_written(name, payload):
    task = ALL_TASKS[name]
    query = CITATION if name == "LaMP_1" else payload.strip()
    question = task.read_question(task.write_question(query))
    assert question.recognised
    assert question.query == query


@pytest.mark.parametrize(
    "name, text, query",
    [
        ("LaMP_3", "How many stars, 1 to 5? movie: Heat (1995) | note: long", "Heat (1995) | note: long"),
        ("LaMP_2", "Pick a tag. tags: [a, b] description: A film", "A film"),
        ("LaMP_2", "x a film about 10:30 and http://a.b without any instruction", None),
        ("LaMP_2", "", ""),
        ("LaMP_1", 'Which one? [1]: "A" [2]: "B"', '[1]: "A" [2]: "B"'),
        ("LaMP_1", 'She wrote "T". Which one? [1]: "A" [2]: "B"', 'T [1]: "A" [2]: "B"'),
        ("LaMP_1", "no references: at all", "at all"),
    ],
)
def test_unknown_instructions_fall_back_and_say_so(name, text, query):
    question = ALL_TASKS[name].read_question(text)
    assert not question.recognised
    assert question.query == (text if query is None else query)


def test_a_word_with_a_colon_deep_in_a_text_is_not_a_marker():
    text = "word " * 200 + "note: the end"
    assert ALL_TASKS["LaMP_3"].read_question(text).query == text


@pytest.mark.parametrize("name", ALL_TASKS)
def test_profile_items_read_back_as_they_were_written(name):
    task = ALL_TASKS[name]
    response = "4" if task.kind == "rating" else "comedy" if task.kind == "label" else "a title"
    entry = ProfileEntry(
        entry_id="7",
        input="" if name in ("LaMP_7", "S7") else "some text",
        response=response,
        title="a heading" if name == "LaMP_2N" else "",
        date="2015-06-01",
    )
    assert task.entry(task.write_entry(entry)) == entry


def test_corpus_texts_are_the_official_ones():
    entry = ProfileEntry(entry_id="", input="text", response="answer", title="heading")
    expected = {
        "LaMP_1": "answer text",
        "LaMP_2": "text",
        "LaMP_2N": "heading text",
        "LaMP_3": "text",
        "LaMP_4": "answer text",
        "LaMP_5": "answer text",
        "LaMP_7": "answer",
    }
    assert {name: ALL_TASKS[name].corpus_text(entry) for name in LAMP} == expected


@pytest.mark.parametrize(
    "name, raw, message",
    [
        ("LaMP_3", {"id": "1", "text": "fine"}, "'score'.*missing"),
        ("LaMP_3", {"id": "1", "text": "fine", "score": 6}, "score 6 is not a whole number from 1 to 5"),
        ("LaMP_3", {"id": "1", "text": "fine", "score": True}, "score True"),
        ("LaMP_3", {"id": "1", "text": " ", "score": 5}, "'text' is blank"),
        ("LaMP_2", {"id": "1", "text": "t", "title": "h", "category": "sports"}, "'description'.*missing.*category"),
        ("LaMP_5", {"id": "1", "title": None, "abstract": "a"}, "'title': it holds None"),
    ],
)
def test_profile_items_without_their_fields_are_errors(name, raw, message):
    with pytest.raises(ValueError, match=message):
        ALL_TASKS[name].entry(raw)


@pytest.mark.parametrize("raw", ["5", 5, "5.0", 5.0, " 5 "])
def test_ratings_of_any_writing(raw):
    assert ALL_TASKS["LaMP_3"].read_gold(raw) == "5"
    assert ALL_TASKS["LaMP_3"].entry({"text": "t", "score": raw}).response == "5"


@pytest.mark.parametrize("name, raw", [("LaMP_2", "Comedy"), ("LaMP_1", "1"), ("LaMP_3", "4.5"), ("LaMP_4", None)])
def test_unknown_golds_are_errors(name, raw):
    with pytest.raises(ValueError):
        ALL_TASKS[name].read_gold(raw)


@pytest.mark.parametrize(
    "name, completion, answer",
    [
        ("LaMP_2", "<think>comedy or action</think>Tag: Dark Comedy, not comedy", "dark comedy"),
        ("LaMP_2", "It is a comedy.", "comedy"),
        ("LaMP_2", "tragicomedy", ""),
        ("LaMP_2", "<think>comedy, I would say", ""),
        ("LaMP_2N", "FOOD & DRINK<|im_end|>", "food & drink"),
        ("LaMP_1", "2", "[2]"),
        ("LaMP_1", "Reference [1] of 12", "[1]"),
        ("LaMP_1", "1.5 or 12", ""),
        ("LaMP_3", "Score: 4.5/5", "4.5"),
        ("LaMP_3", "10 out of 10, so 5.", "5"),
        ("LaMP_3", "great", ""),
        ("LaMP_4", '<think>a</think>\n\nHeadline: "Rain, Again"\nbecause', "Rain, Again"),
        ("LaMP_5", "The title is: On Trees", "On Trees"),
        ("LaMP_7", '"a" and "b"', '"a" and "b"'),
        ("LaMP_7", "Title:", "Title:"),
    ],
)
def test_the_forgiving_reader(name, completion, answer):
    assert ALL_TASKS[name].lenient(completion) == answer


@pytest.mark.parametrize("name", ALL_TASKS)
@given(completion=st.text(alphabet=st.characters(codec="utf-8")))
def test_what_the_forgiving_reader_finds_is_valid(name, completion):
    task = ALL_TASKS[name]
    found = task.lenient(completion)
    assert found == "" or task.is_valid(found)


@pytest.mark.parametrize("name", ALL_TASKS)
def test_a_gold_is_valid_scores_one_and_survives_the_forgiving_reader(name):
    task = ALL_TASKS[name]
    for gold in task.labels or ("On Trees: a Review",):
        assert task.is_valid(gold)
        assert task.score(gold, gold) == 1.0
        assert task.lenient(f"<think>x</think>{gold}") == gold


@pytest.mark.parametrize(
    "answer, gold, score",
    [("4", "5", 0.75), ("4.5", "5", 0.875), ("9", "5", 0.0), ("11", "5", 0.0), ("?", "5", 0.0), ("?", "3", 0.5)],
)
def test_rating_rewards(answer, gold, score):
    assert ALL_TASKS["LaMP_3"].score(answer, gold) == score


@pytest.mark.parametrize("name", ALL_TASKS)
@given(data=st.data())
def test_rewards_lie_between_zero_and_one_and_agree_with_the_metrics(name, data):
    task = ALL_TASKS[name]
    texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
    gold = data.draw(st.sampled_from(task.labels) if task.labels else texts)
    answer = data.draw(st.one_of(st.sampled_from(task.labels), texts) if task.labels else texts)
    score, metrics = task.score(answer, gold), task.metrics([answer], [gold])
    assert 0.0 <= score <= 1.0
    expected = {
        "label": lambda: metrics["accuracy"],
        "rating": lambda: max(0.0, 1 - metrics["mae"] / 4),
        "text": lambda: (metrics["rouge-1"] + metrics["rouge-L"]) / 2,
    }[task.kind]()
    assert score == pytest.approx(expected, abs=1e-12)
    assert task.primary_metric in metrics


@pytest.mark.parametrize("asked, near", [("lamp-3", "LaMP_3"), ("LaMP_2M", "LaMP_2"), ("S22", "S2")])
def test_a_wrong_name_gets_the_nearest(asked, near):
    with pytest.raises(BadInputError, match=f"Did you mean '{near}"):
        task_named(asked)


def test_lamp_6_is_refused_with_its_reason():
    with pytest.raises(BadInputError, match="Avocado"):
        task_named("LaMP_6")
