from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tagpr.chains.filters import REASONS, ChainFilter
from tagpr.chains.stage import ChainSettings, run, with_train_people
from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import TagVocabulary, parse
from tagpr.chains.teachers.base import RawChain, Teacher
from tagpr.chains.teachers.scripted import ScriptedTeacher
from tagpr.context import StageContext
from tagpr.data.prompts import CompactStyle
from tagpr.errors import BadInputError
from tagpr.lm.backbone import load_tokenizer, tiny_base_path
from tagpr.storage import read_chains, read_records, read_rejected_chains, write_records
from tagpr.types import Prompt, Record

SIX = ("examine_examples", "identify_patterns", "infer_preference", "analyze_query", "apply_preference", "verify_fit")
REVIEWS = (
    ("a hinge that broke", "2"),
    ("a weak hinge again", "2"),
    ("warm novel on the sea", "5"),
    ("a lamp of brass", "4"),
)


@dataclass(frozen=True)
class TokenizerOnly:
    """As much of a backbone as the stage may use."""

    def tokenizer(self) -> object:
        return load_tokenizer(tiny_base_path())


@pytest.fixture
def records(tmp_path: Path, prompt_of: Callable[..., Prompt]) -> Path:
    def record(number: int, **changes: object) -> Record:
        made = prompt_of("LaMP_3", REVIEWS, "this lamp has a weak hinge", "2", record_id=f"r{number}").record
        return replace(made, **changes)

    everyone = [record(number) for number in range(12)]
    everyone += [record(20, gold=None), record(21, purpose="rl")]
    everyone += [record(number, split="dev", purpose="dev") for number in range(30, 35)]
    everyone += [record(40, split="test", purpose="test")]
    write_records(tmp_path / "records", everyone)
    return tmp_path / "records"


class SilentTeacher(Teacher):
    """Nothing that it says about the named split can be read."""

    name = "silent"

    def __init__(self, *, about: str) -> None:
        self.about = about

    def chains(self, prompt: Prompt, *, num_samples: int, seed: int) -> list[RawChain]:
        if prompt.record.split == self.about:
            return []
        return [RawChain(steps=("<1> is low",), answer="2", habitual=False)] * num_samples

    def spent(self) -> dict[str, int]:
        return {"teacher_unreadable": 7}


def make_chains(
    records: Path,
    output: Path,
    *,
    teacher: Teacher | None = None,
    names: tuple[str, ...] = SIX,
    thinking: bool = True,
    habit: float = 0.5,
    train_people: int | None = None,
) -> dict:
    output.mkdir()
    return run(
        teacher=teacher or ScriptedTeacher(habit=habit, error_rate=0.2, examples=2, typical_rating="4"),
        tagger=RulesTagger(),
        tags=TagVocabulary(names=names),
        prompt=CompactStyle(thinking=thinking, history_tokens=200, entry_tokens=60, query_tokens=60, order="ranked"),
        backbone=TokenizerOnly(),  # type: ignore[arg-type]
        chains=ChainSettings(
            num_samples=3,
            dev_records=4,
            train_people=train_people,
            filter=ChainFilter(
                strictness=0.5,
                text_quantile=0.5,
                min_words=4,
                max_words=200,
                max_copied_share=0.3,
                duplicate_overlap=0.95,
            ),
        ),
        inputs={"records": records},
        output=output,
        context=StageContext(stage="chains", seed=1, checkpoints=output / "checkpoints"),
    )


def test_every_chain_is_counted_once_and_keeps_its_reason(records: Path, tmp_path: Path) -> None:
    counts = make_chains(records, tmp_path / "out")
    kept, rejected = read_chains(tmp_path / "out"), read_rejected_chains(tmp_path / "out")
    assert len(kept) + len(rejected) == (12 + 4) * 3
    assert counts["chains_written"] == 36
    assert counts["chains_written"] - counts["chains_kept"] == sum(counts[f"rejected_{reason}"] for reason in REASONS)
    assert counts["chains_kept"] + counts["chains_kept_dev"] == len(kept)
    assert {chain.rejected for chain in rejected} <= set(REASONS)
    assert counts["rejected_wrong_answer"] > 0
    assert counts["gold_labels"] == 12
    used = {chain.record_id for chain in [*kept, *rejected]}
    assert used <= {f"r{n}" for n in [*range(12), *range(30, 35)]}
    assert len({(chain.record_id, chain.sample_index) for chain in [*kept, *rejected]}) == len(kept) + len(rejected)
    assert all(parse(chain.completion, TagVocabulary(names=SIX), True).g_tags for chain in kept)


def test_the_teachers_habit_shows_in_its_scores(records: Path, tmp_path: Path) -> None:
    counts = make_chains(records, tmp_path / "out")
    assert counts["teacher_habitual_score"] == pytest.approx(0.5)  # says 4, gold is 2
    assert counts["teacher_habitual_good"] == 0.0
    assert counts["teacher_honest_good"] > 0.0
    (task,) = {chain.task for chain in read_chains(tmp_path / "out")}
    assert counts[f"teacher_habitual_score/{task}"] == counts["teacher_habitual_score"]
    assert counts[f"teacher_honest_score/{task}"] == counts["teacher_honest_score"]
    assert "teacher_habitual_score" not in make_chains(records, tmp_path / "honest", habit=0.0)


def test_arms_with_tags_without_and_without_thinking_keep_the_same_chains(records: Path, tmp_path: Path) -> None:
    arms = {"six": (SIX, True), "three": (SIX[::2], True), "untagged": ((), True), "direct": ((), False)}
    kept = {}
    for name, (names, thinking) in arms.items():
        make_chains(records, tmp_path / name, names=names, thinking=thinking)
        kept[name] = read_chains(tmp_path / name)
    same = [(chain.record_id, chain.sample_index, chain.answer) for chain in kept["six"]]
    assert all([(c.record_id, c.sample_index, c.answer) for c in chains] == same for chains in kept.values())
    assert all(chain.completion == chain.answer for chain in kept["direct"])
    assert all("_" not in chain.completion for chain in kept["untagged"])


def test_the_same_seed_gives_the_same_files(records: Path, tmp_path: Path) -> None:
    make_chains(records, tmp_path / "one")
    make_chains(records, tmp_path / "two")
    assert read_chains(tmp_path / "one") == read_chains(tmp_path / "two")


def test_nothing_to_write_for_is_an_error(tmp_path: Path, prompt_of: Callable[..., Prompt]) -> None:
    write_records(tmp_path / "records", [replace(prompt_of("LaMP_3", REVIEWS, "a lamp", "2").record, purpose="rl")])
    with pytest.raises(BadInputError, match="purpose sft"):
        make_chains(tmp_path / "records", tmp_path / "out")


def test_a_teacher_of_whom_nothing_can_be_read_is_an_error_that_says_so(records: Path, tmp_path: Path) -> None:
    with pytest.raises(
        BadInputError, match=r"^of 48 chains asked of the teacher silent, none of a train .*: nothing to teach "
        r"\(teacher_unreadable 7\)\. .* is kept in .*teacher\.$",
    ):  # fmt: skip
        make_chains(records, tmp_path / "out", teacher=SilentTeacher(about="train"))
    counts = make_chains(records, tmp_path / "no_dev", teacher=SilentTeacher(about="dev"))
    assert (counts["chains_written"], counts["chains_not_had"], counts["teacher_unreadable"]) == (36, 12, 7)


def test_fewer_train_people_are_part_of_more(records: Path) -> None:
    people = [replace(record, user_id=f"u{i % 6}") for i, record in enumerate(read_records(records, ("train", "dev")))]
    chosen = {}
    for number in (1, 3, 6):
        kept = with_train_people(people, number, seed=1)
        chosen[number] = {record.user_id for record in kept if record.split == "train"}
        assert len(chosen[number]) == number
        assert [r for r in kept if r.split == "dev"] == [r for r in people if r.split == "dev"]
        assert [r for r in people if r.split == "train" and r.user_id in chosen[number]] == [
            r for r in kept if r.split == "train"
        ]
    assert chosen[1] < chosen[3] < chosen[6]
    assert with_train_people(people, None, seed=1) == people
    assert any({r.user_id for r in with_train_people(people, 1, seed=s) if r.split == "train"} != chosen[1]
               for s in range(2, 8))  # fmt: skip
    for number in (0, 7):
        with pytest.raises(BadInputError, match=f"train_people is {number}, expected 1 to 6"):
            with_train_people(people, number, seed=1)


def test_only_chosen_people_get_chains(tmp_path: Path, records: Path) -> None:
    everyone = read_records(records, ("train", "dev"))
    write_records(tmp_path / "several", [replace(record, user_id=record.record_id) for record in everyone])
    counts = make_chains(tmp_path / "several", tmp_path / "few", train_people=5)
    assert counts["chains_written"] == 5 * 3
    assert counts["gold_labels"] == 5
