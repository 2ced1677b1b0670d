"""The protocol of the confirmatory study: fixed by its commit, agreed to by conf/, and held against the runs."""

from __future__ import annotations

import copy
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.protocol import __main__ as command
from experiments.protocol import commit as commit_module
from experiments.protocol.check import departures, disagreements
from experiments.protocol.commit import Commit, commit_of
from experiments.protocol.read import PLACE, Protocol, read_protocol, value_at
from tagpr.analysis.runs import find_runs
from tagpr.errors import BadInputError, UserError
from tagpr.storage import write_json

ROOT = Path(__file__).parents[2]
PROTOCOL = read_protocol(ROOT)
COMMITTED = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SMALL = Protocol(
    experiment="lab", replicates=10, primary="gap_closed", decoding={"primary": "greedy", "beside": "sample"},
    contrasts={"prmu": ("full/rl_exploratory", "no_prmu/rl_exploratory")}, alpha=0.05, margin=0.01,
    dials={"sft": {"steps": 200, "rate": 0.002}, "rl": {"stages": {"guided": {"share": 0.5}}, "cap": None}},
    arms={"full": {}, "single": {"rl": {"stages": {"guided": None, "single": {"share": 1.0}}}}},
)  # fmt: skip
PINNED = [912940, 527096, 338961]
CONTRASTS = {"prmu": {"row": "full/rl_exploratory", "against": "no_prmu/rl_exploratory"}}
SETTINGS = {
    "full": {"sft": {"steps": 200, "rate": 0.002}, "rl": {"stages": {"guided": {"share": 0.5}}, "cap": None}},
    "single": {"sft": {"steps": 200, "rate": 0.002}, "rl": {"stages": {"single": {"share": 1.0}}}},
}


# --- the file --------------------------------------------------------------------------------------------------------


def test_an_arm_has_the_dials_and_what_it_changes():
    full = {"sft.steps": 200, "sft.rate": 0.002, "rl.stages.guided.share": 0.5, "rl.cap": None}
    assert SMALL.dials_of("full") == full
    del full["rl.stages.guided.share"]
    assert SMALL.dials_of("single") == {**full, "rl.stages.guided": None, "rl.stages.single.share": 1.0}


def test_a_path_that_leads_nowhere_has_no_value():
    settings = {"rl": {"steps": 40, "order": ["guided"]}}
    assert (value_at(settings, "rl.steps"), value_at(settings, "rl.order")) == (40, ["guided"])
    assert [value_at(settings, path) for path in ("rl.gold", "sft.steps", "rl.steps.more")] == [None] * 3


@pytest.mark.parametrize("text, message", [("experiment: lab", "no alpha"), ("alfa: 0.05", "unknown alfa")])
def test_a_file_with_other_entries_is_refused(text, message, tmp_path):
    (tmp_path / PLACE).parent.mkdir(parents=True)
    (tmp_path / PLACE).write_text(text)
    with pytest.raises(BadInputError, match=message):
        read_protocol(tmp_path)


@pytest.mark.parametrize("contrasts", [["guided"], {"guided": "sft"}, {"guided": ["rl_guided", "sft", "base"]}])
def test_a_contrast_is_of_two_rows(contrasts, tmp_path):
    raw = yaml.safe_load((ROOT / PLACE).read_text()) | {"contrasts": contrasts}
    (tmp_path / PLACE).parent.mkdir(parents=True)
    (tmp_path / PLACE).write_text(yaml.safe_dump(raw))
    with pytest.raises(BadInputError, match=r"expected name: \[row, against\] for each"):
        read_protocol(tmp_path)


# --- the commit ------------------------------------------------------------------------------------------------------


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *who, *arguments], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A repository with a protocol of one arm, committed."""
    root = tmp_path / "checkout"
    raw = yaml.safe_load((ROOT / PLACE).read_text())
    raw |= {"arms": {"full": {}}, "dials": {"data": {"size": "small"}, "evaluation": {"people": {"splits": ["test"]}}}}
    (root / PLACE).parent.mkdir(parents=True)
    (root / PLACE).write_text(yaml.safe_dump(raw))
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "the protocol")
    return root


def test_the_commit_is_the_last_that_changed_the_protocol(checkout):
    first = commit_of(checkout)
    assert first.sha == git(checkout, "rev-parse", "HEAD")
    assert abs((datetime.now(UTC) - first.time).total_seconds()) < 600
    (checkout / "other.txt").write_text("nothing of the protocol's")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "something else")
    assert commit_of(checkout) == first
    with (checkout / PLACE).open("a") as file:
        file.write("# a word more\n")
    with pytest.raises(UserError, match="changes that are not committed"):
        commit_of(checkout)
    git(checkout, "commit", "-qam", "a word more")
    assert commit_of(checkout).sha == git(checkout, "rev-parse", "HEAD")
    assert commit_of(checkout).seeds(10) != first.seeds(10)


def test_a_protocol_outside_git_has_no_seeds(tmp_path):
    with pytest.raises(UserError, match="needs a git checkout"):
        commit_of(tmp_path)


def test_seeds_follow_from_the_commit_alone():
    commit = Commit(sha="0123456789abcdef0123456789abcdef01234567", time=COMMITTED)
    # Worked out beside it. Another way of drawing would change the worlds of a study that has begun.
    assert commit.seeds(3) == PINNED
    assert commit.seeds(10)[:3] == PINNED
    assert replace(commit, sha="f" * 40).seeds(3) != PINNED


def test_no_seed_is_drawn_twice_and_none_is_one_that_people_type(monkeypatch):
    monkeypatch.setattr(commit_module, "NUM_SEEDS", 12)
    assert sorted(Commit(sha="a" * 40, time=COMMITTED).seeds(12)) == list(range(1000, 1012))


# --- conf/ and the tables --------------------------------------------------------------------------------------------


def test_conf_and_the_tables_agree_with_the_protocol():
    few = replace(PROTOCOL, arms={arm: PROTOCOL.arms[arm] for arm in ("full", "single_stage")})
    assert disagreements(few, lambda arm: command.settings_of("lab", arm)) == []


@pytest.mark.slow
def test_conf_agrees_with_every_arm_of_the_protocol():
    assert disagreements(PROTOCOL, lambda arm: command.settings_of("lab", arm)) == []


def test_the_arms_are_those_of_the_sweep():
    sweep = yaml.safe_load((ROOT / "conf" / "sweep" / "ablations.yaml").read_text())
    assert set(PROTOCOL.arms) <= set(sweep["hydra"]["sweeper"]["params"]["ablation"].split(","))


def test_the_rows_that_are_tested_are_of_arms_that_run():
    named = {row.partition("/")[0] for pair in PROTOCOL.contrasts.values() for row in pair if "/" in row}
    assert named <= set(PROTOCOL.arms)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"alpha": 0.04}, "alpha: the protocol says 0.04, tables decide at 0.05"),
        ({"alpha": 0.06}, "alpha: the protocol says 0.06, tables decide at 0.05"),
        ({"margin": 0.02}, "margin: the protocol says 0.02, tables use 0.01"),
        ({"replicates": 9}, "replicates: the protocol says 9, tables claim nothing below 10"),
        ({"primary": "gap"}, "primary: the protocol says gap, which is no figure of the tables"),
        (
            {"decoding": {"primary": "sample", "beside": "greedy"}},
            "decoding: the protocol says {'primary': 'sample', 'beside': 'greedy'}, tables have greedy, and sample "
            "beside",
        ),
    ],
)
def test_what_the_tables_would_do_otherwise_is_said(change, message):
    settings = {arm: {**own, "evaluation": {"contrasts": CONTRASTS}} for arm, own in SETTINGS.items()}
    assert disagreements(SMALL, settings.__getitem__) == []
    assert disagreements(replace(SMALL, **change), settings.__getitem__) == [message]


def test_a_contrast_that_conf_lists_otherwise_is_said():
    settings = {**SETTINGS["full"], "evaluation": {"contrasts": CONTRASTS}}
    rows = {"prmu": ("full/rl_exploratory", "sft"), "tags": ("full/rl_exploratory", "base")}
    assert disagreements(replace(SMALL, contrasts=rows, arms={"full": {}}), lambda arm: settings) == [
        "conf/ for full: contrast prmu is full/rl_exploratory against no_prmu/rl_exploratory, the protocol says "
        "full/rl_exploratory against sft",
        "conf/ for full: contrast tags is not listed, the protocol says full/rl_exploratory against base",
    ]


# --- runs ------------------------------------------------------------------------------------------------------------

SEEDS = (1234, 5678)


def write_run(
    root: Path, arm: str, seed: int, *, finished: str = "2026-05-04T13:00:00+00:00", experiment: str = "lab",
    contrasts: Any = CONTRASTS, decodings: tuple[str, ...] = ("greedy", "sample"), **changes: Any,
) -> None:  # fmt: skip
    """A run of one row; `changes` of its settings by group."""
    place = f"{arm}-{seed}"
    for stage, time in (("sft", finished), *((f"evaluate-{d}", "2026-05-04T14:00:00+00:00") for d in decodings)):
        folder = root / "cache" / stage.partition("-")[0] / f"{place}{stage.partition('-')[2]}"
        write_json(folder / "manifest.json", {"finished_at": time})
    folder = root / experiment / arm / f"seed_{seed}-0a1b"
    evaluations = {d: f"../../../cache/evaluate/{place}{d}" for d in decodings}
    row = {"policy": "sft", "policy_stages": [["sft", place]], "evaluations": evaluations, "diagnostics": {}}
    about = {"experiment": experiment, "run_name": arm, "seed": seed}
    write_json(folder / "run.json", {**about, "rows": {"sft": row}})
    settings = copy.deepcopy(SETTINGS.get(arm, {})) | {"evaluation": {"contrasts": contrasts}} | changes
    settings["data"] = {"seed": seed, **settings.get("data", {})}
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "run_name": arm, **settings}))


@pytest.fixture
def study(tmp_path):
    """Every run of the protocol; `found()` says what departs from it."""
    root = tmp_path / "runs"
    for arm in SMALL.arms:
        for seed in SEEDS:
            write_run(root, arm, seed)

    def found() -> list[str]:
        return departures(SMALL, Commit(sha="a" * 40, time=COMMITTED), SEEDS, find_runs(root))

    return root, found


def test_runs_that_do_what_the_protocol_says_depart_in_nothing(study):
    _, found = study
    assert found() == []


def test_a_dial_that_was_turned_is_named_in_its_run(study):
    root, found = study
    write_run(root, "full", 5678, sft={"steps": 150, "rate": 0.002})
    assert found() == [
        "full, seed 5678: sft.steps is 150, the protocol says 200",
        "full: its replicates differ in more than the seed (2 kinds of settings)",
    ]


def test_an_arm_that_did_not_change_what_it_stands_for_is_named(study):
    root, found = study
    for seed in SEEDS:
        write_run(root, "single", seed, rl={"stages": {"guided": {"share": 0.5}}})
    assert found() == [
        line
        for seed in SEEDS
        for line in (
            f"single, seed {seed}: rl.stages.guided is {{'share': 0.5}}, the protocol says not set",
            f"single, seed {seed}: rl.stages.single.share is not set, the protocol says 1.0",
        )
    ]


def test_a_setting_that_is_no_dial_must_still_be_the_same_in_all_replicates(study):
    root, found = study
    write_run(root, "full", 1234, pairs={"samples": 3})
    assert found() == ["full: its replicates differ in more than the seed (2 kinds of settings)"]


def test_missing_arms_and_seeds_are_named(study):
    root, found = study
    shutil.rmtree(root / "lab" / "full" / "seed_5678-0a1b")
    shutil.rmtree(root / "lab" / "single")
    assert found() == ["full: no run at seed 5678", "single: no run"]


def test_runs_that_the_protocol_does_not_have_are_named(study):
    root, found = study
    write_run(root, "full", 0)
    write_run(root, "lucky", 1234)
    write_run(root, "full", 0, experiment="demo")  # not the protocol's: another table
    assert found() == [
        "full, seed 0: not one of the protocol's seeds",
        "lucky, seed 1234: the protocol has no such arm",
    ]


def test_a_run_of_a_world_already_looked_at_is_named(study):
    root, found = study
    write_run(root, "full", 1234, data={"seed": 0})  # as `seed=1234 data.seed=0` leaves it
    assert found() == ["full, seed 1234: its world is data.seed=0, not the replicate's"]


def test_work_that_was_done_before_the_protocol_is_named(study):
    root, found = study
    write_run(root, "full", 1234, finished="2026-05-04T11:59:59+00:00")
    assert found() == [
        "full, seed 1234: sft was finished at 2026-05-04T11:59:59+00:00, before the protocol's commit "
        "(2026-05-04T12:00:00+00:00)"
    ]


def test_other_contrasts_and_missing_decodings_are_named(study):
    root, found = study
    other = {"prmu": {"row": "full/rl_guided", "against": "sft"}, "late": {"row": "sft", "against": "base"}}
    for seed in SEEDS:
        write_run(root, "full", seed, contrasts=other, decodings=("greedy",))
    expected = (
        "contrast prmu is full/rl_guided against sft, the protocol says full/rl_exploratory against "
        "no_prmu/rl_exploratory",
        "contrast late is sft against base, the protocol says not listed",
        "sft has no answers under sample",
    )
    assert found() == [f"full, seed {seed}: {line}" for seed in SEEDS for line in expected]


# --- the command -----------------------------------------------------------------------------------------------------


def test_seeds_are_printed_one_per_line(checkout, capsys):
    assert command.main(["seeds"], root=checkout) == 0
    assert [int(line) for line in capsys.readouterr().out.split()] == commit_of(checkout).seeds(10)
    (checkout / PLACE).write_text((checkout / PLACE).read_text() + "\n")
    assert command.main(["seeds"], root=checkout) == 2
    assert "changes that are not committed" in capsys.readouterr().err


def test_the_studys_commands_are_printed_and_none_is_started(checkout, tmp_path, capsys):
    assert command.main(["commands", str(tmp_path / "to be")], root=checkout) == 0
    lines = capsys.readouterr().out.splitlines()
    runs = f"'{tmp_path}/to be'"
    assert lines[0].startswith(f"# {commit_of(checkout).sha}")
    assert lines[1:11] == [
        f"tagpr -m experiment=lab ablation=full seed={seed} 'paths.runs={tmp_path}/to be'"
        for seed in commit_of(checkout).seeds(10)
    ]
    assert lines[11:] == [
        f"python -m experiments.protocol check {runs}", f"tagpr-table '{tmp_path}/to be/lab'",
    ]  # fmt: skip
    assert not (tmp_path / "to be").exists()


def test_a_study_that_would_depart_gets_no_commands(checkout, tmp_path, capsys):
    (checkout / PLACE).write_text((checkout / PLACE).read_text().replace("size: small", "size: full"))
    git(checkout, "commit", "-qam", "a larger world")
    assert command.main(["commands", str(tmp_path)], root=checkout) == 1
    answer = capsys.readouterr()
    assert answer.out == ""
    assert "conf/ for full: data.size is small, the protocol says full" in answer.err


def test_a_folder_is_held_against_the_protocol(checkout, tmp_path, capsys):
    runs, commit = tmp_path / "runs", commit_of(checkout)
    contrasts = {name: {"row": row, "against": against} for name, (row, against) in PROTOCOL.contrasts.items()}
    settings = {
        "finished": commit.time.astimezone(UTC).isoformat(), "data": {"size": "small"},
        "evaluation": {"people": {"splits": ["test"]}, "contrasts": contrasts},
    }  # fmt: skip
    for seed in commit.seeds(10):
        write_run(runs, "full", seed, **settings)
    # Evaluations too are younger than the commit.
    for path in runs.glob("cache/evaluate/*/manifest.json"):
        write_json(path, {"finished_at": settings["finished"]})
    assert command.main(["check", str(runs)], root=checkout) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"Protocol of {commit.sha[:12]} (")
    assert out[0].endswith("arms: 1; replicates: 10; contrasts: 8; primary figure: gap_closed, greedy.")
    assert out[1:] == ["No departures."]
    write_run(runs, "full", 7, **settings)
    assert command.main(["check", str(runs)], root=checkout) == 1
    assert "full, seed 7: not one of the protocol's seeds" in capsys.readouterr().out
    assert command.main(["check", str(tmp_path / "nothing")], root=checkout) == 2
