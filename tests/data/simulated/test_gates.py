from dataclasses import replace

import pytest

from tagpr.data.simulated.gates import WorldGateError, check_gates
from tagpr.data.simulated.source import SimulatedSource


def test_figures_of_a_sound_world(small_source):
    source = small_source()
    figures = source.figures(source.records(seed=3))
    # Blind S2: the typical aspect decides with .5 * .92 + .5 * .04.
    assert figures["S2/blind"] == pytest.approx(0.48)
    # Blind S5: opener .4 and joiner .5, blurred by part noise n = 1 - .92 ** (1 / 3).
    n = 1 - 0.92 ** (1 / 3)
    shared = 2 + 0.4 * (1 - n) + 0.6 * n / 4 + 0.5 * (1 - n) + 0.5 * n / 2
    assert figures["S5/blind"] == pytest.approx(shared / 4)
    for task in ("S2", "S3", "S5"):
        assert figures[f"{task}/blind"] <= figures[f"{task}/bayes"] - 0.15


class LeakySource(SimulatedSource):
    """A mutant: people with different rules are asked in different words."""

    def _person(self, user_id, task, split, queries, rng):
        for record in super()._person(user_id, task, split, queries, rng):
            clue = " ".join(value[:2] for value in record.truth["rule"].values())
            yield replace(record, question=f"{record.question} {clue}")


@pytest.mark.parametrize("task, part", [("S2", "aspect"), ("S3", "attribute"), ("S5", "joiner")])
def test_a_generator_that_leaks_the_rule_is_caught(small_source, task, part):
    with pytest.raises(WorldGateError, match=f"{task}: the words of a question give away the asker's {part}"):
        small_source(LeakySource, tasks=[task]).records(seed=3)


def test_a_world_without_persons_is_caught(small_source):
    with pytest.raises(WorldGateError, match="S2: the blind optimum scores"):
        small_source(noise=0.6).records(seed=3)


def test_an_id_in_a_text_is_caught(small_source):
    records = small_source(tasks=["S2"]).records(seed=3)
    entry = replace(records[5].profile[0], input=f"seen by {records[5].user_id}")
    records[5] = replace(records[5], profile=(entry, *records[5].profile[1:]))
    with pytest.raises(WorldGateError, match="holds the person's id"):
        check_gates(records, min_gap=0.15)
