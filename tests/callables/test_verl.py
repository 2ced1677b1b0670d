"""tagpr.callables.verl: loaded from its file and called with keywords, as verl's reward managers do."""

import importlib.util
import inspect
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tagpr.callables import verl
from tagpr.callables.verl import compute_score, compute_score_batch
from tagpr.errors import BadInputError


def info(row):
    return {name: value for name, value in row.items() if name not in ("task", "gold")}


def test_the_signature_is_what_verl_calls():
    names = list(inspect.signature(compute_score).parameters)
    assert names[:4] == ["data_source", "solution_str", "ground_truth", "extra_info"]
    assert inspect.signature(compute_score).parameters["extra_info"].default is None
    assert list(inspect.signature(compute_score_batch).parameters)[:4] == [
        "data_sources", "solution_strs", "ground_truths", "extra_infos",
    ]  # fmt: skip
    assert not inspect.iscoroutinefunction(compute_score)


def test_it_can_be_loaded_from_its_file(row):
    spec = importlib.util.spec_from_file_location("custom_module", Path(verl.__file__))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said = {"data_source": "S2", "ground_truth": "quiet", "extra_info": {**info(row), "num_turns": None}}
    assert module.compute_score(**said, solution_str="<think>calm</think>quiet", reward="task") == 1.0


def test_data_source_is_the_task_unless_extra_info_names_it(row):
    extra = {**info(row), "task": "S3"}
    assert compute_score("reviews", "4", "5", extra) == 0.75
    with pytest.raises(BadInputError, match="'reviews' is no task"):
        compute_score("reviews", "4", "5", info(row))


def test_no_gold_and_unreadable_pay_nothing(row):
    assert compute_score("S2", "quiet", None, info(row)) == 0.0
    assert compute_score("S2", "<think>quiet", "quiet", info(row)) == 0.0


def test_missing_extra_info_is_named():
    with pytest.raises(BadInputError, match="answer 0, data_source 'S2', extra_info: the column 'user_id' is missing"):
        compute_score("S2", "quiet", "quiet")


def test_composite_tells_its_parts(prmu_folder, row):
    found = compute_score("S2", "quiet", "quiet", info(row), reward="composite", prmu=str(prmu_folder))
    assert set(found) == {"score", "task", "tag", "prmu", "readable"}
    assert (found["task"], found["tag"], found["readable"]) == (1.0, 0.0, 1.0)
    assert found["score"] == pytest.approx(1.0 + 0.72 * found["prmu"], rel=1e-6)


def test_a_batch_equals_its_answers_one_by_one(prmu_folder, row):
    answers = ["quiet", "lively", "", "<think>x</think>forest"]
    several = compute_score_batch(
        ["S2"] * 4, answers, ["quiet"] * 4, [info(row)] * 4, reward="prmu", prmu=str(prmu_folder)
    )
    alone = [compute_score("S2", a, "quiet", info(row), reward="prmu", prmu=str(prmu_folder)) for a in answers]
    assert several == pytest.approx(alone, abs=1e-6)
    assert several[2] == 0.0
    assert compute_score_batch([], [], [], []) == []


def test_threads_agree_with_one_thread(prmu_folder, row):
    def one(answer):
        return compute_score("S2", answer, "quiet", info(row), reward="prmu", prmu=str(prmu_folder))

    answers = ["quiet", "lively", "forest", "city"] * 4
    with ThreadPoolExecutor(max_workers=4) as threads:
        assert list(threads.map(one, answers)) == [one(answer) for answer in answers]


def test_a_text_by_itself_needs_something_to_be_centred_on(prmu_folder, row):
    told = {"reward": "prmu", "prmu": str(prmu_folder)}
    with pytest.raises(BadInputError, match="reference_answers"):
        compute_score("S5", "a long night", "a night", info(row), **told)
    extra = {**info(row), "reference_answers": ["the night", "on nights"]}
    assert 0 < compute_score("S5", "a long night", "a night", extra, **told) < 1


def test_inside_another_hydra_program(row):
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    from tagpr.compose import conf_dir

    verl._opened.cache_clear()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="outer"):
        outer = GlobalHydra.instance().hydra
        assert compute_score("S2", "quiet", "quiet", info(row)) == 1.0
        assert GlobalHydra.instance().hydra is outer
