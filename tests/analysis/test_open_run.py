"""tagpr.analysis.open_run: which run is opened, which stages are its own, what its prompts look like."""

import os

import pytest

from tagpr.analysis.open_run import open_run, own_rows, own_stages, prompt_builder, tag_vocabulary
from tagpr.errors import BadInputError
from tagpr.storage import read_json, write_json

PROMPT = {
    "_target_": "tagpr.data.prompts.CompactStyle", "thinking": True, "query_tokens": 9, "history_tokens": 70,
    "entry_tokens": 20, "order": "time",
}  # fmt: skip


@pytest.fixture
def run_folder(folders):
    """A run of two rows of its own, one without history, and one that it borrows."""
    folders.records("r0", "world")
    asked = [folders.asked("S2", "q0", "u0", "cosy", "eerie", "cosy")]
    folders.evaluation("blind", asked, ["eerie"], shown=0)
    folders.evaluation("full", asked, ["cosy"], shown=3)
    folders.evaluation("other", asked, ["cosy"], shown=3)
    for fingerprint, style in (("blind", {**PROMPT, "thinking": False}), ("full", PROMPT), ("other", PROMPT)):
        path = folders.root / "cache" / "evaluate" / fingerprint / "manifest.json"
        config = {"prompt": style, "tags": {"names": ["examine_examples"]}, "backbone": {"dtype": "float32"}}
        write_json(path, {**read_json(path), "config": config})
    stages = [("records", "r0"), ("chains", "c0"), ("sft", "s0")]
    return folders.run(
        {
            "base": ("backbone", [], {"greedy": "full"}),
            "base_blind": ("backbone", [], {"greedy": "blind"}),
            "sft": ("sft", stages, {"greedy": "blind"}),
            "other": ("rl_one", [*stages[:1], ("chains", "c1"), ("sft", "s1"), ("rl_one", "x")], {"greedy": "other"}),
        },
        config={"evaluation": {"compare": {"other": {"ablation": "direct_answer", "policy": "rl_one"}}}},
    )


def test_borrowed_rows_and_their_stages_are_left_out(run_folder):
    run = open_run(run_folder)
    assert list(own_rows(run)) == ["base", "base_blind", "sft"]
    assert {name: stage.fingerprint for name, stage in own_stages(run).items()} == {
        "records": "r0", "chains": "c0", "sft": "s0",
    }  # fmt: skip


def test_prompts_are_those_of_the_row_that_shows_most_history(run_folder):
    run = open_run(run_folder)
    style = prompt_builder(run).style
    assert (style.thinking, style.query_tokens, style.history_tokens, style.entry_tokens) == (True, 9, 70, 20)
    assert tag_vocabulary(run).names == ("examine_examples",)


def test_a_manifest_names_a_prompt_style_and_no_other_code(folders, run_folder):
    path = folders.root / "cache" / "evaluate" / "full" / "manifest.json"
    manifest = read_json(path)
    manifest["config"]["prompt"] = {"_target_": "os.system", "command": "true"}
    write_json(path, manifest)
    with pytest.raises(BadInputError, match=r"prompt style os\.system"):
        prompt_builder(open_run(run_folder))


def test_the_newest_run_is_found_from_the_root_and_from_a_folder_in_it(folders, run_folder, monkeypatch):
    newer = folders.run({"base": ("backbone", [], {"greedy": "full"})}, seed=7)
    os.utime(run_folder / "run.json", (1, 1))
    notebooks = folders.root.parent / "notebooks"
    notebooks.mkdir()
    for place in (folders.root.parent, notebooks):
        monkeypatch.chdir(place)
        assert open_run(None).seed == 7
        assert open_run("runs/demo").folder.resolve() == newer.resolve()
    assert open_run(run_folder).seed == 0


def test_no_finished_run_is_told_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "runs" / "cache" / "sft").mkdir(parents=True)
    (tmp_path / "runs" / "cache" / "sft" / "run.json").write_text("{}")  # an artifact's file, not a run
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match=r"no finished run in .*runs.* `make demo`"):
        open_run(None)
