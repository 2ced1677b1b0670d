"""`tagpr-explore` from its arguments to its page, and what it says of wrong ones."""

import os

import pytest

from tagpr.analysis.explorer.command import main
from tagpr.types import Rollout
from tests.analysis.explorer.conftest import Reader, true_chain


@pytest.fixture
def run_folder(made, world):
    chains = [true_chain(record) for record in world[:2]]
    return made.run(world[:2], {"sft": chains, "rl_guided": [chains[0], "<think>"]})


def test_a_run_becomes_a_page_and_the_same_one_again(run_folder, world, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main([str(run_folder), "-o", str(out), "--questions", "2", "--seed", "4"]) == 0
    said = capsys.readouterr().err
    assert f"run: {run_folder}" in said
    assert f"{out}: 2 questions, " in said
    first = out.read_text(encoding="utf-8")
    read = Reader(first)
    assert "Simulated people" in read.text
    assert "--questions 2 --seed 4" in read.text
    assert "tagpr-explore runs/cache/rl_guided/rl_guided0" in read.text
    for record in world[:2]:
        assert record.query in read.text
    assert str(tmp_path) not in first
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)
    assert main([str(run_folder), "-o", str(out), "--questions", "2", "--seed", "4"]) == 0
    assert out.read_text(encoding="utf-8") == first


def test_of_several_runs_the_newest_is_taken_and_rows_are_named(run_folder, made, world, tmp_path, capsys):
    older = run_folder.with_name("seed_1-1")
    run_folder.rename(older)
    os.utime(older / "run.json", (1, 1))
    newest = made.run(world[:1], {"sft": ["<think></think>eerie"]})
    out = str(tmp_path / "page.html")
    assert main([str(made.root / "demo"), "-o", out]) == 0
    assert f"run: {newest}" in capsys.readouterr().err
    assert main([str(made.root / "demo"), "-o", out, "--rows", "sft, rl_guided"]) == 2
    assert "--rows rl_guided: there is no such one here, only sft." in capsys.readouterr().err


def test_a_stage_becomes_a_page(made, world, tmp_path, capsys):
    window = [
        Rollout(
            record_id=world[0].record_id, user_id=world[0].user_id, task="S2", stage="rl_guided", step=0,
            sample_index=index, completion=true_chain(world[0]), answer="", num_tokens=9, truncated=False,
            reward_terms={"task": 1.0, "g_answer": 1.0}, weights={"task": 1.0}, reward=1.0, advantage=0.0,
        )
        for index in range(3)
    ]  # fmt: skip
    stage = made.rl_stage(world[:1], [window])
    link = tmp_path / "link"
    link.symlink_to(stage, target_is_directory=True)
    out = tmp_path / "page.html"
    assert main([str(link), "-o", str(out)]) == 0
    text = Reader(out.read_text(encoding="utf-8")).text
    assert "What did each reward pay?" in text
    assert "3 in 1 groups" in text
    assert "tagpr-replay runs/cache/rl_guided/g0 --weight task=1" in text
    assert main([str(stage), "-o", str(out), "--rows", "sft"]) == 2
    assert "--rows and --decoding are for a run's folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs/dmo"], "holds no finished run (no run.json in it or below it). Did you mean runs/demo?"),
        (["runs/cache"], "holds no finished run"),
        (["runs/demo", "-o", "no/such/page.html"], "the output is no/such/page.html, expected a file in a folder"),
        (["runs/demo", "--questions", "0"], "--questions is 0, expected at least 1."),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_read(run_folder, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("lost", ["records/r0/test.parquet", "evaluate/sft/predictions.parquet"])
def test_what_is_gone_from_a_run_is_told(run_folder, made, tmp_path, capsys, lost):
    (made.root / "cache" / lost).unlink()
    assert main([str(run_folder), "-o", str(tmp_path / "page.html")]) == 2
    said = capsys.readouterr().err
    assert lost in said
    assert "what is gone is computed anew" in said
