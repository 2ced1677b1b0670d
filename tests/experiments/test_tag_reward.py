"""experiments/tag_reward: rank correlations by hand, a made-up stage read back, the tables' lines, run.sh."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from experiments.tag_reward.correlation import overall, spearman, within
from experiments.tag_reward.probes import scores, table
from experiments.tag_reward.rollouts import (
    EVIDENCE,
    RULE,
    TRUE_SPANS,
    JudgedRollout,
    commonest_rule,
    judged_rollouts,
    mean_of,
)
from experiments.tag_reward.table import best_chains, correlations, development
from tagpr.chains.tags import TAGS, TagVocabulary
from tagpr.data.simulated.command import compose_source
from tagpr.errors import UserError
from tagpr.rl.rollouts import RlPrompt
from tagpr.storage import write_json
from tagpr.tasks import task_named
from tagpr.types import Prompt, Rollout

RUN = Path(__file__).parents[2] / "experiments" / "tag_reward" / "run.sh"


def test_spearman_by_hand() -> None:
    # Ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: covariance 4.5 / 4, variances 4.5 / 4 and 5 / 4.
    assert spearman(np.array([0.0, 1, 1, 7]), np.array([0.1, 0.3, 0.2, 0.9])) == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert math.isnan(spearman(np.ones(3), np.arange(3.0)))


def test_within_groups_forgets_what_prompts_differ_in() -> None:
    """Prompt p is easy and q hard; inside each the two figures run against one another. Group r never varies."""
    tags = [0.8, 0.9, 0.1, 0.2, 0.5, 0.5]
    truths = [0.9, 0.8, 0.2, 0.1, 0.3, 0.4]
    people, groups = ["ann", "ann", "bob", "bob", "cy", "cy"], ["p", "p", "q", "q", "r", "r"]
    assert overall(tags, truths, people).value > 0.5
    inside = within(tags, truths, people, groups)
    assert (inside.value, inside.low, inside.high) == pytest.approx((-1.0, -1.0, -1.0))
    assert inside.groups == 2


def test_intervals_are_over_people_not_chains() -> None:
    """Two people, each with many chains that agree within the person: a resample may hold one person alone."""
    tags, truths = [0.0] * 50 + [1.0] * 50, [0.0, 0.1] * 25 + [1.0, 0.9] * 25
    one = overall(tags, truths, ["ann"] * 50 + ["bob"] * 50)
    many = overall(tags, truths, list(range(100)))
    assert one.high - one.low < 1e-9, "both people or a draw in which nothing varies"
    assert many.high - many.low > 0.01


def rollout(step: int, sample: int, completion: str, *, record: str = "q", user: str = "ann") -> Rollout:
    return Rollout(
        record_id=record, user_id=user, task="S3", stage="rl_single", step=step, sample_index=sample,
        completion=completion, answer="4", num_tokens=10 * step + 10, truncated=False,
        reward_terms={"tag": 1.0, "g_answer": 1.0}, weights={"tag": 1.0}, reward=1.0, advantage=0.0,
    )  # fmt: skip


def judged(
    step: int, sample: int, tag: float, truth: float | None, *, record: str = "q", rule: str | None = None
) -> JudgedRollout:
    truths = {} if truth is None else {TRUE_SPANS: truth, RULE: 1.0}
    return JudgedRollout(
        rollout=rollout(step, sample, f"chain {step} {sample}", record=record), tag=tag, g_answer=True, g_tags=tag > 0,
        task=0.5, num_spans=5, rule=rule, truths=truths,
    )  # fmt: skip


def test_tables_have_the_ends_of_a_stage_and_its_best_chains() -> None:
    some = [judged(0, 0, 0.0, None), judged(0, 1, 1.0, 0.8), judged(1, 0, 1.0, 0.2), judged(1, 1, 0.9, 0.4, record="r")]
    assert mean_of(some, TRUE_SPANS) == pytest.approx(1.4 / 3)
    assert math.isnan(mean_of(some[:1], RULE))
    lines = development(some, windows=1)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [cell[:4] for cell in cells[2:]] == [
        ["first 1 windows", "all", "2", "0.50"], ["first 1 windows", "g_tags open", "1", "1.00"],
        ["last 1 windows", "all", "2", "0.95"], ["last 1 windows", "g_tags open", "2", "0.95"],
    ]  # fmt: skip
    assert [cell[cells[0].index(TRUE_SPANS)] for cell in cells[2:]] == ["0.80", "0.80", "0.30", "0.30"]
    text = "\n".join(best_chains(some, most=10))
    assert "2 of 4 have R_tag 1.000" in text
    # One chain per question, the latest of equals: `chain 1 0` stands for q, not `chain 0 1`.
    assert ("chain 1 0" in text, "chain 1 1" in text, "chain 0 1" in text) == (True, True, False)
    rows = correlations(some)
    assert any("true spans | 3 |" in row for row in rows)
    assert not any(EVIDENCE in row for row in rows), "no chain has it"


def test_the_commonest_rule_is_counted_where_one_is_stated() -> None:
    some = [judged(0, sample, 1.0, 0.5, rule=rule) for sample, rule in enumerate(("food", "food", "staff", None))]
    assert commonest_rule(some) == pytest.approx(2 / 3)
    assert math.isnan(commonest_rule(some[3:]))


def test_a_folder_that_is_no_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished RL stage"):
        judged_rollouts(tmp_path)
    write_json(tmp_path / "manifest.json", {"config": {"rl": {}, "tags": {"names": []}, "prompt": {}, "reward": {}}})
    (tmp_path / "rollouts").mkdir()
    with pytest.raises(UserError, match="tags=none"):
        judged_rollouts(tmp_path)


def test_reference_chains_earn_everything_and_probes_are_scored_beside_them() -> None:
    source = compose_source(["data.size=smoke"])
    records = [one for one in source.draw(seed=3, advance=lambda people: None) if one.split == "train"]
    prompts = [
        RlPrompt(
            prompt=Prompt(record=one, text="", history=one.profile, thinking=True, num_cut=0, num_dropped=0),
            token_ids=[], task=task_named(one.task), gold=one.gold,
        )
        for one in records[:: max(1, len(records) // 12)]
    ]  # fmt: skip
    names = TagVocabulary(names=list(TAGS))
    of_one_task = [one for one in prompts if one.task.name == prompts[0].task.name]
    found = scores(of_one_task, names, examples=4, min_words=3, max_words=180)
    assert len(found["own"]) == len(of_one_task) > 3
    assert min(found["own"]) >= 0.95
    assert max(found["hollow"] + found["many"] + found["injected"]) < 0.5
    heading, _, own, *rest = table({"S2": found})
    assert [cell.strip() for cell in heading.strip("|").split("|")][:3] == ["chains", "number", "S2"]
    assert own == f"| reference chains | {len(of_one_task)} | 1.000 | 1.00 | 1.00 | 100.0% |"
    assert any(line.startswith("| untrue * |") for line in rest)


def test_run_names_only_options_that_compose() -> None:
    assert subprocess.run(["bash", "-n", str(RUN)], check=False).returncode == 0
