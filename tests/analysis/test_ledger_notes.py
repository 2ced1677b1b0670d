"""What a table says of its runs folder's ledger."""

import json
from dataclasses import replace
from functools import partial

import pytest

from tagpr.analysis.runs import find_runs
from tagpr.analysis.sections import sections_of
from tagpr.analysis.tables import main, table_notes
from tagpr.pipeline.ledger import NAME


def one_run(folders, seed=0, name="sft"):
    """One person, one question; two evaluations of test people."""
    folders.records("r0", "simulated")
    asked = [folders.asked("S2", "a0", "ann", "cosy", "quiet", "cosy")]
    evaluations = {d: folders.evaluation(f"{name}-{d}", asked, ["cosy"], decoding=d) for d in ("greedy", "sample")}
    return folders.run({"sft": ("sft", [("records", "r0")], evaluations)}, seed=seed)


@pytest.fixture
def run(folders):
    return one_run(folders)


def enter_in(folders, *looks, text=""):
    lines = [json.dumps({"fingerprint": fingerprint, "policy": policy}) + "\n" for fingerprint, policy in looks]
    (folders.root / NAME).write_text("".join(lines) + text)


@pytest.fixture
def enter(folders):
    return partial(enter_in, folders)


def said(folders):
    """What a table says of ledgers."""
    about = ("Test people were", "Of this table's evaluations on test people")
    return [line for line in table_notes(sections_of(find_runs(folders.root), None)) if line.startswith(about)]


def test_looks_and_policies_of_the_whole_folder_are_counted(folders, run, enter):
    enter(("sft-greedy", "sft/f0"), ("sft-sample", "sft/f0"), ("sft-greedy", "sft/f0"), ("elsewhere", "backbone/b"))
    (line,) = said(folders)
    assert line.startswith("Test people were asked 4 times in this runs folder, of 2 distinct policies (ledger.jsonl:")
    assert line.endswith("reuse is no new look).")


def test_evaluations_older_than_the_ledger_and_lines_cut_off_are_said(folders, run, enter):
    enter(("sft-sample", "sft/f0"), text='{"fingerpr')
    looks, absent = said(folders)
    assert looks.startswith("Test people were asked once in this runs folder, of one policy (")
    assert looks.endswith("Lines that cannot be read, not counted: 1.")
    assert absent.startswith("Of this table's evaluations on test people 1 are in no ledger")


def test_what_no_ledger_holds_is_counted_once_over_all_runs_folders(tmp_path, folders):
    here, there = (replace(folders, root=tmp_path / "both" / name) for name in ("here", "there"))
    one_run(here, seed=0, name="a")
    one_run(there, seed=1, name="b")
    enter_in(here, ("a-greedy", "sft/f0"))
    enter_in(there, ("b-greedy", "sft/f1"), ("b-greedy", "sft/f1"))
    first, second, absent = said(replace(folders, root=tmp_path / "both"))
    assert first.startswith("Test people were asked once in this runs folder")
    assert second.startswith("Test people were asked 2 times in this runs folder")
    assert absent.startswith("Of this table's evaluations on test people 2 are in no ledger")  # both sampled ones


def test_evaluations_of_dev_people_are_not_missed(folders, run, enter):
    manifest = folders.root / "cache" / "evaluate" / "sft-greedy" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"test"', '"dev"'))
    enter(("sft-sample", "sft/f0"))
    assert len(said(folders)) == 1


def test_a_folder_without_a_ledger_has_no_such_line(folders, run):
    assert said(folders) == []


def test_the_line_stands_under_the_main_table_from_wherever_it_is_asked(folders, run, enter, capsys):
    enter(("sft-greedy", "sft/f0"), ("sft-sample", "sft/f0"))
    for place in (folders.root, run):
        assert main([str(place)]) == 0
        text = (place / "table.md").read_text()
        assert text.index("| sft |") < text.index("Test people were asked 2 times") < text.index("## What the figures")
        assert "Test people were asked 2 times" in capsys.readouterr().out
