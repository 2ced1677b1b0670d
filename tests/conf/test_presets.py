"""Every option and every preset composes, builds, and says what it is; misspelt ones name the nearest.

A composition costs half a second, so each is made once, and options of unrelated groups share one.
"""

import ast
import dataclasses
import inspect
import itertools
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from hydra.utils import get_class, get_object
from omegaconf import DictConfig, OmegaConf

from tagpr import config_errors, schema
from tagpr.command_help import config_groups, help_text
from tagpr.compose import composed, conf_dir
from tagpr.config_errors import CONFIG_ERRORS, check_added_keys, check_arguments, explain
from tagpr.errors import UserError
from tagpr.pipeline import execute
from tagpr.pipeline.fingerprint import PACKAGE, FileHashes, digest
from tagpr.pipeline.graph import Graph, Stage, build_graph
from tagpr.run_folder import run_key

CONF = conf_dir()
GROUPS = config_groups(CONF)
LAMP = str(Path(__file__).parents[1] / "fixtures" / "lamp_mini" / "LaMP_3")
TABLE = ("experiment=lamp_small", "data=table", f"data.path={Path(__file__)}")
EXPERIMENTS, ABLATIONS = GROUPS["experiment"], GROUPS["ablation"]

# Where a group that is used inside another stands in the whole; the others stand at their own name.
PLACES = {
    "reward/term": "reward/term@reward.terms.prmu",
    "rl/stage": "rl/stage@rl.stages.guided",
    "rl/schedule": "rl/schedule@rl.stages.guided.schedule",
    "schedule": "schedule@sft.optimizer.schedule",
    "optimizer": "optimizer@sft.optimizer",
    "data/gates": "data/gates@data.gates.smoke",
}
# `rl/common` is a part of every option of `rl`; experiments, each with its data, and ablations are composed in full.
NOT_COMBINED = {"rl", "rl/common", "data", "experiment", "ablation", "sweep"}
# What an option cannot know: paths of the user's own.
NEEDS = {
    "backbone=hf": ["backbone.path=owner/name"],
    "teacher=hf": ["teacher.path=owner/name"],
    "teacher=openai": ["teacher.model=any"],
    "tagger=llm": ["tagger.model=any"],
    "pairs=imported": [f"pairs.path={Path(__file__)}", "pairs.task=LaMP_7"],
}


@cache
def compose(*overrides: str) -> DictConfig:
    return composed(overrides)


def preset(experiment: str, ablation: str) -> tuple[str, ...]:
    root = [f"data.root={LAMP}"] if experiment.startswith("lamp") else []
    return (f"experiment={experiment}", *root, f"ablation={ablation}")


@pytest.fixture(scope="module")
def hashes(tmp_path_factory) -> FileHashes:
    return FileHashes(tmp_path_factory.mktemp("hashes") / "known.json")


def graph_of(hashes: FileHashes, *overrides: str) -> Graph:
    rest = [override for override in overrides if not override.startswith("ablation=")]
    return build_graph(compose(*overrides), hashes, lambda ablation: compose(*rest, f"ablation={ablation}"))


_built: set[str] = set()


def build(stages: tuple[Stage, ...]) -> None:
    """What `Executor` builds before a stage runs; each distinct node once."""
    for stage in stages:
        for node in stage.groups.values():
            key = digest(OmegaConf.to_container(node, resolve=True))
            if key not in _built:
                execute._build(node)
                _built.add(key)


def columns() -> list[tuple[str, ...]]:
    """Every option of every group, in as few compositions as the largest group has options; arms of `rl` alone, because
    some lack the stage that the options of its parts are put into."""
    options = {group: options for group, options in GROUPS.items() if group not in NOT_COMBINED}
    found = [(f"rl={option}",) for option in GROUPS["rl"]]
    for i in range(max(map(len, options.values()))):
        column = [f"{PLACES.get(group, group)}={of_group[i % len(of_group)]}" for group, of_group in options.items()]
        found.append((*column, *(need for override in column for need in NEEDS.get(override, []))))
    return found


@pytest.mark.parametrize("overrides", columns(), ids=lambda overrides: overrides[0] + "...")
def test_every_option_of_every_group_composes_and_builds(overrides, hashes):
    check_added_keys(compose(*overrides))
    build(graph_of(hashes, *overrides).stages)


def test_every_kind_of_data_has_an_experiment():
    defaults = {compose(*o).data["_target_"] for o in [*(preset(e, "full") for e in EXPERIMENTS), TABLE]}
    for option in GROUPS["data"]:
        target = yaml.safe_load((CONF / "data" / f"{option}.yaml").read_text())["_target_"]
        assert target in defaults


def test_a_table_of_ones_own_takes_the_place_of_lamps_files(hashes):
    cfg = compose(*TABLE, "data.columns.user=who", "data.columns.date=when")
    check_added_keys(cfg)
    assert (cfg.data.columns.user, cfg.data.columns.text, cfg.data.columns.date) == ("who", "text", "when")
    assert (cfg.teacher["_target_"], cfg.retrieval.k) == ("tagpr.chains.teachers.scripted.ScriptedTeacher", 20)
    build(graph_of(hashes, *TABLE, "ablation=full").stages[:1])


def test_folds_are_swept_one_by_one():
    params = yaml.safe_load((CONF / "sweep" / "folds.yaml").read_text())["hydra"]["sweeper"]["params"]
    folds = [int(fold) for fold in params["data.fold"].split(",")]
    assert folds == list(range(params["data.folds"]))
    cfg = compose(*TABLE, f"data.folds={params['data.folds']}", f"data.fold={folds[-1]}")
    assert (cfg.data.folds, cfg.data.fold) == (5, 4)


def combinations() -> list:
    """Every experiment with every ablation; each preset once in the quick tests, the other combinations in the slow."""
    quick = {("demo", ablation) for ablation in ABLATIONS} | {(experiment, "full") for experiment in EXPERIMENTS}
    return [
        pytest.param(*pair, marks=() if pair in quick else pytest.mark.slow)
        for pair in itertools.product(EXPERIMENTS, ABLATIONS)
    ]


@pytest.mark.parametrize("experiment, ablation", combinations())
def test_every_ablation_of_every_experiment_composes_and_builds(experiment, ablation, hashes):
    cfg = compose(*preset(experiment, ablation))
    assert (cfg.experiment_name, cfg.run_name) == (experiment, ablation)
    assert not OmegaConf.missing_keys(cfg)
    build(graph_of(hashes, *preset(experiment, ablation)).stages)


def test_a_demo_of_the_full_method_is_the_default():
    assert compose() == compose(*preset("demo", "full"))


def test_the_sweep_of_ablations_names_every_ablation():
    sweep = yaml.safe_load((CONF / "sweep" / "ablations.yaml").read_text())
    assert sorted(sweep["hydra"]["sweeper"]["params"]["ablation"].split(",")) == sorted(ABLATIONS)


def test_help_lists_every_group_and_no_schema():
    text = help_text(CONF)
    assert "  ablation: agnostic_prmu, direct_answer, full" in text
    assert all(f"  {group}: " in text for group in GROUPS)
    assert "schema_" not in text


# --- no dead options -------------------------------------------------------------------------------------------------


def nodes(cfg: DictConfig):
    yield cfg
    for key in cfg:
        if isinstance(cfg[key], DictConfig):
            yield from nodes(cfg[key])


def composed_configs() -> list[DictConfig]:
    presets: list[tuple[str, ...]] = (
        [preset(e, "full") for e in EXPERIMENTS] + [preset("demo", a) for a in ABLATIONS] + [TABLE]
    )
    return [compose(*overrides) for overrides in [*columns(), *presets]]


def test_every_field_of_every_schema_is_set_by_some_option():
    given = set()
    for cfg in composed_configs():
        for node in nodes(cfg):
            kind = OmegaConf.get_type(node)
            if isinstance(kind, type) and dataclasses.is_dataclass(kind):
                for parent in kind.__mro__:
                    given |= {(parent.__name__, key) for key in node if not OmegaConf.is_missing(node, key)}
    declared = {
        (kind.__name__, field.name)
        for kind in vars(schema).values()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == schema.__name__
        for field in dataclasses.fields(kind)
    }
    assert declared - given == set()


def read_names() -> set[str]:
    """Every name that the package reads as an attribute or takes as an argument, the schema itself apart."""
    names = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name != "schema.py":
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute):
                    names.add(node.attr)
                elif isinstance(node, ast.FunctionDef):
                    names |= {a.arg for a in node.args.kwonlyargs}
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    names.add(node.value)
    return names


def test_every_key_is_read_somewhere():
    keys = {
        field.name
        for kind in vars(schema).values()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind)
        for field in dataclasses.fields(kind)
    }
    assert keys - read_names() - {"_target_", "_partial_"} == set()


def test_what_is_built_takes_its_values_by_keyword_and_has_no_defaults():
    targets = {node["_target_"] for cfg in composed_configs() for node in nodes(cfg) if "_target_" in node}
    assert len(targets) > 30
    for name in sorted(targets):
        made = get_object(name)
        if isinstance(made, type) and dataclasses.is_dataclass(get_class(name)):
            for field in dataclasses.fields(made):
                assert field.default is field.default_factory is dataclasses.MISSING, f"{name}.{field.name}"
                assert field.kw_only, f"{name}.{field.name}"
        else:
            parameters = inspect.signature(made).parameters.values()
            assert [p.name for p in parameters if p.default is not p.empty] == [], name


# --- what shares what ------------------------------------------------------------------------------------------------


def prints(graph: Graph) -> dict[str, str]:
    """Stage -> fingerprint for the run's own training path, and for each row and decoding of the table."""
    found: dict[str, str] = {}

    def visit(stage: Stage) -> None:
        found[stage.name] = stage.fingerprint
        for source in stage.inputs.values():
            visit(source)

    for policy in graph.policies.values():
        visit(policy)
    for row in graph.rows:
        found |= {f"evaluate {row.name} {decoding}": stage.fingerprint for decoding, stage in row.stages.items()}
    return found


def shared(hashes: FileHashes, *overrides: str) -> set[str]:
    """Stages that a run has in common with the demo's full method."""
    full, other = (prints(graph_of(hashes, *o)) for o in (("experiment=demo",), ("experiment=demo", *overrides)))
    return {name for name in full if full[name] == other.get(name)}


TRAINED = {"records", "chains", "sft", "pairs", "prmu", "rl_guided", "rl_exploratory"}


def only_trained(names: set[str]) -> set[str]:
    return {name for name in names if not name.startswith("evaluate ")}


@pytest.mark.parametrize(
    "ablation, common",
    [
        ("full", TRAINED),
        ("no_tag_reward", {"records", "chains", "sft", "pairs", "prmu"}),
        ("single_stage", {"records", "chains", "sft", "pairs", "prmu"}),
        ("agnostic_prmu", {"records", "chains", "sft", "pairs"}),
        ("no_prmu", {"records", "chains", "sft"}),
        ("rejection_sampling", {"records", "chains", "sft"}),
        ("sft_only", {"records", "chains", "sft"}),
        ("direct_answer", {"records"}),
        ("untagged_chains", {"records"}),
    ],
)
def test_ablations_of_one_seed_share_what_their_settings_agree_on(ablation, common, hashes):
    assert only_trained(shared(hashes, f"ablation={ablation}")) == common


def test_what_is_not_wanted_is_not_in_the_graph(hashes):
    wanted = ("no_prmu", "sft_only", "single_stage", "rejection_sampling", "full")
    stages = {a: {stage.name for stage in graph_of(hashes, *preset("demo", a)).stages} for a in wanted}
    assert stages["no_prmu"] == {"records", "chains", "sft", "rl_guided", "rl_exploratory", "evaluate"}
    assert stages["sft_only"] == {"records", "chains", "sft", "evaluate"}
    assert stages["single_stage"] == {"records", "chains", "sft", "pairs", "prmu", "rl_single", "evaluate"}
    assert stages["rejection_sampling"] == {"records", "chains", "sft", "rl_exploratory", "evaluate"}
    assert stages["full"] == {*TRAINED, "evaluate"}


def test_another_seed_shares_nothing(hashes):
    assert shared(hashes, "seed=1") == set()


def test_where_and_how_a_run_is_watched_changes_no_fingerprint_and_no_run_key(hashes):
    silent = ("trainer.checkpoint_every=7", "trainer.keep_last=1", "trainer.threads=1", "paths.runs=x", "logger=none")
    assert shared(hashes, *silent) == set(prints(graph_of(hashes, "experiment=demo")))
    full, same, other = (run_key(compose("experiment=demo", *o), {}) for o in ((), silent, ("seed=1",)))
    assert full == same != other
    assert run_key(compose("experiment=demo"), {"dev_questions.json": "ab12"}) != full


def test_where_an_endpoint_stands_and_how_it_is_waited_for_changes_no_fingerprint(hashes):
    asked = ("experiment=demo", "teacher=openai", "teacher.model=m", "tagger=llm")
    plain = prints(graph_of(hashes, *asked))
    silent = ("base_url=http://a/v1", "key_env=null", "concurrency=2", "timeout_s=9", "retries=1", "longest_wait_s=5")
    assert prints(graph_of(hashes, *asked, *(f"teacher.{setting}" for setting in silent))) == plain
    for setting in ("teacher.model=other", "teacher.temperature=0.1", "tagger.attempts=9", "teacher.max_failed=1"):
        assert prints(graph_of(hashes, *asked, setting))["chains"] != plain["chains"], setting


def test_another_teacher_changes_the_chains_and_all_that_comes_after(hashes):
    same = shared(hashes, "teacher.habit=0.6")
    assert only_trained(same) == {"records"}
    assert same - {"records"} == {
        f"evaluate {row} {decoding}" for row in ("base", "base_think", "base_bm25") for decoding in ("greedy", "sample")
    }


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "override, expected",
    [
        ("ablation=no_prmuu", "ablation=no_prmuu: there is no such option. Did you mean no_prmu"),
        ("experiment=demoo", "Did you mean demo? Options of experiment: demo, lab, lamp_small, lamp_smoke, smoke"),
        ("prmu/arch=bilinaer", "Did you mean bilinear?"),
        ("prmu/arch@prmu.arch=bilinear", "nothing is chosen at 'prmu/arch@prmu.arch'. Did you mean prmu/arch=...?"),
        ("data=lamp", "experiment=demo sets data.size, which the chosen option of data does not have."),
        ("reward/term@reward.terms.tag=nonee", "Did you mean none?"),
        ("demo", "'demo' cannot be read as an override. Overrides look like key=value, e.g. experiment=demo"),
        ("ablation=full,no_prmu", "several values. For one run per value: tagpr -m ablation=full,no_prmu"),
        ("evaluation.rows={}", "Take its entries out one by one with ~evaluation.rows.ENTRY"),
        ("rl=null", "rl=null: a group needs one of its options. Options of rl: exploratory_only, guided_only"),
        ("--experiment=demo", "settings are given without dashes, write experiment=demo"),
        ("--plan", "settings are given without dashes, write plan=..."),
    ],
)
def test_a_wrong_option_names_the_right_ones(override, expected):
    assert expected in message(override)


@pytest.mark.parametrize(
    "override, expected",
    [
        ("sft.stesp=3", "there is no key 'sft.stesp'. Did you mean sft.steps"),
        ("rl.stages.guided.weigths.tag=1", "Did you mean rl.stages.guided.weights"),
        ("ablatoin=full", "there is no key 'ablatoin'. Did you mean ablation"),
        ("seed=abc", "seed: Value 'abc' of type 'str' could not be converted to Integer."),
        ("evaluation.people.splits=test", "evaluation.people.splits: "),
        ("+plan=true", "the key 'plan' is there already: leave the + away, plan=..."),
        ("+sft.stesp=3", "there is no key 'sft.stesp'. Did you mean steps? Keys of sft: "),
    ],
)
def test_a_wrong_key_or_value_names_the_right_one(override, expected, monkeypatch):
    monkeypatch.setattr(config_errors, "_composed", lambda arguments, conf: compose("experiment=demo"))
    assert expected in message(override)


def test_keys_are_looked_up_in_the_options_that_were_chosen():
    text = message("experiment=lamp_small", "data.rot=x")
    assert "there is no key 'data.rot'. Did you mean data.root" in text


def message(*arguments: str) -> str:
    def attempt() -> None:
        check_arguments(arguments, CONF)
        check_added_keys(compose(*arguments))

    with pytest.raises((UserError, *CONFIG_ERRORS)) as caught:
        attempt()
    text = str(caught.value) if isinstance(caught.value, UserError) else explain(caught.value, arguments, CONF)
    assert "\n" not in text
    assert not re.search(r"schema_|_target_|Traceback", text)
    return text


def test_every_listed_contrast_of_the_laboratory_has_rows_to_test(hashes):
    contrasts = compose("experiment=lab", "ablation=full").evaluation.contrasts
    assert len(contrasts) == 8
    for one in contrasts.values():
        for name in (one.row, one.against):
            arm, _, row = name.rpartition("/")
            graph = graph_of(hashes, "experiment=lab", f"ablation={arm or 'full'}")
            assert row in [own.name for own in graph.rows], name
            assert compose("experiment=lab", f"ablation={arm or 'full'}").run_name == (arm or "full")


def test_what_is_tested_changes_no_stage(hashes):
    plain = graph_of(hashes, "experiment=demo")
    other = graph_of(hashes, "experiment=demo", "evaluation.contrasts.guided.against=base")
    assert [stage.fingerprint for stage in plain.stages] == [stage.fingerprint for stage in other.stages]
