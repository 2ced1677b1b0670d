import json
from collections import Counter, defaultdict

import pytest

from tagpr.data.simulated.files import write_lamp_files
from tagpr.data.simulated.observer import read_facts
from tagpr.data.simulated.people import part_noise, preferred_answer
from tagpr.errors import BadInputError


@pytest.fixture(scope="module")
def records(small_source):
    return small_source().records(seed=1)


def test_counts_and_purposes(records):
    assert len(records) == 3 * (24 * 10 + 8 * 4 + 24 * 2)
    assert len({record.record_id for record in records}) == len(records)
    purposes = Counter(record.purpose for record in records if record.task == "S3")
    assert purposes == {"sft": 120, "pairs": 48, "rl": 72, "dev": 32, "test": 48}
    assert all(len(record.profile) == 6 for record in records)


def test_people_are_in_one_split_and_queries_in_one_purpose(records):
    splits, purposes, askers = defaultdict(set), defaultdict(set), defaultdict(set)
    for record in records:
        splits[record.user_id].add(record.split)
        purposes[record.task, record.query].add(record.purpose)
        askers[record.task, record.query].add(record.user_id)
    assert all(len(found) == 1 for found in splits.values())
    assert all(len(found) == 1 for found in purposes.values())
    assert 5 < sum(map(len, askers.values())) / len(askers) < 7


def test_a_query_never_stands_in_the_own_profile_nor_twice_for_one_person(records):
    own = defaultdict(list)
    for record in records:
        assert record.query not in {entry.input for entry in record.profile}
        own[record.user_id].append(record.query)
    assert all(len(queries) == len(set(queries)) for queries in own.values())


def test_truth_is_json_and_agrees_with_the_texts(records):
    for record in records:
        truth = json.loads(json.dumps(record.truth))
        assert truth == record.truth
        assert read_facts(record.task, record.query) == truth["query"]
        assert [read_facts(record.task, entry.input) for entry in record.profile] == truth["profile"]
        assert preferred_answer(record.task, truth["rule"], truth["query"]) == truth["preferred"]
        follows = [
            entry.response == preferred_answer(record.task, truth["rule"], facts)
            for entry, facts in zip(record.profile, truth["profile"], strict=True)
        ]
        assert truth["evidence"] == [index for index, does in enumerate(follows) if does]


def test_one_rule_per_person_and_task(records):
    rules = defaultdict(set)
    for record in records:
        rules[record.user_id, record.task].add(json.dumps(record.truth["rule"]))
    assert all(len(found) == 1 for found in rules.values())


def test_only_test_people_read_held_out_paraphrases(records):
    held_out = Counter((record.split, record.truth["held_out_frame"]) for record in records)
    assert held_out["train", True] == held_out["dev", True] == 0
    assert 0.3 < held_out["test", True] / (held_out["test", True] + held_out["test", False]) < 0.7


def test_noise_is_as_set(small_source):
    records = small_source(sizes={"smoke": {"train": 400, "dev": 8, "test": 24}}, noise=0.2, min_gap=-1.0).records(
        seed=2
    )
    for task in ("S2", "S3", "S5"):
        train = [record for record in records if record.task == task and record.split == "train"]
        slips = sum(record.gold != record.truth["preferred"] for record in train) / len(train)
        assert abs(slips - 0.2) < 4 * (0.2 * 0.8 / len(train)) ** 0.5
    assert 1 - (1 - part_noise(0.2)) ** 3 == pytest.approx(0.2)
    clean = small_source(noise=0.0).records(seed=2)
    assert all(record.gold == record.truth["preferred"] for record in clean)


def test_same_seed_same_bytes(small_source, tmp_path, records):
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        write_lamp_files(small_source().records(seed=seed), tmp_path / name)

    def contents(name):
        folder = tmp_path / name
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.json"))}

    assert contents("first") == contents("again")
    assert contents("first") != contents("other")
    assert len(contents("first")) == 18
    questions = json.loads(contents("first")["S5/dev/dev_questions.json"])
    golds = json.loads(contents("first")["S5/dev/dev_outputs.json"])
    assert set(questions[0]) == {"id", "user_id", "input", "profile"}
    assert set(questions[0]["profile"][0]) == {"id", "title", "abstract"}
    assert golds["task"] == "S5"
    assert [gold["id"] for gold in golds["golds"]] == [question["id"] for question in questions]


def test_wrong_size_and_task_are_named(small_source):
    with pytest.raises(BadInputError, match=r"data.size is 'huge', expected one of smoke"):
        small_source(size="huge")
    with pytest.raises(BadInputError, match=r"data.tasks is \['S9'\]"):
        small_source(tasks=["S9"])
