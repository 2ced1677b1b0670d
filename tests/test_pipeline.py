"""Every stage from records to the table, as a user starts it; what is there is never computed again; a kill costs
little."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from tagpr.pipeline.ledger import read_ledger

FIXTURE = Path(__file__).parent / "fixtures" / "lamp_mini" / "LaMP_3"
# Every stage and row of the smoke preset, with as little in each as leaves something in it.
FEW = (
    "evaluation.people.max_records=12", "evaluation.choice.max_records=12", "rl.dev_records=4", "rl.max_new_tokens=80",
    "evaluation.decodings.greedy.max_new_tokens=80", "evaluation.decodings.sample.max_new_tokens=80",
    "pairs.max_prompts=6", "pairs.dev_prompts=6", "pairs.samples=2", "pairs.dev_samples=2",
)  # fmt: skip
SMOKE = ("experiment=smoke", "trainer.threads=1", "logger=none", *FEW)
STAGES = ["records", "chains", "sft", "pairs", "prmu", "rl_guided", "rl_exploratory"]
ROWS = ["base", "base_think", "base_bm25", "sft", "rl_guided", "rl_exploratory"]
UNTRAINED = ROWS[:3]  # they answer dev people too


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def first(runs, tagpr):
    """The whole method, once, for all tests here."""
    return tagpr(*SMOKE, f"paths.runs={runs}")


def run_json(runs: Path, name: str = "full") -> dict:
    (path,) = runs.glob(f"smoke/{name}/seed_0-*/run.json")
    return json.loads(path.read_text())


def test_one_command_runs_every_stage_and_prints_the_table(first, runs):
    assert first.code == 0, first.err
    assert first.err.count("Traceback") == 0
    assert [run_json(runs)["computed"][i] for i in range(7)] == STAGES
    assert f"{7 + 2 * len(ROWS) + len(UNTRAINED)} stages computed, 0 reused" in first.out
    for row in ROWS:
        assert f"│ {row} " in first.out


def test_every_artifact_is_there_with_its_manifest(first, runs):
    files = {
        "records": ["train.parquet", "dev.parquet", "test.parquet"],
        "chains": ["chains.parquet", "rejected.parquet"],
        "sft": ["policy/model.safetensors", "policy/tokenizer.json", "metrics.csv"],
        "pairs": ["train.parquet", "dev.parquet"],
        "prmu": ["calibration.json", "gate.json", "metrics.csv"],
        "rl_guided": ["policy/model.safetensors", "metrics.csv", "rollouts/step_00000000.parquet"],
        "evaluate": ["predictions.parquet", "scores.json"],
    }
    for stage, names in files.items():
        for folder in runs.glob(f"cache/{stage}/[0-9a-f]*"):
            manifest = json.loads((folder / "manifest.json").read_text())
            assert manifest["fingerprint"] == folder.name
            assert manifest["counts"]
            assert set(names) <= set(manifest["files"])
    assert not list(runs.glob("cache/*/.*.work"))


def test_every_look_at_test_people_is_in_the_ledger_and_under_the_table(first, runs):
    looks, damaged = read_ledger(runs / "ledger.jsonl")
    own = [one for one in looks if one["run_name"] == "full"]
    asked = [one["label"] for one in own]
    # Each row under both decodings; the untrained rows' answers to dev people, which choose among them, are no looks.
    assert sorted(asked) == sorted(f"evaluate {row} {decoding}" for row in ROWS for decoding in ("greedy", "sample"))
    assert {(one["questions"], one["experiment"], one["seed"]) for one in own} == {(12, "smoke", 0)}
    assert damaged == 0
    assert f"asked {2 * len(ROWS)} times in this runs folder, of 4 distinct policies" in " ".join(
        first.out.replace("│", " ").split()
    )


def test_a_policy_loads_as_any_other_model(first, runs):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (policy,) = runs.glob("cache/rl_exploratory/*/policy")
    tokenizer = AutoTokenizer.from_pretrained(policy)
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "tag :"}], return_tensors="pt", return_dict=True)
    assert AutoModelForCausalLM.from_pretrained(policy)(**ids).logits.shape[-1] == len(tokenizer)


def test_the_run_folder_says_what_was_asked_and_what_answers_it(first, runs):
    run = run_json(runs)
    assert (run["experiment"], run["run_name"], run["seed"]) == ("smoke", "full", 0)
    assert list(run["rows"]) == ROWS
    assert run["rows"]["rl_guided"]["policy"] == "rl_guided"
    assert [name for name, _ in run["rows"]["rl_guided"]["policy_stages"]] == STAGES[:-1]
    (folder,) = runs.glob("smoke/full/seed_0-*")
    assert folder.name == f"seed_0-{run['key'][:8]}"
    for place in run["artifacts"].values():
        assert (folder / place / "manifest.json").is_file()
    assert all((link / "manifest.json").is_file() for link in (folder / "artifacts").iterdir())
    assert "teacher:" in (folder / "config.yaml").read_text()
    assert {"torch", "tagpr", "python"} <= set(run["versions"])


def test_the_same_command_again_computes_nothing(first, runs, tagpr):
    again = tagpr(*SMOKE, f"paths.runs={runs}")
    assert (again.code, run_json(runs)["computed"]) == (0, [])
    assert f"0 stages computed, {7 + 2 * len(ROWS) + len(UNTRAINED)} reused" in again.out
    table = [line for line in first.out.splitlines() if line.startswith("│ rl_exploratory")][-1]
    assert table in again.out


def test_an_ablation_computes_only_what_differs(first, runs, tagpr):
    plan = tagpr(*SMOKE, f"paths.runs={runs}", "ablation=no_prmu", "plan=true")
    assert "6 of 20 stages to run" in plan.out
    assert tagpr(*SMOKE, f"paths.runs={runs}", "ablation=no_prmu").code == 0
    assert run_json(runs, "no_prmu")["computed"] == [
        "rl_guided", "rl_exploratory", "evaluate rl_guided greedy", "evaluate rl_guided sample",
        "evaluate rl_exploratory greedy", "evaluate rl_exploratory sample",
    ]  # fmt: skip


def test_a_diagnosis_is_added_to_the_run_that_is_there(first, runs, tagpr):
    few = ("diagnostics.swap.max_records=12", "diagnostics.swap.max_new_tokens=16")
    answer = tagpr(*SMOKE, f"paths.runs={runs}", "diagnostics=swap", *few)
    assert answer.code == 0, answer.err
    run = run_json(runs)  # one folder: a diagnosis makes no other run of it
    assert run["computed"] == ["swap sft", "swap rl_exploratory"]
    assert "score with other histories" in answer.out
    (folder,) = runs.glob("smoke/full/seed_0-*")
    assert (folder / "personalization.csv").is_file()
    assert (folder / run["rows"]["sft"]["diagnostics"]["swap"] / "swap.json").is_file()


def test_a_prompt_longer_than_the_models_context_is_refused_before_training(first, runs, tagpr):
    answer = tagpr(*SMOKE, f"paths.runs={runs}", "until=sft", "prompt.history_tokens=5000")
    assert answer.code == 1
    assert "prompt.history_tokens=5000" in answer.err
    assert "but the model reads" in answer.err
    assert len(answer.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_real_records_go_the_same_way(tmp_path, tagpr):
    few = ("sft.steps=4", "prmu.steps=4", "rl.steps=4", "pairs.max_prompts=4", "pairs.dev_prompts=4")
    answer = tagpr(
        "experiment=lamp_small", f"data.root={FIXTURE}", f"paths.runs={tmp_path}", "logger=none", "trainer.threads=1",
        *few,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    for row in ROWS:
        assert f"│ {row} " in answer.out


# --- kills -----------------------------------------------------------------------------------------------------------


def start(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tagpr.run", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kill_at(runs: Path, stage: str, step: int, arguments: tuple[str, ...]) -> Path:
    """Start, wait for a stage's checkpoint, and kill -9; returns the folder of its checkpoints."""
    process = start(*arguments)
    deadline = time.monotonic() + 300
    while not (found := list(runs.glob(f"cache/{stage}/.*.work/checkpoints/step_{step:08d}.ckpt"))):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return found[0].parent


@pytest.mark.slow
@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_sweep_stopped_in_sft_saves_and_ends_and_goes_on(first, runs, tmp_path, number, code):
    copy = shutil.copytree(runs, tmp_path / "runs", symlinks=True)
    arguments = ("-m", *SMOKE, f"paths.runs={copy}", "seed=0,1", "until=sft", "sft.steps=60")
    # Started in the background a process ignores SIGINT unless it is told otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = start(*arguments)
    deadline = time.monotonic() + 300
    while not (rows := list(copy.glob("cache/sft/.*.work/checkpoints/metrics.jsonl"))) or not rows[0].read_text():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == code, printed
    assert f"Stopped ({number.name}): sft: step " in printed
    (checkpoint,) = copy.glob("cache/sft/.*.work/checkpoints/step_*.ckpt")
    assert f"step {int(checkpoint.stem[5:])} of 60 is saved" in printed
    assert printed.count("sft running") == 1  # the second run of the sweep did not begin
    process = start(*arguments)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    assert "sft resuming" in printed


@pytest.mark.slow
def test_two_processes_train_what_one_trains(first, runs, tmp_path):
    def weights(folder, stage, devices):
        every = {p: json.loads(p.read_text()) for p in folder.glob(f"cache/{stage}/*/manifest.json")}
        (manifest,) = (p for p, one in every.items() if one["config"]["trainer"]["devices"] == devices)
        found = sorted(manifest.parent.glob("*/*.safetensors"))
        return {name: value for file in found for name, value in load_file(file).items()}

    copy = shutil.copytree(runs, tmp_path / "runs", symlinks=True)
    process = start(*SMOKE, f"paths.runs={copy}", "until=rl_guided", "trainer=cpu_ddp")
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    for stage in ("sft", "prmu"):
        one = weights(copy, stage, 1)
        for name, value in weights(copy, stage, 2).items():
            assert (value - one[name]).abs().max() < 1e-5, name
    rollouts = [p for p in copy.glob("cache/rl_guided/*/rollouts") if p.is_dir()]
    tables = [pd.concat([pd.read_parquet(f) for f in sorted(p.glob("*.parquet"))]) for p in rollouts]
    assert len(tables) == 2
    assert list(tables[0].completion) == list(tables[1].completion)


@pytest.mark.slow
def test_a_run_killed_in_sft_and_in_rl_goes_on_and_ends_with_the_table(first, runs, tmp_path):
    copy = shutil.copytree(runs, tmp_path / "runs", symlinks=True)
    # Other numbers of steps than the finished run's, so that both stages are computed.
    arguments = (*SMOKE, f"paths.runs={copy}", "sft.steps=60", "rl.steps=24", "trainer.checkpoint_every=1")
    kill_at(copy, "sft", 3, arguments)
    checkpoints = kill_at(copy, "rl_guided", 2, arguments)
    # The newest checkpoint is damaged as well: an older one serves.
    newest = sorted(checkpoints.glob("step_*.ckpt"))[-1]
    newest.write_bytes(newest.read_bytes()[:100])
    process = start(*arguments)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    assert "rl_guided resuming" in printed
    assert f"Warning: Checkpoint {newest} is damaged" in printed.replace("\n", " ")
    assert "│ rl_exploratory " in printed
    manifests = [json.loads(p.read_text()) for p in copy.glob("cache/*/*/manifest.json")]
    longer = {m["label"]: m["resumed"] for m in manifests if m["label"] in ("sft", "rl_guided") and m["resumed"]}
    assert longer == {"sft": True, "rl_guided": True}
