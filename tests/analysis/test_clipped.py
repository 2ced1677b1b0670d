"""Clipped shares of runs made by hand: two losses, one of which clipped nothing."""

import csv

import pytest

from tagpr.analysis.clipped import DEFINITION, NOT_TESTED, clipped_shares
from tagpr.analysis.comparison import compare
from tagpr.analysis.files import write_sections
from tagpr.analysis.runs import find_runs
from tagpr.analysis.sections import sections_of

HEADINGS = "step,rl/reward/total,rl/policy/clip_low,rl/policy/clip_high\n"
# Two windows of two updates. Mean of .00, .02, .00, .06 below and of .00, .01, .00, .03 above.
CLIPPING = "1,0.5,0.0,0.0\n2,,0.02,0.01\n3,0.5,0.0,0.0\n4,,0.06,0.03\n"
IDLE = "1,0.5,0.0,0.0\n2,,0.0,0.0\n"


def loss_run(folders, name, metrics, *, updates=2, seed=0):
    folders.records(f"r{seed}", "simulated")
    questions = [folders.asked("S2", "s2-a0", "ann", "cosy", "cosy", "cosy")]
    config = {"rl": {"updates_per_window": updates}, "policy_loss": name}
    stage = folders.stage("rl_guided", f"{name}{seed}", config=config, counts={"steps": 4}, cpu_seconds=1.0)
    if metrics is not None:
        (stage / "metrics.csv").write_text(HEADINGS + metrics)
    row = folders.evaluation(f"{name}-{seed}", questions, ["cosy"], records=f"r{seed}")
    sft = folders.evaluation(f"sft-{seed}", questions, ["city"], records=f"r{seed}")
    rows = {
        "sft": ("sft", [], {"greedy": sft}),
        "rl": ("rl_guided", [("rl_guided", f"{name}{seed}")], {"greedy": row}),
    }
    folders.run(rows, seed=seed, run_name=f"loss_{name}", config={"policy_loss": name})


def test_means_over_updates_and_replicates(folders):
    loss_run(folders, "grpo", CLIPPING)
    loss_run(folders, "grpo", IDLE, seed=1)
    loss_run(folders, "gspo", IDLE)
    (comparison,) = compare(find_runs(folders.root))
    shares = clipped_shares(comparison)
    assert set(shares) == {"loss_grpo/rl", "loss_gspo/rl"}, "SFT has no ratios"
    # Six updates: .08 / 6 and .04 / 6.
    assert shares["loss_grpo/rl"].low == pytest.approx(0.08 / 6)
    assert shares["loss_grpo/rl"].high == pytest.approx(0.04 / 6)
    assert shares["loss_grpo/rl"].text == "2.00%"
    assert shares["loss_gspo/rl"].text == NOT_TESTED == "0, not tested"


def test_the_table_marks_a_loss_that_clipped_nothing(folders, tmp_path):
    loss_run(folders, "grpo", CLIPPING)
    loss_run(folders, "gspo", IDLE)
    write_sections(sections_of(find_runs(folders.root), None), tmp_path)
    text = (tmp_path / "table.md").read_text()
    table = [[cell.strip() for cell in line.split("|")] for line in text.split("\n\n")[1].splitlines()]
    cells = {line[1]: line for line in table}
    column = cells["row"].index("clipped share")
    assert [cells[row][column] for row in ("loss_grpo/rl", "loss_gspo/rl", "sft")] == ["3.00%", "0, not tested", "-"]
    assert DEFINITION in text
    rows = {row["row"]: row for row in csv.DictReader((tmp_path / "table.csv").open())}
    assert float(rows["loss_grpo/rl"]["clip_high"]) == pytest.approx(0.01)
    assert float(rows["loss_gspo/rl"]["clip_low"]) == 0
    assert rows["sft"]["clip_low"] == ""


def test_no_column_where_every_window_gives_one_update(folders, tmp_path):
    loss_run(folders, "grpo", IDLE, updates=1)
    write_sections(sections_of(find_runs(folders.root), None), tmp_path)
    assert "clipped" not in (tmp_path / "table.md").read_text()


def test_a_stage_without_metrics_has_no_share(folders):
    loss_run(folders, "grpo", CLIPPING)
    loss_run(folders, "dapo", None)
    (comparison,) = compare(find_runs(folders.root))
    assert set(clipped_shares(comparison)) == {"loss_grpo/rl"}
