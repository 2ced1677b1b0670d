import json

import pytest

from tagpr.data.lamp_files import LampQuestion
from tagpr.errors import BadInputError
from tagpr.evaluation.leaks import leak_report, read_people
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry


def question(record_id, user, query, gold, *profile):
    return LampQuestion(
        record_id=record_id, user_id=user, official_split="dev", question=query, query=query, gold=gold,
        profile=tuple(ProfileEntry(entry_id=str(i), input=a, response=b) for i, (a, b) in enumerate(profile)),
    )  # fmt: skip


def ids(report):
    return report["gold_in_own_profile"]["ids"], report["gold_in_sibling_profile"]["ids"]


def test_a_label_leaks_with_its_own_query_only():
    questions = [
        question("1", "a", "one", "sports", ("two", "crime"), ("x", "sports")),
        question("2", "a", "two", "crime", ("one ", "travel"), ("two", "crime")),
        question("3", "b", "three", "crime", ("two", "crime")),
    ]
    # 2 stands in its own profile and in its sibling's; 1's query stands beside another label; 3 holds a stranger's.
    assert ids(leak_report(ALL_TASKS["LaMP_2N"], questions)) == (["2"], ["2"])


def test_a_text_leaks_whatever_it_answered():
    questions = [
        question("1", "a", "q", "A  title", ("other", "A title")),
        question("2", "a", "q2", "B", ("z", "b")),
        question("3", "a", "q3", "C", ("z", "B"), ("y", "C and more")),
    ]
    assert ids(leak_report(ALL_TASKS["LaMP_5"], questions)) == (["1"], ["2"])


def test_a_citation_leaks_where_the_right_paper_is_the_authors():
    query = 'mine [1]: "first" [2]: "second"'
    questions = [
        question("1", "a", query, "[2]", ("abstract", "second")),
        question("2", "b", query, "[1]", ("abstract", "second")),
    ]
    assert ids(leak_report(ALL_TASKS["LaMP_1"], questions)) == (["1"], [])


def files(tmp_path, questions, golds, task):
    (tmp_path / "q.json").write_text(json.dumps(questions))
    outputs = [{"id": i, "output": o} for i, o in golds.items()]
    (tmp_path / "g.json").write_text(json.dumps({"task": task, "golds": outputs}))
    return tmp_path / "q.json", tmp_path / "g.json"


def article(text, category):
    return {"id": "0", "title": f"about {text}", "text": text, "category": category}


def test_siblings_without_user_id_are_found_by_overlap(tmp_path):
    """LaMP-2N's form: an author's questions leave one article out each, so each gold stands in its sibling."""
    shelf = [article(f"story {i}", "crime") for i in range(6)]
    other = [article(f"tale {i}", "travel") for i in range(6)]
    raw = [
        {"id": "1", "input": "Which category? article: story 0", "profile": shelf[1:]},
        {"id": "2", "input": "Which category? article: story 1", "profile": [shelf[0], *shelf[2:]]},
        {"id": "3", "input": "Which category? article: tale 0", "profile": other[1:]},
    ]
    people = read_people(
        ALL_TASKS["LaMP_2N"], *files(tmp_path, raw, {"1": "crime", "2": "crime", "3": "travel"}, "LaMP_2")
    )
    assert people.known_by == "profile overlap"
    assert people.person_of["1"] == people.person_of["2"] != people.person_of["3"]
    assert ids(people.leaks) == ([], ["1", "2"])
    assert (people.leaks["people"], people.leaks["people_with_several_questions"]) == (2, 1)


def test_questions_of_another_task_are_refused(tmp_path):
    raw = [{"id": "1", "input": "article: story", "profile": [article("s", "crime")]}]
    with pytest.raises(BadInputError, match="profiles are LaMP_2N's, expected LaMP_2's"):
        read_people(ALL_TASKS["LaMP_2"], *files(tmp_path, raw, {"1": "crime"}, "LaMP_2"))
