"""tagpr.callables.trl: called as GRPOTrainer calls, and by GRPOTrainer itself."""

import inspect

import pytest
import torch

from tagpr.callables.rewards import GroupedPrmu, compose_rewards
from tagpr.callables.trl import reward_function
from tagpr.errors import BadInputError, UserError
from tagpr.prmu.reward import PrmuScores

TAGGED = (
    "<think><examine_examples><1> a pier at dusk is quiet , <2> a mill by a river is village</examine_examples>"
    "<identify_patterns>places by the water get calm words each time</identify_patterns>"
    "<infer_preference>this person goes by the mood of the water</infer_preference>"
    "<analyze_query>the hall is calm , so the mood is clear</analyze_query>"
    "<apply_preference>calm mood means the tag quiet</apply_preference></think>quiet"
)


def call(reward, rows, completions, **more):
    """As GRPOTrainer._calculate_rewards: each column of the data set repeated, state and loggers beside them."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return reward(
        prompts=["Which tag?"] * len(rows), completions=completions, completion_ids=[[1, 2]] * len(rows), **columns,
        trainer_state=object(), log_extra=lambda name, values: None, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def task():
    return reward_function("task")


def test_the_signature_is_what_trl_calls():
    reward = reward_function("task")
    bound = inspect.signature(reward).bind(
        prompts=[], completions=[], completion_ids=[], user_id=[], trainer_state=None, log_extra=None, log_metric=None
    )
    assert set(bound.arguments) == {"prompts", "completions", "log_metric", "columns"}
    assert reward.__name__ == "tagpr_task"


def test_task_pays_readable_right_answers(task, row):
    completions = ["quiet", "lively", "<think>quiet", "no such tag", TAGGED]
    assert call(task, [row] * 5, completions) == [1.0, 0.0, 0.0, 0.0, 1.0]


def test_task_is_the_metric_of_the_row(task, row):
    rating = {**row, "task": "S3", "gold": "5"}
    assert call(task, [row, rating], ["quiet", "3"]) == [1.0, 0.5]


def test_without_gold_task_has_no_opinion(task, row):
    assert call(task, [{**row, "gold": None}, row], ["quiet", "quiet"]) == [None, 1.0]


def test_conversational_completions(task, row):
    said = [[{"role": "assistant", "content": "quiet", "reasoning_content": "calm , so quiet"}]]
    assert task(
        prompts=[[{"role": "user", "content": "Which?"}]], completions=said, **{k: [v] for k, v in row.items()}
    ) == [1.0]


def test_the_share_of_unreadable_completions_is_logged(task, row):
    logged = {}
    call(task, [row] * 4, ["quiet", "", "", "lively"], log_metric=logged.__setitem__)
    assert logged == {"tagpr_task/unreadable": 0.5}


def test_tag_pays_chains_and_not_bare_answers(row):
    good, bare, broken = call(reward_function("tag"), [row] * 3, [TAGGED, "quiet", TAGGED.replace("</think>", "")])
    assert good > 0.8
    assert (bare, broken) == (0.0, 0.0)


def test_prmu_sees_the_person_and_nothing_unreadable(prmu_folder, row):
    reward = reward_function("prmu", prmu=prmu_folder)
    stranger = {**row, "user_id": "bob", "history": [{"input": "a fair", "output": "lively"}] * 3}
    own, other, unreadable = call(reward, [row, stranger, row], ["quiet", "quiet", "<think>quiet"])
    assert 0 < own < 1
    assert 0 < other < 1
    assert own != other
    assert unreadable == 0.0


def test_composite_is_the_weighted_sum_of_its_gated_terms(prmu_folder, row):
    completions = [TAGGED, TAGGED.replace("</think>quiet", "</think>lively"), "nothing"]
    parts = {
        name: call(reward_function(name, prmu=prmu_folder), [row] * 3, completions) for name in ("task", "tag", "prmu")
    }
    weights = {name: term.weight for name, term in compose_rewards([])[0].terms.items()}
    expected = [sum(weights[name] * parts[name][i] for name in parts) for i in range(3)]
    found = call(reward_function("composite", prmu=prmu_folder), [row] * 3, completions)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found[2] == 0.0


def test_settings_change_the_reward(prmu_folder, row):
    plain = call(reward_function("prmu", prmu=prmu_folder), [row], ["quiet"])
    clipped = call(
        reward_function("prmu", prmu=prmu_folder, settings=["reward.terms.prmu.score.clip=1e-6"]), [row], ["quiet"]
    )
    assert plain != clipped == pytest.approx([0.5], abs=1e-5)
    without = reward_function("composite", settings=["reward/term@reward.terms.prmu=none"])
    assert call(without, [row], ["quiet"]) == [1.0]


class ByHand:
    """Stands for PrmuReward: an answer is worth its length, less the mean length of its group."""

    def prmu_scores(self, records, answers):
        lengths = torch.tensor([[float(len(a)) for a in group] for group in answers])
        rewards = lengths - lengths.mean(dim=1, keepdim=True)
        return PrmuScores(rewards=rewards, own=rewards, blind=rewards, saturated_share=0.0)


def test_rows_of_one_question_are_judged_together(row):
    reward = reward_function("task")
    reward.opened.reward.terms = {"task": GroupedPrmu(ByHand())}
    title = {**row, "task": "S5", "gold": "a night"}
    other = {**title, "user_id": "bob"}
    # ann's three texts of 1, 3 and 8 letters, mean 4; bob's two of 2 and 4, mean 3; in any order
    found = call(reward, [title, other, title, other, title], ["a", "bb", "ccc", "dddd", "eeeeeeee"])
    assert found == [-3.0, -1.0, -1.0, 1.0, 4.0]
    alone = {**title, "reference_answers": ["ccc", "eeeeeeee"]}
    assert call(reward, [alone], ["a"]) == [-3.0]
    with pytest.raises(BadInputError, match="user 'ann' has one answer here"):
        call(reward, [title], ["a"])


def test_what_is_missing_is_said(prmu_folder, row, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="there is no reward 'prmuu', expected one of task, tag, prmu, composite"):
        reward_function("prmuu")
    with pytest.raises(UserError, match="give prmu=FOLDER"):
        reward_function("composite")
    place = "reward.terms.prmu.score.device"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match=f"^{place}=cuda, but torch .*, or set {place}=cpu"):
        reward_function("prmu", prmu=prmu_folder, settings=[f"{place}=cuda"])
    with pytest.raises(BadInputError, match="holds no PRMU"):
        reward_function("prmu", prmu=tmp_path)
    with pytest.raises(UserError, match="Did you mean reward"):
        reward_function("task", settings=["reward.terms.tagg.weight=1"])
    with pytest.raises(BadInputError, match="row 1 of the batch: the column 'query' is missing"):
        call(reward_function("task"), [row, {**row, "query": None}], ["quiet", "quiet"])


@pytest.mark.slow
def test_grpo_trainer_takes_it(prmu_folder, row, tmp_path):
    trl = pytest.importorskip("trl")
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tagpr.lm.backbone import tiny_base_path

    rows = [{**row, "user_id": f"u{i}", "prompt": "a calm hall => "} for i in range(4)]
    args = trl.GRPOConfig(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=4, num_generations=2,
        max_completion_length=8, remove_unused_columns=False, use_cpu=True, report_to=[], logging_steps=1,
        save_strategy="no", learning_rate=1e-3,
    )  # fmt: skip
    trainer = trl.GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_base_path()),
        processing_class=AutoTokenizer.from_pretrained(tiny_base_path()),
        reward_funcs=[reward_function(name, prmu=prmu_folder) for name in ("task", "tag", "prmu", "composite")],
        args=args,
        train_dataset=Dataset.from_list(rows),
    )
    trainer.train()
    logged = [line for line in trainer.state.log_history if "rewards/tagpr_task/mean" in line]
    assert len(logged) == 2
    for name in ("task", "tag", "prmu", "composite"):
        assert all(line[f"rewards/tagpr_{name}/mean"] >= 0 for line in logged)
