"""A finished run opened for a look inside: the stages that made its policies, and its prompts as they were built."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tagpr.analysis.runs import Artifact, Evaluation, Row, Run, read_run
from tagpr.chains.tags import TagVocabulary
from tagpr.data.official_prompt import OfficialStyle
from tagpr.data.prompts import ChatStyle, CompactStyle, PromptBuilder, PromptStyle, QuestionStyle
from tagpr.errors import BadInputError

# By name and not by import: what a manifest says is data, never code to run.
_STYLES = {
    f"{style.__module__}.{style.__name__}": style for style in (CompactStyle, ChatStyle, QuestionStyle, OfficialStyle)
}


def open_run(place: str | Path | None) -> Run:
    """The newest run in a folder, which may be a run's own.

    Args:
        place: relative to the working folder or to the one above it, so that it works from the repository's root and
            from `notebooks/`; None: `runs`.
    Raises:
        BadInputError: no finished run there.
    """
    wanted = Path("runs" if place is None else place)
    folders = list(dict.fromkeys(base / wanted for base in (Path.cwd(), Path.cwd().parent)))
    found = [(folder, path) for folder in folders for path in folder.rglob("run.json")]
    # Only the newest is read: an older one that is damaged must not stand in its way.
    finished = [path for folder, path in found if "cache" not in path.relative_to(folder).parts]
    if not finished:
        raise BadInputError(
            f"There is no finished run in {' or '.join(map(str, folders))}. Run `make demo` (or `tagpr "
            "experiment=smoke`, which is quicker) first, or set RUN to the folder of a run."
        )
    return read_run(max(finished, key=lambda path: path.stat().st_mtime).parent)


def own_rows(run: Run) -> dict[str, Row]:
    """The run's rows without those that `evaluation.compare` borrows from other arms."""
    path = run.folder / "config.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    borrowed = (settings.get("evaluation") or {}).get("compare") or {}
    return {name: row for name, row in run.rows.items() if name not in borrowed}


def own_stages(run: Run) -> dict[str, Artifact]:
    """Name -> stage, along the longest path that the run itself went: records, chains, sft, ..."""
    path = max((row.stages for row in own_rows(run).values()), key=len)
    return {"records": run.records, **{stage.stage: stage for stage in path}}


def prompt_builder(run: Run) -> PromptBuilder:
    """What the run's policies read: the prompts of its last row that shows history."""
    return row_builder(*_fullest(run))


def row_builder(row: Row, evaluation: Evaluation) -> PromptBuilder:
    """What a row's policy read when it was evaluated."""
    config = evaluation.manifest["config"]
    policy = row.stages[-1].folder / "policy" if row.stages else config["backbone"].get("path")
    return builder_of(config["prompt"], policy, said_by=evaluation.folder / "manifest.json")


def builder_of(prompt: Mapping[str, Any], policy: str | Path | None, *, said_by: Path) -> PromptBuilder:
    """Prompts as a stage's settings describe them.

    Args:
        prompt: the stage's group of that name.
        policy: whose tokenizer counts; None: the shipped base's.
        said_by: the file that holds the settings, for the error.
    Raises:
        BadInputError: a prompt style that the project does not have.
    """
    settings = dict(prompt)
    target = settings.pop("_target_")
    if target not in _STYLES:
        raise BadInputError(f"{said_by} names the prompt style {target}, which is not known.")
    style: PromptStyle = _STYLES[target](**settings)
    with warnings.catch_warnings():
        # In a notebook without ipywidgets tqdm says so when it is imported; no bar is drawn here.
        warnings.filterwarnings("ignore", message="IProgress not found")
        from tagpr.lm.backbone import load_tokenizer, tiny_base_path  # torch: not before it is needed

    return PromptBuilder(style=style, tokenizer=load_tokenizer(policy or tiny_base_path()))


def tag_vocabulary(run: Run) -> TagVocabulary:
    """The tags that the run's policies were taught."""
    return TagVocabulary(names=_fullest(run)[1].manifest["config"]["tags"]["names"])


def _fullest(run: Run) -> tuple[Row, Evaluation]:
    rows = [(row, one) for row in reversed(own_rows(run).values()) for one in row.evaluations.values()]
    return max(rows, key=lambda pair: pair[1].entries_shown)
