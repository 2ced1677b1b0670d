"""The benchmark of many users: its lines hold what they say. No time is tested."""

import json
import runpy
from pathlib import Path

import pytest

BENCH = runpy.run_path(str(Path(__file__).parents[2] / "experiments" / "bench" / "prmu_users.py"))


def test_both_ways_do_the_same_work_in_turns(capsys):
    called = []
    BENCH["compare"](
        "case", lambda turn: called.append(("slow", turn)), lambda turn: called.append(("fast", turn)), turns=2,
        facts={"users": 3, "pairs": 6},
    )  # fmt: skip
    assert called == [("slow", -1), ("fast", -1), ("fast", 0), ("slow", 0), ("slow", 1), ("fast", 1)]
    line = json.loads(capsys.readouterr().out)
    assert (line["case"], line["users"], line["turns"]) == ("case", 3, 2)
    assert line["ratio"]["least"] <= line["ratio"]["median"] <= line["ratio"]["most"]
    assert set(line["per_pair_us"]) == {"slow", "fast"}


@pytest.mark.slow
def test_every_case_runs(capsys):
    users = [BENCH["Texts"](u).history(2) for u in range(2)]
    BENCH["one_answer"](users, turns=1, facts={"users": 2})
    BENCH["per_pair"](users, answers=2, turns=1, facts={"users": 2})
    BENCH["shared_context"](context_tokens=20, answer_words=1, turns=1)
    cases = [json.loads(line)["case"] for line in capsys.readouterr().out.splitlines()]
    assert cases == ["one_answer/cold", "one_answer/warm", "per_pair/cold", "per_pair/warm", "shared_context"]
