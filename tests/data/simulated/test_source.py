import json
import random
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from tagpr.data.simulated.files import write_lamp_files
from tagpr.data.simulated.grammar import read_facts, read_keywords
from tagpr.data.simulated.items import WEATHER_FOLLOWS, has_held_out_pair
from tagpr.data.simulated.lexicon import HELD_OUT_WORDS
from tagpr.data.simulated.logic import FAMILIES, RULES, Rule, answers, encode, write_answer
from tagpr.data.simulated.people import draw_person, noisy_code, noisy_style
from tagpr.data.simulated.source import WORLD_TASKS, world_hash
from tagpr.data.simulated.style import STYLE_PRIOR, style_parts, write_style
from tagpr.errors import BadInputError


def test_counts_and_purposes(world):
    assert len(world) == 6 * (40 * 10 + 20 * 4 + 100 * 2)
    assert len({record.record_id for record in world}) == len(world)
    purposes = Counter(record.purpose for record in world if record.task == "S1")
    assert purposes == {"sft": 200, "pairs": 80, "rl": 120, "dev": 80, "test": 200}
    assert all(len(record.profile) == 6 for record in world)
    splits = [record.split for record in world]
    assert splits == sorted(splits, key=["train", "dev", "test"].index)


def test_people_are_in_one_split_and_queries_in_one_purpose(world):
    splits, purposes, askers = defaultdict(set), defaultdict(set), defaultdict(set)
    for record in world:
        splits[record.user_id].add(record.split)
        purposes[record.task, record.query].add(record.purpose)
        askers[record.task, record.query].add(record.user_id)
    assert all(len(found) == 1 for found in splits.values())
    assert all(len(found) == 1 for found in purposes.values())
    assert sum(map(len, askers.values())) / len(askers) >= 5


def test_a_query_never_stands_in_the_own_profile_nor_twice_for_one_person(world):
    own = defaultdict(list)
    for record in world:
        assert record.query not in {entry.input for entry in record.profile}
        own[record.user_id, record.task].append(record.query)
    assert all(len(queries) == len(set(queries)) for queries in own.values())


def test_truth_is_json_and_agrees_with_the_texts(world):
    for record in world:
        truth = json.loads(json.dumps(record.truth))
        assert truth == record.truth
        half = len(record.profile) // 2
        if "style" in truth:
            assert truth["query"] == {"keywords": list(read_keywords(record.query))}
            assert write_style(record.task, truth["style"], read_keywords(record.query)) == truth["preferred"]
            assert set(truth["style"]) == set(style_parts(record.task))
            continue
        rule = Rule(**(truth["rule"] | {"detail": tuple(truth["rule"]["detail"])}))
        index = RULES[record.task].index(rule)
        assert rule.family == truth["family"]
        assert truth["attributes"] == list(rule.looks_at(record.task))
        facts = [read_facts(record.task, entry.input) for entry in record.profile]
        query = read_facts(record.task, record.query)
        assert truth["query"] == query.as_json()
        assert truth["context"]["day"] == query.decoys[0].get("day")
        older = [place < half for place in range(len(facts))]
        codes = answers(encode(record.task, [*facts, query], [*older, False]), [index])[:, 0]
        said = [write_answer(record.task, int(c), f) for c, f in zip(codes, [*facts, query], strict=True)]
        assert said[-1] == truth["preferred"]
        follows = [entry.response == answer for entry, answer in zip(record.profile, said, strict=False)]
        assert truth["evidence"] == [place for place, does in enumerate(follows) if does]
        assert truth["held_out_pair"] == any(has_held_out_pair(record.task, option) for option in query.aspects)


def test_one_family_and_one_manner_per_person(world):
    found = defaultdict(set)
    for record in world:
        found[record.user_id, "family"].add(record.truth["family"])
        found[record.user_id, record.task].add(json.dumps(record.truth.get("rule")))
        for part, value in record.truth.get("style", {}).items():
            found[record.user_id, part].add(value)
    assert all(len(values) == 1 for values in found.values())


def test_what_is_held_out_is_for_test_people_alone(world):
    new = {word for values in HELD_OUT_WORDS.values() for words in values.values() for word in words}
    for flag in ("held_out_frame", "held_out_words", "held_out_pair", "held_out_family"):
        splits = {record.split for record in world if record.truth[flag]}
        assert splits == {"test"}, flag
    for record in world:
        texts = [record.query, *(entry.input for entry in record.profile)]
        if record.split != "test":
            assert not any(word in new for text in texts for word in text.replace('"', " ").replace(",", " ").split())
            assert record.truth["families"] == record.truth["seen_families"]
            assert "contrarian" not in record.truth["families"]
            assert "bayes_unaware" not in record.truth
        else:
            assert set(record.truth["families"]) == set(FAMILIES)
            assert set(record.truth["posterior"].get("families", FAMILIES)) == set(FAMILIES)


def test_two_ceilings_of_a_held_out_family(world):
    """Who does not know a family may expect less of its people, and more only by luck."""
    own = [r for r in world if r.split == "test" and r.task == "S3" and r.truth["held_out_family"]]
    knowing = [1 - abs(int(r.truth["bayes"]["answer"]) - int(r.truth["preferred"])) / 4 for r in own]
    unaware = [1 - abs(int(r.truth["bayes_unaware"]["answer"]) - int(r.truth["preferred"])) / 4 for r in own]
    assert len(own) >= 6
    assert sum(knowing) > sum(unaware)


def test_half_of_the_test_people_have_broken_decoys(world):
    sides = {r.user_id: r.truth["decoys"] for r in world if r.split == "test" and "decoys" in r.truth}
    assert Counter(sides.values()) == {"matched": 50, "broken": 50}
    for task, aspect in WEATHER_FOLLOWS.items():
        agree = {"matched": [], "broken": []}
        for record in [r for r in world if r.task == task and r.split == "test"]:
            for entry in record.profile:
                facts = read_facts(task, entry.input)
                weather, value = facts.decoys[0].get("weather"), facts.aspects[0].get(aspect)
                low = {"1", "cosy", "lively", "2"}
                if weather and value not in ("3", "quiet", None) and weather != "cloudy":
                    agree[record.truth["decoys"]].append((weather in ("stormy", "rainy")) == (value in low))
        assert sum(agree["matched"]) / len(agree["matched"]) > 0.6
        assert sum(agree["broken"]) / len(agree["broken"]) < 0.4


def test_noise_is_as_set(make_source, draw):
    source = make_source(tasks=["S1", "S3", "S4"], noise=0.2, train=80, dev=2, test=2)
    for task in source.tasks:
        train = [r for r in draw(source, 2) if r.task == task and r.split == "train"]
        slips = sum(record.gold != record.truth["preferred"] for record in train) / len(train)
        assert abs(slips - 0.2) < 4 * (0.2 * 0.8 / len(train)) ** 0.5
    clean = draw(make_source(noise=0.0, train=6, dev=2, test=4), 2)
    assert all(record.gold == record.truth["preferred"] for record in clean)
    assert all(record.truth["evidence"] == list(range(6)) for record in clean)


def test_slips_are_other_answers():
    rng = random.Random(0)
    assert {noisy_code(2, (1, 2, 3), noise=1.0, rng=rng) for _ in range(50)} == {1, 3}
    assert noisy_code(2, (1, 2, 3), noise=0.0, rng=rng) == 2
    style = dict.fromkeys(STYLE_PRIOR, 0)
    assert noisy_style("S5", style, noise=0.0, rng=rng) == dict.fromkeys(style_parts("S5"), 0)


def test_people_are_drawn_from_the_families_named():
    rng = random.Random(0)
    people = [draw_person(("veto", "novelty"), rng) for _ in range(400)]
    shares = Counter(person.family for person in people)
    assert abs(shares["veto"] / 400 - 0.15 / 0.24) < 4 * (0.375 * 0.625 / 400) ** 0.5
    assert all(rule.family == person.family for person in people for rule in person.rules.values())


def test_same_seed_same_bytes(make_source, draw, tmp_path):
    small = {"train": 6, "dev": 2, "test": 4}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        write_lamp_files(draw(make_source(**small), seed), tmp_path / name)

    def contents(name):
        folder = tmp_path / name
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.json"))}

    assert contents("first") == contents("again")
    assert contents("first") != contents("other")
    assert len(contents("first")) == 36
    questions = json.loads(contents("first")["S4/dev/dev_questions.json"])
    golds = json.loads(contents("first")["S4/dev/dev_outputs.json"])
    assert set(questions[0]) == {"id", "user_id", "input", "profile"}
    assert set(questions[0]["profile"][0]) == {"id", "title", "text"}
    assert golds["task"] == "S4"
    assert [gold["id"] for gold in golds["golds"]] == [question["id"] for question in questions]
    paraphrases = json.loads(contents("first")["S7/dev/dev_questions.json"])
    assert set(paraphrases[0]["profile"][0]) == {"id", "text"}


def test_the_hash_is_of_what_the_records_say(make_source, draw):
    source = make_source(tasks=["S2", "S5"], train=4, dev=2, test=2)
    records = draw(source, 1)
    ((name, value),) = source.version(records).items()
    assert name == "world-1.0"
    assert value == world_hash(draw(source, 1))
    retrieved = [replace(record, retrieved=(0, 1)) for record in records]
    assert world_hash(retrieved) == value
    changed = [replace(records[0], gold="other"), *records[1:]]
    truth = [replace(records[0], truth={**records[0].truth, "noise": 0.5}), *records[1:]]
    entry = replace(records[0].profile[0], response="other")
    profile = [replace(records[0], profile=(entry, *records[0].profile[1:])), *records[1:]]
    assert len({value, world_hash(changed), world_hash(truth), world_hash(profile)}) == 4


def test_a_world_without_some_tasks_keeps_the_others_as_they_are(make_source, draw):
    small = {"train": 4, "dev": 2, "test": 2}
    whole = [r for r in draw(make_source(**small), 1) if r.task == "S3"]
    assert draw(make_source(tasks=["S3"], **small), 1) == whole
    assert WORLD_TASKS == ("S1", "S2", "S3", "S4", "S5", "S7")


def test_dials_set_aside_the_sizes_own(make_source, draw):
    records = draw(make_source(tasks=["S2"], families=["veto"], profile_entries=3, train=4, dev=2, test=2), 1)
    assert {record.truth["family"] for record in records} == {"veto"}
    assert {len(record.profile) for record in records} == {3}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"size": "huge"}, r"data.size is 'huge', expected one of tiny"),
        ({"tasks": ["S9"]}, r"data.tasks is \['S9'\], expected some of S1, S2"),
        ({"families": ["vote"]}, r"data.families is \['vote'\], expected some of lexicographic"),
        ({"families": []}, r"data.families is \[\]"),
        ({"held_out_family": "vote"}, r"data.held_out_family is 'vote'"),
        ({"families": ["veto"], "held_out_family": "veto"}, r"the only family"),
        ({"noise": 1.0}, r"data.noise is 1.0"),
        ({"min_decoys": 1}, r"data.min_decoys is 1"),
    ],
)
def test_wrong_dials_are_named(make_source, changes, message):
    with pytest.raises(BadInputError, match=message):
        make_source(**changes)
