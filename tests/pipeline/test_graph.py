"""Which stages a configuration needs, in which order, and what makes them differ."""

import hashlib
import shutil
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from tagpr.compose import composed
from tagpr.errors import UserError
from tagpr.pipeline.fingerprint import FileHashes
from tagpr.pipeline.graph import Graph, Stage, build_graph, stream_seed
from tagpr.schema import TableRow

LAMP = Path(__file__).parents[1] / "fixtures" / "lamp_mini" / "LaMP_3"


def compose(*overrides: str) -> DictConfig:
    return composed(overrides)


@pytest.fixture(scope="module")
def smoke() -> DictConfig:
    return compose("experiment=smoke")


@pytest.fixture(scope="module")
def real() -> DictConfig:
    return compose("experiment=lamp_small", f"data.root={LAMP}")


@pytest.fixture(scope="module")
def hashes(tmp_path_factory) -> FileHashes:
    return FileHashes(tmp_path_factory.mktemp("hashes") / "known.json")


def changed(cfg: DictConfig, **values) -> DictConfig:
    other = cfg.copy()
    for key, value in values.items():
        OmegaConf.update(other, key.replace("__", "."), value, force_add=True)
    return other


def build(cfg: DictConfig, hashes: FileHashes) -> Graph:
    return build_graph(cfg, hashes, lambda ablation: cfg)


def test_every_stage_stands_behind_its_inputs_and_evaluations_stand_last(smoke, hashes):
    stages = build(smoke, hashes).stages
    seen = set()
    for stage in stages:
        assert {source.fingerprint for source in stage.inputs.values()} <= seen
        seen.add(stage.fingerprint)
    kinds = [stage.kind for stage in stages]
    assert kinds[: kinds.index("evaluate")] == ["records", "chains", "sft", "pairs", "prmu", "rl", "rl"]
    assert set(kinds[kinds.index("evaluate") :]) == {"evaluate"}
    assert len({(stage.name, stage.fingerprint) for stage in stages}) == len(stages)


def test_each_stage_learns_from_the_one_before_it(smoke, hashes):
    policies = build(smoke, hashes).policies
    assert policies["rl_guided"].inputs["policy"] is policies["sft"]
    assert policies["rl_exploratory"].inputs["policy"] is policies["rl_guided"]
    assert "prmu" in policies["rl_guided"].inputs
    assert "prmu" not in policies["rl_exploratory"].inputs


def test_a_reward_model_that_no_stage_pays_for_is_not_trained(smoke, hashes):
    unpaid = changed(smoke, rl__stages__guided__weights__prmu=0.0)
    graph = build(unpaid, hashes)
    assert graph.prmu is None
    assert "pairs" not in {stage.name for stage in graph.stages}


def test_rows_follow_the_config_and_the_stages(smoke, hashes):
    graph = build(smoke, hashes)
    assert [row.name for row in graph.rows] == [*smoke.evaluation.rows, "rl_guided", "rl_exploratory"]
    rows = {row.name: row.stages["greedy"] for row in graph.rows}
    assert "policy" not in rows["base"].inputs
    assert rows["sft"].inputs["policy"] is graph.policies["sft"]
    assert [rows[name].groups["prompt"].thinking for name in ("base", "base_think", "base_bm25")] == [False, True, True]


def test_untrained_rows_answer_dev_people_too(smoke, hashes):
    graph = build(smoke, hashes)
    asked = {row.name: row.diagnostics.get("dev") for row in graph.rows}
    assert [name for name, stage in asked.items() if stage] == ["base", "base_think", "base_bm25"]
    for row in graph.rows[:3]:
        assert asked[row.name] in graph.stages
        assert (asked[row.name].groups["evaluation"].splits, row.stages["greedy"].groups["evaluation"].splits) == (
            ["dev"],
            ["test"],
        )
        assert asked[row.name].fingerprint != row.stages["greedy"].fingerprint


def test_a_compared_preset_shares_its_stages_under_names_of_their_own(smoke, hashes):
    other = changed(smoke, run_name="other", sft__steps=3)
    cfg = changed(smoke, evaluation__compare={"short_sft": {"ablation": "any", "policy": "sft"}})
    graph = build_graph(cfg, hashes, lambda ablation: other)
    labels = [stage.label for stage in graph.stages]
    assert len(set(labels)) == len(labels)
    assert [stage.name for stage in graph.stages].count("sft") == 2
    assert [stage.name for stage in graph.stages].count("chains") == 1


def test_streams_of_stages_and_of_neighbouring_seeds_are_unrelated():
    assert stream_seed(0, "sft") == int(hashlib.sha256(b"0/sft").hexdigest()[:8], 16) // 2
    streams = {stream_seed(seed, name) for seed in range(50) for name in ("chains", "sft", "prmu", "rl_guided")}
    assert len(streams) == 200
    assert all(0 <= one < 2**31 for one in streams)


def test_the_content_of_the_data_counts_and_not_its_place(real, hashes, tmp_path):
    def records(root: Path) -> str:
        return build(changed(real, data__root=str(root)), hashes).stages[0].fingerprint

    copied = shutil.copytree(LAMP, tmp_path / "elsewhere")
    assert records(copied) == records(LAMP)
    golds = copied / "dev" / "dev_outputs.json"
    golds.write_text(golds.read_text() + "\n")
    assert records(copied) != records(LAMP)


def test_a_teacher_that_is_generated_with_counts_by_its_files_and_by_the_code_that_generates(smoke, hashes, tmp_path):
    def chains(cfg: DictConfig) -> Stage:
        return next(stage for stage in build(cfg, hashes).stages if stage.name == "chains")

    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    cfg = compose("experiment=smoke", "teacher=hf", f"teacher.path={tmp_path}", "teacher.engine.max_tokens=77")
    scripted, local = chains(smoke), chains(cfg)
    assert {"teacher/config.json", "teacher/model.safetensors"} == set(local.files) - set(scripted.files)
    assert [set(one.identity["code"]) & {"lm", "lm/backbone"} for one in (scripted, local)] == [{"lm/backbone"}, {"lm"}]
    assert local.settings["teacher"]["batch_tokens"] == 77
    before = local.fingerprint
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert chains(cfg).fingerprint != before
    named = chains(changed(cfg, teacher__path="owner/name"))
    assert set(named.files) == set(scripted.files)
    assert named.fingerprint not in (before, chains(changed(cfg, teacher__path="owner/other")).fingerprint)


def test_real_people_keep_their_splits_from_seed_to_seed(real, hashes):
    one, two = (build(changed(real, seed=seed), hashes).stages for seed in (0, 1))
    assert one[0].fingerprint == two[0].fingerprint
    assert {a.fingerprint for a in one[1:]} & {b.fingerprint for b in two[1:]} == set()


@pytest.mark.parametrize(
    "values, message",
    [
        ({"data__root": "/no/such/folder"}, r"data\.root=/no/such/folder is not a folder\. Give the folder that holds"),
        ({"rl__order": ["guided", "later"]}, r"rl\.order names the stage 'later', but rl\.stages has"),
        ({"evaluation__rows__sft__policy": "rl_later"}, r"evaluation\.rows\.sft\.policy=rl_later, but this run makes"),
        (
            {"evaluation__compare": {"x": {"ablation": "full", "policy": "rl_later"}}},
            r"evaluation\.compare\.x\.policy=rl_later, but this run makes",
        ),
    ],
)
def test_contradictions_are_named(values, message, real, hashes):
    with pytest.raises(UserError, match=message):
        build(changed(real, **values), hashes)


def test_attribution_is_a_stage_per_policy_behind_the_evaluations(hashes):
    cfg = compose("experiment=smoke", "diagnostics=full", "diagnostics.swap=null")
    graph = build(cfg, hashes)
    asked = {row.name: row.diagnostics["attribution"] for row in graph.rows if "attribution" in row.diagnostics}
    assert list(asked) == ["sft", "rl_exploratory"]
    assert set(asked["sft"].inputs) == {"records", "policy"}
    assert asked["rl_exploratory"].inputs["policy"] is graph.policies["rl_exploratory"]
    assert set(asked["sft"].groups) == {"prompt", "tags", "engine", "backbone", "evaluation", "attribution"}
    assert [stage.kind for stage in graph.stages[-2:]] == ["attribution", "attribution"]
    # whom else one asks changes no result
    fewer = build(changed(cfg, diagnostics__attribution__policies=["sft"]), hashes)
    assert [row.name for row in fewer.rows if row.policy and row.diagnostics] == ["sft"]
    assert fewer.stages[-1].fingerprint == asked["sft"].fingerprint


# --- diagnoses -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked(smoke) -> DictConfig:
    return compose("experiment=smoke", "diagnostics=swap")


def test_diagnoses_stand_behind_the_evaluations_and_change_nothing_before_them(smoke, asked, hashes):
    plain, more = build(smoke, hashes), build(asked, hashes)
    assert [s.fingerprint for s in more.stages[: len(plain.stages)]] == [s.fingerprint for s in plain.stages]
    assert [s.label for s in more.stages[len(plain.stages) :]] == ["swap sft", "swap rl_exploratory"]
    for stage, policy in zip(more.stages[-2:], ("sft", "rl_exploratory"), strict=True):
        assert stage.inputs["policy"] is more.policies[policy]
        assert stage.inputs["records"].fingerprint == plain.stages[0].fingerprint
    rows = {row.name: [*row.diagnostics] for row in more.rows if row.policy and row.diagnostics}
    assert rows == {"sft": ["swap"], "rl_exploratory": ["swap"]}


def test_the_last_policy_is_whatever_the_run_ends_with(asked, hashes):
    short = changed(asked, rl__order=["guided"])
    assert [s.label for s in build(short, hashes).stages if s.kind == "swap"] == ["swap sft", "swap rl_guided"]
    supervised = changed(asked, rl__order=[])
    assert [s.label for s in build(supervised, hashes).stages if s.kind == "swap"] == ["swap sft"]


def test_who_else_is_diagnosed_does_not_count_but_how_does(asked, hashes):
    def swap_of_sft(**values) -> str:
        cfg = changed(asked, **{f"diagnostics__swap__{key}": value for key, value in values.items()})
        return next(s for s in build(cfg, hashes).stages if s.kind == "swap").fingerprint

    assert swap_of_sft() == swap_of_sft(policies=["sft"])
    others = {swap_of_sft(**{key: value}) for key, value in
              (("max_records", 9), ("max_new_tokens", 9), ("candidates", 9), ("length_band", 0.9))}  # fmt: skip
    assert len(others | {swap_of_sft()}) == 5


def test_a_policy_that_no_row_shows_cannot_be_diagnosed(asked, hashes):
    with pytest.raises(UserError, match=r"policies names rl_later, but this run trains sft, rl_guided, rl_exploratory"):
        build(changed(asked, diagnostics__swap__policies=["rl_later"]), hashes)
    # The one row of SFT shows the question alone.
    hidden = changed(asked, evaluation__rows__sft__history=False)
    with pytest.raises(UserError, match=r"names sft, but no row of evaluation\.rows evaluates it with the run's own"):
        build(hidden, hashes)


def opened(cfg: DictConfig) -> DictConfig:
    """A copy that takes other rows."""
    other = cfg.copy()
    OmegaConf.set_struct(other, False)
    return other


def test_a_row_may_see_the_first_entries_alone_and_shares_its_policy(smoke, hashes):
    cfg = opened(smoke)
    for entries in (3, 0):
        row = TableRow(policy="sft", history=True, thinking=None, entries=entries)
        cfg.evaluation.rows[f"sft_{entries}"] = row
    rows = {row.name: row for row in build(cfg, hashes).rows}
    assert rows["sft_3"].policy == rows["sft"].policy
    greedy = {name: rows[name].stages["greedy"] for name in ("sft", "sft_3", "sft_0")}
    assert {name: one.settings["evaluation"]["entries"] for name, one in greedy.items()} == {
        "sft": None, "sft_3": 3, "sft_0": 0,
    }  # fmt: skip
    assert len({one.fingerprint for one in greedy.values()}) == 3
    plain = {row.name: row for row in build(smoke, hashes).rows}
    assert plain["sft"].stages["greedy"].fingerprint == greedy["sft"].fingerprint


@pytest.mark.parametrize("wrong", [{"entries": -1}, {"entries": 3, "history": False}])
def test_entries_of_a_row_without_history_are_a_mistake(smoke, hashes, wrong):
    cfg = opened(smoke)
    cfg.evaluation.rows["odd"] = TableRow(**{"policy": "sft", "history": True, "thinking": None, **wrong})
    with pytest.raises(UserError, match=f"rows.odd.entries={wrong['entries']}, expected 0 or more"):
        build(cfg, hashes)


def test_diagnoses_stand_at_the_row_that_sees_everything(smoke, hashes):
    cfg = opened(compose("experiment=smoke", "diagnostics=swap"))
    whole = cfg.evaluation.rows.pop("sft")
    cfg.evaluation.rows["few"] = TableRow(policy="sft", history=True, thinking=None, entries=1)
    cfg.evaluation.rows["whole"] = whole
    rows = {row.name: row for row in build(cfg, hashes).rows}
    assert "swap" in rows["whole"].diagnostics
    assert "swap" not in rows["few"].diagnostics
