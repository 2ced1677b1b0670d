"""Which stages a configuration needs, in order: records -> chains -> sft -> pairs -> prmu -> rl_<stage> ... ->
evaluate -> swap, attribution.

A stage is in the graph only if something wanted needs it. Its inputs are other stages, so two configurations that
agree on a part of the path share that part's fingerprints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tagpr.errors import UserError
from tagpr.evaluation.asked import AskedPeople
from tagpr.pipeline.diagnoses import DIAGNOSES, ON_DEV
from tagpr.pipeline.fingerprint import PACKAGE, FileHashes, code_fingerprint, digest, library_versions

_SHARED = ("types", "markup", "storage", "tasks")
_READING = (*_SHARED, "data")
_WRITING = (*_READING, "chains/tags", "chains/overlap", "lm")
_EVALUATING = tuple(
    f"evaluation/{name}" for name in ("asked", "predict", "references", "ridge", "samples", "shown", "stage")
)
# Rooms whose code can change a stage's result; the stage's own and those before it that it calls.
ROOMS: dict[str, tuple[str, ...]] = {
    "records": _READING,
    "chains": (*_READING, "chains", "lm/backbone"),
    "generated_chains": (*_READING, "chains", "lm"),  # the teacher is a model that this machine asks
    "sft": (*_WRITING, "training", "sft"),
    "pairs": (*_WRITING, "prmu/pairs", "prmu/pairs_stage", "prmu/shortcuts"),
    "imported_pairs": (
        *_READING, "prmu/imported_pairs", "prmu/imported_stage", "prmu/pairs", "prmu/person_files", "prmu/shortcuts",
    ),
    "prmu": (*_READING, "lm", "training", "prmu"),
    "rl": (*_WRITING, "chains/claims", "training", "prmu", "rl"),
    "evaluate": (*_WRITING, *_EVALUATING),
    "swap": (
        *_WRITING, *_EVALUATING, "evaluation/statistics", "evaluation/spread", "evaluation/swap",
        "evaluation/specificity", "evaluation/swap_stage",
    ),
    "attribution": (
        *_WRITING, *_EVALUATING, "chains/claims", "evaluation/statistics", "evaluation/partial",
        "evaluation/paraphrase", "evaluation/attribution", "evaluation/attribution_effects",
        "evaluation/attribution_stage",
    ),
}  # fmt: skip
ENTRIES = {
    "records": "tagpr.data.stage", "chains": "tagpr.chains.stage", "generated_chains": "tagpr.chains.stage",
    "sft": "tagpr.sft.stage", "pairs":
    "tagpr.prmu.pairs_stage", "imported_pairs": "tagpr.prmu.imported_stage", "prmu": "tagpr.prmu.stage",
    "rl": "tagpr.rl.stage", "evaluate": "tagpr.evaluation.stage",
    "swap": "tagpr.evaluation.swap_stage", "attribution": "tagpr.evaluation.attribution_stage",
}  # fmt: skip

# Of a model behind an endpoint, which its name tells from others: a server that was started anew elsewhere is the same.
_ASKING = frozenset({"base_url", "key_env", "concurrency", "timeout_s", "retries", "first_wait_s", "longest_wait_s"})
# Settings that cannot change a result: they stay out of fingerprints and run keys.
SILENT: dict[str, frozenset[str]] = {
    "trainer": frozenset({"checkpoint_every", "keep_last", "log_every", "threads"}),
    "data": frozenset({"root", "path"}),  # the files' contents count instead
    "pairs": frozenset({"path", "histories"}),
    **dict.fromkeys(("teacher", "tagger"), _ASKING),
    **dict.fromkeys(DIAGNOSES, frozenset({"policies"})),  # each is a stage of its own
}


def without_silent(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Plain settings by group, less what cannot change a result."""
    return {
        name: {key: one for key, one in value.items() if key not in SILENT[name]}
        if name in SILENT and isinstance(value, Mapping)
        else value
        for name, value in settings.items()
    }


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One node of the graph.

    Args:
        kind: the key of ROOMS and ENTRIES.
        name: its folder in the cache: the kind, or `rl_<stage>`.
        label: what people read: the name, for evaluations with the row and decoding.
        groups: keyword of the stage's `run` -> config node.
        inputs: name of the input -> the stage that makes it.
        seed: of the stage's random stream.
        files: content hashes of what it reads from outside the cache.
    """

    kind: str
    name: str
    label: str
    groups: Mapping[str, DictConfig]
    inputs: Mapping[str, Stage]
    seed: int
    files: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The resolved config that counts in the fingerprint."""
        return without_silent({name: OmegaConf.to_container(node, resolve=True) for name, node in self.groups.items()})

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that the fingerprint is a hash of."""
        return {
            "stage": self.name,
            "config": self.settings,
            "inputs": {name: stage.fingerprint for name, stage in self.inputs.items()},
            "code": code_fingerprint(ROOMS[self.kind]),
            "files": dict(self.files),
            "versions": library_versions(),
            "seed": self.seed,
        }

    @cached_property
    def fingerprint(self) -> str:
        """24 hexadecimal digits that stand for the result."""
        return digest(self.identity)[:24]

    def __hash__(self) -> int:
        return hash((self.name, self.fingerprint))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and (self.name, self.fingerprint) == (other.name, other.fingerprint)


@dataclass(frozen=True, kw_only=True)
class EvaluatedRow:
    """One row of the table: a policy's name, its evaluate stage for each decoding, and what was asked beside."""

    name: str
    policy: Stage | None  # None: the backbone itself
    stages: Mapping[str, Stage]  # decoding -> evaluate stage
    diagnostics: Mapping[str, Stage] = field(default_factory=dict)  # one of DIAGNOSES, or ON_DEV -> its stage


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What a run wants: the rows of its table, and every stage that they need."""

    rows: tuple[EvaluatedRow, ...]
    policies: Mapping[str, Stage]  # sft, rl_guided, ...
    prmu: Stage | None
    stages: tuple[Stage, ...]  # each after its inputs


def stream_seed(seed: int, stream: str) -> int:
    """The seed of a named random stream: unrelated streams for neighbouring seeds and for different stages of one
    seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:4], "big") >> 1


def build_graph(cfg: DictConfig, hashes: FileHashes, variant: Callable[[str], DictConfig]) -> Graph:
    """The graph of one configuration.

    Args:
        cfg: the composed configuration.
        hashes: content hashes of data files.
        variant: composes the same run under another `ablation`, for `evaluation.compare`.
    Raises:
        UserError: contradictory configuration.
    """
    policies, prmu = _policies(cfg, hashes)
    rows = _with_diagnostics(cfg, _own_rows(cfg, hashes, policies), policies)
    for name, other in cfg.evaluation.compare.items():
        other_cfg = variant(other.ablation)
        other_policies, _ = _policies(other_cfg, hashes, arm=str(name))
        policy = _policy_named(other.policy, other_policies, f"evaluation.compare.{name}.policy")
        rows.append(_row(str(name), other_cfg, hashes, policy, history=True, thinking=None, entries=None))
    wanted = [stage for row in rows for stage in (*row.stages.values(), *row.diagnostics.values())]
    wanted += policies.values()
    return Graph(rows=tuple(rows), policies=policies, prmu=prmu, stages=_in_order(wanted))


def _records(cfg: DictConfig, hashes: FileHashes) -> Stage:
    # The seed is the stage's, not the source's: real people keep theirs whatever the run's seed.
    data = OmegaConf.masked_copy(cfg.data, [key for key in cfg.data if key != "seed"])
    root = cfg.data.get("root")
    files = {}
    if root is not None:
        if not Path(root).is_dir():
            raise UserError(
                f"data.root={root} is not a folder. Give the folder that holds LaMP's files, e.g. "
                "data.root=/data/LaMP with LaMP_3/dev/dev_questions.json in it."
            )
        files = hashes.folder(Path(root), ["*_questions.json", "*_outputs.json"])
    path = cfg.data.get("path")
    if path is not None:
        table = Path(path).expanduser()
        if not table.is_file():
            raise UserError(
                f"data.path={path} {'is a folder' if table.is_dir() else 'does not exist'}. Give the file that holds "
                "the table, e.g. data.path=reviews.csv."
            )
        files = {f"table{table.suffix.lower()}": hashes.sha256(table)}
    return Stage(
        kind="records", name="records", label="records", groups={"data": data, "retrieval": cfg.retrieval},
        inputs={}, seed=stream_seed(cfg.data.seed, "records"), files=files,
    )  # fmt: skip


_MODEL_FILES = ("*.safetensors", "*.json", "*.jinja")


def _backbone_files(cfg: DictConfig, hashes: FileHashes) -> dict[str, str]:
    """Content of the backbone: its folder where it is one, the shipped base's recorded hash where it is that."""
    path = cfg.backbone.get("path")
    return hashes.folder(PACKAGE / "lm" / "tiny_base" if path is None else Path(path), _MODEL_FILES)


def _chains(cfg: DictConfig, hashes: FileHashes, records: Stage, label: str) -> Stage:
    """A teacher that this machine generates with counts by its files and by the code that generates; a model of the
    hub counts by its name."""
    generates = "engine" in cfg.teacher
    files = hashes.folder(Path(cfg.teacher.path), _MODEL_FILES) if generates else {}
    groups = ("backbone", "prompt", "tags", "teacher", "tagger", "chains")
    return Stage(
        kind="generated_chains" if generates else "chains", name="chains", label=label,
        groups={name: cfg[name] for name in groups}, inputs={"records": records}, seed=stream_seed(cfg.seed, "chains"),
        files={**_backbone_files(cfg, hashes), **{f"teacher/{name}": one for name, one in files.items()}},
    )  # fmt: skip


def _policies(cfg: DictConfig, hashes: FileHashes, arm: str = "") -> tuple[dict[str, Stage], Stage | None]:
    """The policies of one configuration and its PRMU; `arm` tells another preset's stages apart in what people read."""
    suffix = f" of {arm}" if arm else ""
    base = _backbone_files(cfg, hashes)
    records = _records(cfg, hashes)

    def stage(name: str, groups: list[str], inputs: dict[str, Stage], files: dict[str, str]) -> Stage:
        return Stage(
            kind=name, name=name, label=name + suffix, groups={g: cfg[g] for g in groups}, inputs=inputs,
            seed=stream_seed(cfg.seed, name), files=files,
        )  # fmt: skip

    chains = _chains(cfg, hashes, records, f"chains{suffix}")
    sft = stage(
        "sft", ["backbone", "adapter", "prompt", "sft", "trainer"], {"records": records, "chains": chains}, base
    )
    policies = {"sft": sft}
    prmu = None
    if any(_uses_prmu(cfg, name) for name in cfg.rl.order):
        if "path" in cfg.pairs:
            pairs = _imported_pairs(cfg, hashes, suffix)
        else:
            # Other people's histories are retrieved.
            groups = ["backbone", "prompt", "tags", "engine", "retrieval", "pairs"]
            pairs = stage("pairs", groups, {"records": records, "sft": sft}, {})
        prmu = stage("prmu", ["backbone", "prmu", "trainer"], {"records": records, "pairs": pairs}, base)
    previous = sft
    for name in cfg.rl.order:
        if name not in cfg.rl.stages:
            raise UserError(f"rl.order names the stage {name!r}, but rl.stages has {sorted(cfg.rl.stages)}.")
        inputs = {"records": records, "policy": previous}
        if _uses_prmu(cfg, name):
            assert prmu is not None
            inputs["prmu"] = prmu
        settings = OmegaConf.masked_copy(cfg.rl, [k for k in cfg.rl if k not in ("stages", "order")])
        names = ("backbone", "adapter", "prompt", "tags", "engine", "reward", "advantage", "policy_loss", "trainer")
        groups = {g: cfg[g] for g in names}
        groups["engine"] = cfg.engine.copy()
        groups["engine"].device = cfg.trainer.accelerator  # it samples where it trains
        previous = Stage(
            kind="rl", name=f"rl_{name}", label=f"rl_{name}{suffix}", inputs=inputs,
            groups={**groups, "rl": settings, "rl_stage": cfg.rl.stages[name]}, seed=stream_seed(cfg.seed,
            f"rl_{name}"), )  # fmt: skip
        policies[previous.name] = previous
    return policies, prmu


def _imported_pairs(cfg: DictConfig, hashes: FileHashes, suffix: str) -> Stage:
    """Outside pairs bring their people: neither records nor a policy go in."""
    for name in ("path", "task"):
        if cfg.pairs[name] is None:
            raise UserError(f"pairs=imported needs pairs.{name}, e.g. pairs.path=preferences.jsonl pairs.task=LaMP_7.")
    files = {}
    for name in ("path", "histories"):
        given = cfg.pairs[name]
        if given is not None:
            place = Path(given).expanduser()
            if not place.is_file():
                raise UserError(f"pairs.{name}={given} is not a file. Give the one that holds the {name}.")
            files[f"{name}{place.suffix.lower()}"] = hashes.sha256(place)
    return Stage(
        kind="imported_pairs", name="pairs", label=f"pairs{suffix}", groups={"pairs": cfg.pairs}, inputs={},
        seed=stream_seed(cfg.seed, "pairs"), files=files,
    )  # fmt: skip


def _uses_prmu(cfg: DictConfig, stage: str) -> bool:
    if stage not in cfg.rl.stages:
        return False
    weight = cfg.rl.stages[stage].weights.get("prmu") or 0.0
    term = cfg.reward.terms.get("prmu")
    return weight > 0 and term is not None and term.get("score") is not None


def _own_rows(cfg: DictConfig, hashes: FileHashes, policies: Mapping[str, Stage]) -> list[EvaluatedRow]:
    rows = []
    for name, row in cfg.evaluation.rows.items():
        policy = (
            None if row.policy == "backbone" else _policy_named(row.policy, policies, f"evaluation.rows.{name}.policy")
        )
        if row.entries is not None and (row.entries < 0 or not row.history):
            raise UserError(
                f"evaluation.rows.{name}.entries={row.entries}, expected 0 or more in a row with history: true, or "
                "null for every retrieved entry that fits."
            )
        shown = {"history": row.history, "thinking": row.thinking, "entries": row.entries}
        rows.append(_row(str(name), cfg, hashes, policy, **shown))
    # Every RL stage of this run is a row: an arm with one stage has one, and a preset need not list them.
    rows += [
        _row(name, cfg, hashes, policy, history=True, thinking=None, entries=None)
        for name, policy in policies.items()
        if policy.kind == "rl"
    ]
    return rows


def _policy_named(name: str, policies: Mapping[str, Stage], where: str) -> Stage:
    if name not in policies:
        raise UserError(f"{where}={name}, but this run makes {['backbone', *policies]}.")
    return policies[name]


def _row(
    name: str, cfg: DictConfig, hashes: FileHashes, policy: Stage | None, *, history: bool, thinking: bool | None,
    entries: int | None,
) -> EvaluatedRow:  # fmt: skip
    prompt = (cfg.prompt if history else cfg.evaluation.question).copy()
    if thinking is not None:
        prompt.thinking = thinking
    records = _records(cfg, hashes)
    inputs = {"records": records} if policy is None else {"records": records, "policy": policy}
    stages = {}
    for decoding, settings in cfg.evaluation.decodings.items():
        groups = {
            "prompt": prompt, "tags": cfg.tags, "engine": cfg.engine, "backbone": cfg.backbone, "decoding": settings,
            "evaluation": _asked(cfg.evaluation.people, entries),
        }  # fmt: skip
        stages[str(decoding)] = Stage(
            kind="evaluate", name="evaluate", label=f"evaluate {name} {decoding}", groups=groups, inputs=inputs,
            seed=stream_seed(cfg.seed, f"evaluate_{decoding}"), files=_backbone_files(cfg, hashes) if policy is None
            else {}, )  # fmt: skip
    beside = {}
    if policy is None and "greedy" in stages:
        greedy = stages["greedy"]
        # Which untrained row gains are measured against is chosen on people whom no table shows.
        beside[ON_DEV] = replace(
            greedy,
            label=f"evaluate {name} {ON_DEV}",
            groups={**greedy.groups, "evaluation": _asked(cfg.evaluation.choice, entries)},
        )
    return EvaluatedRow(name=name, policy=policy, stages=stages, diagnostics=beside)


def _asked(people: DictConfig, entries: int | None) -> DictConfig:
    plain: Any = OmegaConf.to_container(people)
    return OmegaConf.structured(AskedPeople(**plain, entries=entries))


def _with_diagnostics(cfg: DictConfig, rows: list[EvaluatedRow], policies: Mapping[str, Stage]) -> list[EvaluatedRow]:
    """The rows, those whose policies are to be diagnosed with the stages that do it.

    A policy is diagnosed with the run's own prompt, greedily, on the row that evaluates it so.
    """
    found: dict[str, dict[str, Stage]] = {}
    for kind in DIAGNOSES:
        settings = cfg.diagnostics[kind]
        if settings is None:
            continue
        where = f"diagnostics.{kind}.policies"
        named = [[*policies][-1] if name == "last" else name for name in settings.policies]
        for name in dict.fromkeys(named):
            if name not in policies:
                raise UserError(f"{where} names {name}, but this run trains {', '.join(policies)} (or `last`).")
            policy = policies[name]
            row = next((r for r in rows if r.policy is policy and _shows(r, cfg.prompt)), None)
            if row is None:
                raise UserError(
                    f"{where} names {name}, but no row of evaluation.rows evaluates it with the run's own prompt. Add "
                    f"one: evaluation.rows.{name}={{policy: {name}, history: true, thinking: null, entries: null}}."
                )
            records = policy.inputs["records"]
            groups = {
                "prompt": cfg.prompt, "tags": cfg.tags, "engine": cfg.engine, "backbone": cfg.backbone,
                "evaluation": cfg.evaluation.people, kind: settings,
                **({"retrieval": cfg.retrieval} if kind == "swap" else {}),  # other people's histories are retrieved
            }  # fmt: skip
            found.setdefault(row.name, {})[kind] = Stage(
                kind=kind, name=kind, label=f"{kind} {row.name}", groups=groups,
                inputs={"records": records, "policy": policy}, seed=stream_seed(cfg.seed, kind),
            )  # fmt: skip
    return [replace(row, diagnostics={**row.diagnostics, **found.get(row.name, {})}) for row in rows]


def _shows(row: EvaluatedRow, prompt: DictConfig) -> bool:
    return all(
        stage.groups["prompt"] == prompt and stage.groups["evaluation"].entries is None for stage in row.stages.values()
    )


def _in_order(wanted: list[Stage]) -> tuple[Stage, ...]:
    order: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        key = f"{stage.name}/{stage.fingerprint}"
        if key in order:
            return
        for source in stage.inputs.values():
            visit(source)
        order[key] = stage

    for stage in wanted:
        visit(stage)
    # Training first, evaluations last, diagnoses behind them: the order in which a person expects to see them.
    late = ("evaluate", *DIAGNOSES)
    return tuple(sorted(order.values(), key=lambda stage: late.index(stage.kind) + 1 if stage.kind in late else 0))
