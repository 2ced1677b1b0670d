"""leaks.json in a few lines beside the table."""

import pytest

from tagpr import storage
from tagpr.analysis.runs import find_runs
from tagpr.analysis.sections import sections_of
from tagpr.data.leaks import LeakGuard, asked_of
from tagpr.types import ProfileEntry, Record


def record(record_id, user, purpose, query, gold, *profile):
    return Record(
        record_id=record_id, user_id=user, task="LaMP_3", split="test" if purpose == "test" else "train",
        purpose=purpose, question=query, query=query, gold=gold, retrieved=(),
        profile=tuple(ProfileEntry(entry_id="", input=a, response=b) for a, b in profile),
    )  # fmt: skip


@pytest.fixture
def lines(folders):
    def of(records, *, drop=("sft", "pairs", "rl"), shared_ids=()):
        guard = LeakGuard(map(asked_of, records), drop_from=drop)
        for one in records:
            guard.guarded(one)
        storage.write_json(folders.records("r", "real") / "leaks.json", guard.report(dict(shared_ids)))
        asked = [folders.Asked("LaMP_3", "9", "u", "4", {"mode": "4"})]
        folders.run({"base": ("backbone", [], {"greedy": folders.evaluation("e", asked, ["4"], records="r")})})
        (section,) = sections_of(find_runs(folders.root), None)
        return [line for line in section.warnings if "eak" in line or "LEAK" in line]

    return of


SIBLINGS = [
    record("1", "ann", "sft", "one", "5", ("two", "3"), ("else", "1"), ("nine", "4")),
    record("2", "ann", "rl", "two", "3", ("one", "5"), ("two", "3")),
    record("9", "cat", "test", "nine", "4"),
]


def test_one_line_where_there_is_nothing(lines):
    assert lines([record("1", "ann", "sft", "one", "5", ("x", "5"))]) == [
        "No leaks found: none of 1 golds stands in any profile."
    ]


def test_what_was_found_and_what_was_done(lines):
    assert lines(SIBLINGS, shared_ids={"ann": ["ann", "anna"]}) == [
        "Leaks: people with nearly one profile under several user ids: 1; each counts as one person.",
        "Leaks: golds that stand in profiles of other questions of the same person: 2 of 3 (entries: 2, in dev and "
        "test profiles 0; people who asked more than once: 1 of 2). No history is pooled over questions.",
        "Leaks: golds that stand with their very question in other people's profiles: 1 (entries: 1, answers to dev "
        "or test questions in training profiles 1).",
        "Leaks: entries taken out of training profiles: 2, those that answer another question of the same person "
        "(another split or purpose), or give a stranger's text that another split asks for. "
        "Dev and test profiles are as downloaded.",
        "Leaks: profile entries that are the question itself: 1, never retrieved; others that hold the gold beside "
        "another input: 0, as downloaded.",
    ]


def test_what_training_was_left_to_read(lines):
    found = lines(SIBLINGS, drop=("rl",))
    assert sum("taken out of training profiles: 1," in line for line in found) == 1
    assert sum(line.startswith("LEAKS IN TRAINING") and "question: 1." in line for line in found) == 1


def test_ids_that_count_twice(lines):
    asked = [record("1", "ann", "sft", "one", "5"), record("2", "anna", "sft", "two", "5")]
    (line, *_) = lines(asked, shared_ids={"ann": ["ann", "anna"]})
    assert line.endswith("they count as different people all the same.")
