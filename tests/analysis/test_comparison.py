"""Who shares a table, and which rows of it are the same."""

import json
import re
from pathlib import Path

import pytest

from tagpr.analysis.comparison import compare
from tagpr.analysis.runs import find_runs
from tagpr.analysis.sections import sections_of
from tagpr.errors import UserError


def test_shared_rows_of_two_arms_are_shown_once(folders, seed_0):
    full = json.loads((seed_0 / "run.json").read_text())["rows"]
    shared = {
        name: (row["policy"], row["policy_stages"], {d: Path(p).name for d, p in row["evaluations"].items()})
        for name, row in full.items()
    }
    other = [folders.asked("S2", "s2-a0", "ann", "cosy", "cosy", "cosy")]
    alone = {"greedy": folders.evaluation("alone", other, ["cosy"], records="r0")}
    shared["rl_guided"] = ("rl_guided", shared["sft"][1], alone)
    folders.run(shared, run_name="no_prmu")
    (comparison,) = compare(find_runs(folders.root))
    assert [row.name for row in comparison.rows] == ["base", "sft", "full/rl_guided", "no_prmu/rl_guided"]
    assert [c.name for c in sections_of(find_runs(folders.root), None)[0].contrasts] == [
        "full/rl_guided", "no_prmu/rl_guided",
    ]  # fmt: skip


def test_arms_of_one_name_with_other_settings_are_not_replicates(folders, seed_0):
    questions = [folders.asked("S2", "s2-a0", "ann", "cosy", "cosy", "cosy")]
    folders.run({"sft": ("sft", [], {"greedy": folders.evaluation("x", questions, ["city"], records="r0")})}, seed=1,
                config={"rl": {"steps": 99}})  # fmt: skip
    names = [row.name for row in compare(find_runs(folders.root))[0].rows]
    assert len([name for name in names if re.fullmatch(r"full~[0-9a-f]{4}/sft", name)]) == 2


def test_a_seed_counts_once(folders, seed_0):
    rows = {"sft": ("sft", [], {"greedy": "sft-greedy-full-0"})}
    folders.run(rows)
    with pytest.raises(UserError, match="both seed 0 of full"):
        compare(find_runs(folders.root))


def test_two_data_sets_never_share_a_table(folders, seed_0):
    folders.records("r9", "another")
    questions = [folders.asked("S2", "s2-a0", "ann", "cosy", "cosy", "cosy")]
    rows = {"sft": ("sft", [], {"greedy": folders.evaluation("y", questions, ["city"], records="r9")})}
    folders.run(rows, seed=1)
    assert len(compare(find_runs(folders.root))) == 2
