"""A sound world passes; each kind of broken generator is caught by the gate that is there for it."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tagpr.data.simulated.gates import (
    Gate,
    WorldGateError,
    gate_table,
    measure_gates,
    person_error,
    require,
    weather_pair,
)
from tagpr.data.simulated.source import SimulatedSource

CONF = Path(__file__).parents[3] / "conf" / "data"
FROZEN = {
    "min_gap": 0.15,
    "vote_gap": 0.08,
    "blind_slack": 0.02,
    "calibration": 0.02,
    "weather": 0.06,
    "length": 0.1,
    "position": 0.03,
}
PEOPLE = {"train": 120, "dev": 40, "test": 80}


def missed(source, records) -> set[str]:
    return {gate.name for gate in source.gates(records) if not gate.is_met}


@pytest.fixture(scope="module")
def source(make_source):
    return make_source(tasks=["S3"], **PEOPLE)


@pytest.fixture(scope="module")
def records(source, draw):
    return draw(source, 3)


def test_the_gate_files_are_frozen():
    for size, errors in (("demo", 3.0), ("small", 0.0), ("full", 0.0)):
        given = yaml.safe_load((CONF / "gates" / f"{size}.yaml").read_text())
        assert given.pop("defaults") == ["schema_world_gates", "_self_"]
        assert given == FROZEN | {"sampling_errors": errors}


@pytest.mark.parametrize("task", ["S1", "S2", "S3", "S4", "S5", "S7"])
def test_a_sound_world_meets_every_gate(make_source, draw, task):
    source = make_source(tasks=[task], profile_entries=12 if task == "S1" else 6, **PEOPLE)
    records = draw(source, 3)
    assert missed(source, records) == set()
    figures = source.figures(records)
    assert figures[f"{task}/blind"] <= figures[f"{task}/bayes"] - 0.15
    assert {f"{task}/gate trained blind", f"{task}/gate ids"} <= figures.keys()


class Leaky(SimulatedSource):
    """A mutant: people are asked in words that go with their rule."""

    def draw(self, *, seed, advance):
        return [
            replace(
                r, query=f"{r.query} {r.truth['rule']['a'][:2]}", question=f"{r.question} {r.truth['rule']['a'][:2]}"
            )
            for r in super().draw(seed=seed, advance=advance)
        ]


class Choosy(SimulatedSource):
    """A mutant: what people are asked depends on their rule, while every single text is sound."""

    def _person(self, user_id, task, split, side, queries, seed):
        found = super()._person(user_id, task, split, side, queries, seed)
        word = {"food": "cafe", "staff": "hotel", "room": "club"}[found.person.rules[task].a]
        pools = {p: [item for item in items if word in item.text] or items for p, items in queries.items()}
        pools = {p: list(items) * self.questions[p] for p, items in pools.items()}
        return super()._person(user_id, task, split, side, pools, seed)


@pytest.mark.parametrize("kind", [Leaky, Choosy])
def test_a_generator_that_leaks_the_rule_is_caught(make_source, draw, kind):
    source = make_source(kind, tasks=["S3"], **PEOPLE)
    records = draw(source, 3)
    assert "latent a" in missed(source, records)
    with pytest.raises(WorldGateError, match=r"(?s)S3 latent a: .* the generator leaks"):
        source.figures(records)


def test_a_generator_that_leaks_the_answer_is_caught_by_the_trained_blind_model(source, records):
    leaky = [replace(r, query=f"{r.query} word{r.gold}") for r in records]
    assert "trained blind" in missed(source, leaky)


def test_a_world_without_persons_is_caught(make_source, draw):
    source = make_source(tasks=["S3"], noise=0.6, **PEOPLE)
    with pytest.raises(WorldGateError, match="S3 blind optimum: 0"):
        source.records(seed=3)


def test_profiles_of_other_people_are_caught(source, records):
    """The Bayes observer then expects more than it gets."""
    others = [replace(r, gold=o.gold) for r, o in zip(records, [*records[7:], *records[:7]], strict=True)]
    assert "calibration" in missed(source, others)


def test_an_id_in_a_text_is_caught(source, records):
    entry = replace(records[5].profile[0], input=f"seen by {records[5].user_id}")
    changed = [*records[:5], replace(records[5], profile=(entry, *records[5].profile[1:])), *records[6:]]
    assert "ids" in missed(source, changed)


def test_weather_that_does_not_go_with_its_aspect_is_caught(make_source, draw, source):
    loose = draw(make_source(tasks=["S3"], weather_strength=0.0, **PEOPLE), 3)
    assert {"weather train", "weather matched", "weather broken"} <= missed(source, loose)


def test_longer_questions_for_some_are_caught(source, records):
    padded = [
        replace(r, question=f"{r.question} {'and so on ' * 3}") if r.truth["family"] == "veto" else r for r in records
    ]
    assert "length by family" in missed(source, padded)


def test_a_favoured_position_is_caught(make_source, draw):
    source = make_source(tasks=["S1"], **PEOPLE)
    turned = [replace(r, gold="[1]") if i % 4 == 0 else r for i, r in enumerate(draw(source, 3))]
    assert "position" in missed(source, turned)


def test_both_sides_are_needed(source, records):
    with pytest.raises(WorldGateError, match="S3 has 1200 train and 0 dev and test questions"):
        measure_gates([r for r in records if r.split == "train"], bounds=source.bounds, weather_strength=0.5)


def test_errors_and_tables_by_hand(records):
    # Two people of one question each, scores 0 and 1: sd .7071, error .5.
    two = [records[0], next(r for r in records if r.user_id != records[0].user_id)]
    assert person_error(two, [0.0, 1.0]) == pytest.approx(0.5)
    # A person's two questions count as one: means .5 and 1, sd .35355, error .25.
    assert person_error([two[0], two[0], two[1]], [0.0, 1.0, 1.0]) == pytest.approx(0.25)
    gates = [Gate(task="S3", name="ids", value=0.0, bound=0.0), Gate(task="S3", name="x", value=0.2, bound=0.1)]
    assert gate_table(gates).splitlines()[2:] == [
        "| S3 | ids | 0.000 | 0.000 | met |",
        "| S3 | x | 0.200 | 0.100 | **missed** |",
    ]
    require(gates[:1])
    with pytest.raises(WorldGateError, match=r"S3 x: 0.200, expected at most 0.100"):
        require(gates)


def test_weather_pairs_by_hand():
    assert weather_pair("S3", "this cafe on a rainy day : food superb, staff rude, room dim") == (1, 4)
    assert weather_pair("S3", "this cafe : food superb, staff rude, room dim") is None
    assert weather_pair("S2", "near the pier there is a grove cafe on a sunny day") is None
