"""`tagpr ... teacher=hf`: from the command line to chains on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tagpr.storage import read_chains, read_json, read_rejected_chains
from tests.conftest import Answer

LAMP = Path(__file__).parents[2] / "fixtures" / "lamp_mini" / "LaMP_3"
SAYING = ("engine@teacher.engine=hf", "teacher.engine._target_=tests.chains.teachers.saying.SayingEngine")


@pytest.fixture
def chains(tagpr: Callable[..., Answer], tiny_teacher: Path, tmp_path: Path) -> Callable[..., Answer]:
    return lambda *more: tagpr(
        "experiment=lamp_small", f"data.root={LAMP}", "until=chains", "logger=none", f"paths.runs={tmp_path}",
        "teacher=hf", f"teacher.path={tiny_teacher}", *more,
    )  # fmt: skip


def test_a_local_model_writes_the_chains_of_a_run(chains: Callable[..., Answer], tmp_path: Path) -> None:
    answer = chains(*SAYING, "teacher.max_new_tokens=100")
    assert answer.code == 0, answer.err
    (manifest,) = (tmp_path / "cache" / "chains").glob("*/manifest.json")
    folder, counts = manifest.parent, read_json(manifest)["counts"]
    written = [*read_chains(folder), *read_rejected_chains(folder)]
    assert {chain.teacher for chain in written} == {"hf"}
    assert (counts["chains_not_had"], counts["teacher_unreadable"], counts["teacher_truncated"]) == (0, 0, 0)
    assert counts["teacher_generated_tokens"] == 5 * len(written) > 0
    assert "<1> shows what this person minds." in written[0].completion
    assert {chain.answer for chain in written} > {"1", "5"}


def test_a_model_that_writes_nothing_readable_ends_the_run_with_a_reason(chains: Callable[..., Answer]) -> None:
    answer = chains("teacher.max_new_tokens=4")
    assert answer.code == 1
    assert "None of the teacher's first" in answer.err
    assert "none of a train person's could be read: nothing to teach (teacher_generated_tokens" in answer.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["teacher.path=???"], "no value for teacher.path"),
        (["teacher.path=no/such/folder"], "no folder at no/such/folder: expected a Hugging Face folder"),
        (["teacher.max_new_tokens=2000"], "teacher.max_new_tokens=2000, but"),
        (["teacher.temperature=-1"], "teacher: sampling is"),
    ],
)
def test_mistakes_are_named(chains: Callable[..., Answer], given: list[str], said: str) -> None:
    answer = chains(*given)
    assert answer.code in (1, 2)
    assert said in answer.err
