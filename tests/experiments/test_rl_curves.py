"""The curves of RL's arms: stages joined, seeds averaged, noise smoothed, nothing clipped marked."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from experiments.rl_curves.read import Arm
from experiments.rl_curves.table import NOT_TESTED, _score_of_seed, _smooth, losses_section, tasks_section
from experiments.world_learning.read import Answer
from tagpr.analysis.runs import Artifact, Row
from tagpr.storage import write_json


def stage(folder: Path, name: str, rows: list[dict[str, float]], *, steps: int, cpu_seconds: float = 1.0) -> Artifact:
    folder = folder / name / "0a1b"
    folder.mkdir(parents=True)
    write_json(folder / "manifest.json", {"counts": {"steps": steps, "weight_tag": 0.3}, "cpu_seconds": cpu_seconds})
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with open(folder / "metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return Artifact(folder=folder)


def arm(name: str, *stages: tuple[Artifact, ...]) -> Arm:
    rows = {
        seed: Row(name="rl", policy="rl", stages=of_seed, evaluations={}, diagnostics={})
        for seed, of_seed in enumerate(stages)
    }
    return Arm(name=name, rows=rows, settings={})


def test_a_curve_goes_on_where_the_stage_before_it_ended(tmp_path: Path) -> None:
    guided = stage(tmp_path / "a", "rl_guided", [{"step": 0, "x": 0.1}, {"step": 2, "x": 0.3}], steps=2, cpu_seconds=5)
    explored = stage(tmp_path / "a", "rl_exploratory", [{"step": 1, "y": 9}, {"step": 3, "x": 0.5}], steps=3)
    single = stage(tmp_path / "b", "rl_single", [{"step": 4, "x": 0.9}], steps=5, cpu_seconds=8)
    both = arm("full", (guided, explored), (single,))
    assert both.curve("x") == {0: [(0, 0.1), (2, 0.3), (5, 0.5)], 1: [(4, 0.9)]}
    assert both.first("x") == pytest.approx((0.1 + 0.9) / 2)
    assert both.last("x") == pytest.approx((0.5 + 0.9) / 2)
    assert both.mean("x") == pytest.approx((0.1 + 0.3 + 0.5 + 0.9) / 4)
    assert both.last("z") is None
    assert _score_of_seed(both, 7) == "-"  # a seed that this arm has not run
    assert both.steps == 5
    assert both.cpu_seconds == pytest.approx((5 + 1 + 8) / 2)


def test_a_running_mean_begins_where_it_is_whole() -> None:
    assert _smooth([(1, 1.0), (2, 2.0), (3, 6.0), (4, 1.0)], 3) == [(3, 3.0), (4, 3.0)]
    assert _smooth([(1, 1.0)], 2) == []


def test_a_loss_that_clipped_nothing_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        Answer(seed=0, user=f"u{i}", task="S2", record_id=str(i), score=0.5, blind=0.2, best=0.9) for i in range(25)
    ]
    monkeypatch.setattr(Arm, "answers", lambda self: answers)
    rows = [{"step": 1, "rl/policy/clip_low": 0.0, "rl/policy/clip_high": 0.0}]
    clipped = [{"step": 1, "rl/policy/clip_low": 0.02, "rl/policy/clip_high": 0.0}]
    arms = {
        name: arm(name, (stage(tmp_path / name, "rl_guided", found, steps=1),))
        for name, found in (("loss_grpo", rows), ("loss_gspo", clipped))
    }
    table = {line.split("|")[1].strip(): line for line in losses_section(arms) if line.startswith("|")}
    assert NOT_TESTED in table["grpo"]
    assert NOT_TESTED not in table["gspo"]
    assert "2.00%" in table["gspo"]


def test_scores_by_task_stand_between_blind_and_bayes(monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(name: str) -> list[Answer]:
        better = {"S2": 0.25, "S5": 0.0} if name == "full" else {"S2": 0.0, "S5": 0.0}
        return [
            Answer(seed=0, user=f"u{i}", task=task, record_id=f"{task}{i}", score=0.5 + more, blind=0.25, best=1.0)
            for task, more in better.items()
            for i in range(25)
        ]

    monkeypatch.setattr(Arm, "answers", lambda self: answered(self.name))
    arms = {name: arm(name, ()) for name in ("sft", "full")}
    first, gains = "\n".join(tasks_section(arms)).split("Minus SFT:")
    scores, leads = _cells(first), _cells(gains)
    assert list(scores) == ["arm", "blind", "sft", "full", "bayes"]
    assert [cell[:5] for cell in scores["full"]] == ["0.750", "0.500"]
    assert [scores[name][0][:5] for name in ("blind", "sft", "bayes")] == ["0.250", "0.500", "1.000"]
    assert list(leads) == ["arm", "full"]
    assert [cell[:6] for cell in leads["full"]] == ["+0.250", "+0.000"]


def _cells(text: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows if not row[0].startswith("--")}
