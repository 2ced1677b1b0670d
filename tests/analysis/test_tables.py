"""Tables of runs made by hand: two tasks, three rows, uneven people, two seeds; every figure is worked out by hand."""

import csv
import io
import shutil

import pytest
from rich.console import Console

from tagpr import storage
from tagpr.analysis.comparison import compare
from tagpr.analysis.figures import row_figures
from tagpr.analysis.files import write_sections
from tagpr.analysis.runs import read_run
from tagpr.analysis.sections import sections_of
from tagpr.analysis.tables import TableView, final_metrics, main, table_notes
from tagpr.pipeline.fingerprint import file_sha256
from tagpr.types import Rollout
from tests.analysis.made_runs import make_run, many_people


def by_name(runs):
    return {row.name: row for row in row_figures(compare(runs)[0])}


def test_means_gaps_and_costs_of_one_run(seed_0):
    rows = by_name([read_run(seed_0)])
    assert list(rows) == ["blind", "base", "sft", "rl_guided", "bayes"]
    scores = {name: row.scores["greedy"].value for name, row in rows.items()}
    assert scores == pytest.approx(
        {"blind": 13 / 24, "base": 7 / 24, "sft": 17 / 24, "rl_guided": 1.0, "bayes": 20 / 24}
    )
    gaps = {name: row.gap_closed["greedy"].value for name, row in rows.items()}
    # (M - 13/24) / (7/24)
    assert gaps == pytest.approx({"blind": 0.0, "base": -6 / 7, "sft": 4 / 7, "rl_guided": 11 / 7, "bayes": 1.0})
    assert rows["sft"].gap_closed["greedy"].low is None, "two people have no interval"
    assert rows["sft"].metrics["S3", "greedy"] == {"mae": 1.0, "rmse": 1.0}
    assert rows["blind"].metrics["S2", "greedy"]["accuracy"] == pytest.approx(1 / 3)
    assert rows["base"].parse_failures["greedy"] == 0.5
    spent = rows["rl_guided"].spent
    # chains looked at 50 golds (SFT kept 40 of them), pairs at 20 (PRMU at 18 of them), RL at 30 others
    assert (spent.gold_labels, spent.rl_steps, spent.prmu_calls, spent.cpu_seconds) == (100, 8, 64, 145)
    assert (rows["sft"].spent.gold_labels, rows["sft"].spent.cpu_seconds) == (50, 33)
    assert rows["base"].spent.cpu_seconds == 0


def test_gains_are_measured_by_lenient_answers_against_the_best_untrained_row(seed_0):
    rows = by_name([read_run(seed_0)])
    # "I say 2" is read as 2: 1 - 2/4 = .5; base (1/3 + .5) / 2 = 5/12
    assert rows["base"].lenient_scores["greedy"].value == pytest.approx(5 / 12)
    assert rows["base"].gain is None
    assert rows["sft"].gain.value == pytest.approx(17 / 24 - 5 / 12)


def test_replicates_are_pooled_over_questions_and_people_of_two_worlds_kept_apart(seed_0, seed_1):
    rows = by_name([read_run(seed_0), read_run(seed_1)])
    # S2: blind 1/4, bayes 3/4, sft 3/4; S3: blind 1.75/3, bayes 1, sft 2.5/3
    blind, best, sft = (1 / 4 + 1.75 / 3) / 2, (3 / 4 + 1) / 2, (3 / 4 + 2.5 / 3) / 2
    assert rows["sft"].gap_closed["greedy"].value == pytest.approx((sft - blind) / (best - blind))
    assert rows["sft"].people == 3
    assert rows["sft"].seeds == (0, 1)
    # metrics: mean over replicates of S2 accuracy 2/3 and 1
    assert rows["sft"].metrics["S2", "greedy"]["accuracy"] == pytest.approx(5 / 6)


def test_each_task_has_its_gap_and_the_mean_of_these_is_told_apart(seed_0, tmp_path):
    run = read_run(seed_0)
    sft = by_name([run])["sft"]
    # S2: (2/3 - 1/3) / (2/3 - 1/3) = 1; S3: (.75 - .75) / (1 - .75) = 0; the ratio of means is 4/7
    assert {task: one.gap_closed.value for task, one in sft.by_task.items()} == pytest.approx({"S2": 1.0, "S3": 0.0})
    assert sft.mean_of_tasks.gap_closed.value == pytest.approx(0.5)
    # lenient: base S2 1/3, S3 .5; sft 2/3 and .75
    assert {task: one.gain.value for task, one in sft.by_task.items()} == pytest.approx({"S2": 1 / 3, "S3": 0.25})
    write_sections(sections_of([run], None), tmp_path)
    assert "| sft | 1.00 | 0.00 | 0.50 |" in (tmp_path / "table.md").read_text()


def test_dev_people_choose_the_base_that_gains_are_measured_against(folders):
    questions = many_people(folders, 20)
    folders.records("r0", "world")
    right, wrong = ["cosy"] * 20, ["city"] * 20
    half = ["cosy" if i % 2 else "city" for i in range(20)]
    tested = {"base": ("backbone", half), "base_think": ("backbone", wrong), "sft": ("sft", right)}
    on_dev = {"base": wrong, "base_think": half}
    for name, answers in on_dev.items():
        shutil.move(
            folders.root / "cache" / "evaluate" / folders.evaluation(f"dev_{name}", questions, answers),
            folders.root / "cache" / "dev" / f"dev_{name}",
        )
    rows = {
        name: (policy, [], {"greedy": folders.evaluation(f"test_{name}", questions, answers)})
        for name, (policy, answers) in tested.items()
    }
    known = folders.run(rows, diagnostics={name: {"dev": f"dev_{name}"} for name in on_dev})
    # base_think is better on dev and worse on the people shown: 1 - 0, not 1 - .5
    assert by_name([read_run(known)])["sft"].gain.value == pytest.approx(1.0)
    unknown = folders.run(rows, seed=1)
    assert by_name([read_run(unknown)])["sft"].gain.value == pytest.approx(0.5)


def test_relative_gains_need_a_base_away_from_zero(folders):
    questions = many_people(folders, 40)
    few = ["cosy" if i == 0 else "city" for i in range(40)]  # .025 +- .025: within two standard errors of 0
    half = ["cosy" if i % 2 else "city" for i in range(40)]
    rows = by_name([read_run(make_run(folders, questions, seed=0, base=few, sft=half, rl=half))])
    assert rows["sft"].gain.value == pytest.approx(0.475)
    assert (rows["sft"].relative_gain, rows["sft"].by_task["S2"].relative_gain) == (None, None)
    rows = by_name([read_run(make_run(folders, questions, seed=1, base=half, sft=["cosy"] * 40, rl=half))])
    assert rows["sft"].relative_gain == pytest.approx(1.0)
    assert rows["sft"].by_task["S2"].relative_gain == pytest.approx(1.0)
    assert rows["sft"].mean_of_tasks.relative_gain == pytest.approx(1.0)


def test_golds_of_two_rl_stages_are_counted_once(folders):
    folders.records("r0", "simulated")
    rollouts = {"rl_guided": ["q1", "q2"], "rl_exploratory": ["q2", "q3", "q4"]}
    for stage, ids in rollouts.items():
        folder = folders.stage(stage, "x", counts={"gold_labels": len(ids), "steps": 1}, cpu_seconds=1.0)
        storage.write_rollouts(folder / "rollouts" / "step_0.parquet", [rollout(stage, i) for i in ids for _ in "ab"])
    questions = [folders.asked("S2", "s2-a0", "ann", "cosy", "cosy", "cosy")]
    stages = [("records", "r0"), ("rl_guided", "x"), ("rl_exploratory", "x")]
    evaluations = {"greedy": folders.evaluation("e", questions, ["city"])}
    run = read_run(folders.run({"rl_exploratory": ("rl_exploratory", stages, evaluations)}))
    assert run.rows["rl_exploratory"].spent.gold_labels == 4


def rollout(stage, record_id):
    return Rollout(
        record_id=record_id, user_id="u", task="S2", stage=stage, step=0, sample_index=0, completion="", answer="",
        num_tokens=1, truncated=False, reward_terms={}, weights={}, reward=0.0, advantage=0.0,
    )  # fmt: skip


def test_notes_say_what_weakens_the_table(seed_0):
    notes = "\n".join(table_notes(sections_of([read_run(seed_0)], None)))
    assert "PRMU GATE NOT MET (full, seed 0): swap accuracy 0.520, lower 95 % bound 0.480, expected > 0.5" in notes
    assert "best-of-n gain over its user-blind twin cannot be measured" in notes
    assert "2 people (fewer than 20)" in notes
    assert "could not be read: base 50%." in notes
    assert "One replicate: intervals cover people, not training" in notes


def test_files_hold_the_table_its_meaning_and_every_metric(tmp_path, seed_0):
    run = read_run(seed_0)
    write_sections(sections_of([run], None), tmp_path / "out")
    text = (tmp_path / "out" / "table.md").read_text()
    assert "| sft | 0.667 | 1.000 | 0.708 | 0.708 | 0.57 | 0.0% | 50 | 0 | 0 | 33 |" in text
    assert "rl_guided: rl_guided 8 steps, 64 PRMU calls (weights: task 1, prmu 0.25)" in text
    assert "no figure here may be compared with, or averaged with, one on LaMP" in text
    rows = {row["row"]: row for row in csv.DictReader((tmp_path / "out" / "table.csv").open())}
    assert float(rows["base"]["S3/greedy/lenient/mae"]) == 2.0
    assert float(rows["base"]["S3/sample/mae"]) == 3.0
    assert float(rows["sft"]["gap_closed/sample"]) == pytest.approx(4 / 7)
    assert rows["blind"]["gold_labels"] == ""
    tex = (tmp_path / "out" / "table.tex").read_text()
    assert r"rl\_guided & 1.000 & 0.000" in tex
    assert (tmp_path / "out" / "per_person.md").exists(), "two people"
    metrics = final_metrics(sections_of([run], None))
    assert metrics["evaluate/sft/gap_closed/greedy"] == pytest.approx(4 / 7)
    assert metrics["evaluate/rl_guided/prmu_calls"] == 64


def test_the_same_runs_give_the_same_files(tmp_path, seed_0):
    for place in ("a", "b"):
        write_sections(sections_of([read_run(seed_0)], None), tmp_path / place)
    for name in ("table.md", "table.csv", "table.tex"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()


def test_interval_with_enough_people(folders):
    questions = many_people(folders, 40)
    answers = ["cosy" if i % 2 else "city" for i in range(40)]
    rows = by_name([read_run(make_run(folders, questions, seed=0, base=answers, sft=answers, rl=["cosy"] * 40))])
    gap = rows["sft"].gap_closed["greedy"]
    # blind 0, bayes 1: gap closed is the share; Binomial(40, .5) / 40 has its 2.5 % and 97.5 % points at .35 and .65
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.5, 0.35, 0.65), abs=0.011)
    assert rows["rl_guided"].gap_closed["greedy"].low == 1.0


def shown(run, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(TableView(sections_of([run], None)))
    return console.export_text().splitlines()


def test_the_terminal_view_fits_110_columns_with_three_tasks_and_wide_intervals(folders):
    gold = {"S2": "cosy", "S3": "4", "S5": "one two"}
    questions = [
        folders.asked(task, f"q{i}", f"u{i}", gold[task], "1" if task == "S3" else "city", gold[task])
        for i in range(25)
        for task in gold
    ]
    wrong = ["5" if q.task == "S3" else "eerie" for q in questions]
    right = [q.gold for q in questions]
    run = read_run(make_run(folders, questions, seed=0, base=wrong, sft=wrong, rl=right))
    lines = shown(run, 106)  # a panel's frame takes the rest
    assert max(len(line.rstrip()) for line in lines) <= 106
    assert any("rl_guided" in line and "[1.00, 1.00]" in line and line.rstrip().endswith("145") for line in lines)
    assert "…" not in "".join(lines)
    narrow = shown(run, 76)
    assert max(len(line.rstrip()) for line in narrow) <= 76
    assert "costs" in "".join(narrow)
    assert "…" not in "".join(narrow)


def test_real_people_have_gains_trivial_rows_and_what_the_budget_left(folders):
    folders.records("r0", "lamp")
    trivial = {"population_mode": "5", "profile_mode": "4", "profile_mean": "3"}
    asked = folders.Asked
    questions = [asked("LaMP_3", f"q{i}", f"p{i % 2}", str(2 + i), trivial) for i in range(3)]
    base = folders.evaluation("base", questions, ["1", "1", "1"], shown=1)
    sft = folders.evaluation("sft", questions, ["2", "4", "4"], shown=2)
    run = read_run(
        folders.run(
            {"base": ("backbone", [], {"greedy": base}), "sft": ("sft", [("records", "r0")], {"greedy": sft})},
            experiment="lamp_small",
        )
    )
    rows = by_name([run])
    assert list(rows) == ["population_mode", "profile_mode", "profile_mean", "base", "sft"]
    assert rows["population_mode"].metrics["LaMP_3", "greedy"]["mae"] == 2.0  # golds 2, 3, 4
    assert rows["sft"].gap_closed == {}
    # base 1 - (1 + 2 + 3) / 12 = .5; sft 1 - 1/12
    assert rows["sft"].gain.value == pytest.approx(5 / 12)
    write_sections(sections_of([run], None), run.folder)
    person = (run.folder / "per_person.md").read_text()
    # p0: golds 2 and 4; p1: gold 3
    assert "| p0 | 2 | 2.000 | 1.000 | 1.000 | 2.000 | 0.000 |" in person
    assert "| p1 | 1 | 2.000 | 1.000 | 0.000 | 2.000 | 1.000 |" in person
    notes = "\n".join(table_notes(sections_of([run], None)))
    assert "LaMP_3: of 4.0 entries per history 3.0 are retrieved and 2.0 fit the token budget" in notes
    assert "50.0% of its characters" in notes
    assert "32.65 %" in (run.folder / "table.md").read_text()


def test_the_command_writes_beside_the_runs(folders, seed_0, seed_1, capsys):
    assert main([str(folders.root), "--plots"]) == 0
    text = capsys.readouterr().out
    assert "contrasts of scores" in text
    for name in ("table.md", "table.csv", "contrasts.csv", "scores.png"):
        assert (folders.root / name).stat().st_size > 0
    assert (seed_0 / "training.png").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["{root}", "--baseline", "sfd"], "Did you mean --baseline sft?"),
        (["{root}/demp"], "Did you mean {root}/demo?"),
        (["{root}/demo/full/seed_0-0/empty"], "holds no finished run"),
    ],
)
def test_mistakes_get_one_line(folders, seed_0, capsys, arguments, message):
    assert main([argument.format(root=folders.root) for argument in arguments]) == 2
    assert message.format(root=folders.root) in capsys.readouterr().err


def test_a_cache_that_was_emptied_is_said(folders, seed_0, capsys):
    (folders.root / "cache" / "sft" / "f0" / "manifest.json").unlink()
    assert main([str(folders.root)]) == 2
    assert "Run the same `tagpr` command again" in capsys.readouterr().err


@pytest.mark.parametrize("harm", ["cut", "gone", "manifest"])
def test_a_damaged_evaluation_is_named(folders, seed_0, capsys, harm):
    folder = read_run(seed_0).rows["sft"].evaluations["greedy"].folder
    manifest, predictions = folder / "manifest.json", folder / "predictions.parquet"
    files = {"predictions.parquet": file_sha256(predictions)}
    storage.write_json(manifest, {**storage.read_json(manifest), "files": files})
    if harm == "cut":
        predictions.write_bytes(predictions.read_bytes()[:100])
    elif harm == "gone":
        predictions.unlink()
    else:
        manifest.write_text("{")
        predictions.unlink()
    assert main([str(folders.root)]) == 2
    complaint = capsys.readouterr().err
    assert str(folder) in complaint
    assert f"damaged: {'manifest.json' if harm == 'manifest' else 'predictions.parquet'} changed" in complaint
    assert "Remove that folder" in complaint


def test_a_place_that_cannot_be_written_is_said(folders, seed_0, capsys):
    (folders.root / "taken").write_text("a file")
    assert main([str(folders.root), "--out", str(folders.root / "taken")]) == 2
    assert "cannot be written" in capsys.readouterr().err
