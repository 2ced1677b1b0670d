"""Tables about the rows' reasoning, from artifacts made by hand."""

import csv
from dataclasses import replace

import pytest
from rich.console import Console

from tagpr import storage
from tagpr.analysis.attribution import attribution_cells, block_notes
from tagpr.analysis.files import write_sections
from tagpr.analysis.runs import read_run
from tagpr.analysis.sections import sections_of
from tagpr.analysis.tables import TableView, main
from tagpr.chains.tags import TAGS
from tagpr.data.simulated.logic import Rule
from tagpr.evaluation.attribution import NO_CHAIN, UNEDITED, AttributedAnswer
from tagpr.types import ProfileEntry, Record

TRUE_CHAIN = (
    "<think><examine_examples><1> cosy mood snug cosy same mood 1 "
    "<2> lively mood noisy lively same mood 2</examine_examples>"
    "<infer_preference>user : mood , place if no mood</infer_preference>"
    "<apply_preference>so : quiet</apply_preference></think>quiet"
)
FALSE_CHAIN = TRUE_CHAIN.replace("user : mood , place if no mood", "user : theme , mood if no theme")


def person(user: str) -> Record:
    profile = tuple(
        ProfileEntry(entry_id=text, input=text, response=said)
        for text, said in (
            ("a snug cafe by the pier, full of dice", "cosy"),
            ("a noisy cafe by the grove", "lively"),
        )
    )
    return Record(
        record_id=f"q-{user}", user_id=user, task="S2", split="test", purpose="test", question="",
        query="a calm lodge by the ridge, full of drums", gold="quiet", profile=profile, retrieved=(0, 1),
        truth={
            "rule": Rule("lexicographic", "mood", "place", ()).as_json(), "preferred": "quiet", "evidence": [0, 1],
            "noise": 0.08, "families": ["lexicographic"],
        },
    )  # fmt: skip


def answer(user: str, edit: str, *, tag="infer_preference", why_not="", changed=False, score=0.0) -> AttributedAnswer:
    return AttributedAnswer(
        record_id=f"q-{user}", user_id=user, task="S2", tag=tag, edit=edit, why_not=why_not, completion="", answer="",
        parsed=True, changed=changed, score_change=score, written_again=False,
    )  # fmt: skip


@pytest.fixture
def run(folders):
    """ann's chain is true; bob's states another rule and comes to the right answer. A row without thinking beside."""
    folders.records("r0", "simulated")
    storage.write_records(folders.root / "cache" / "records" / "r0", [person("ann"), person("bob")])
    asked = [folders.asked("S2", f"q-{user}", user, "quiet", "cosy", "quiet") for user in ("ann", "bob")]
    for name, answers, thinking in (("e0", ("cosy", "cosy"), False), ("e1", (TRUE_CHAIN, FALSE_CHAIN), True)):
        folders.evaluation(name, asked, answers)
        place = folders.root / "cache" / "evaluate" / name
        config = {"prompt": {"thinking": thinking}, "tags": {"names": list(TAGS)}, "evaluation": {"splits": ["test"]}}
        manifest = storage.read_json(place / "manifest.json") | {"config": config}
        storage.write_json(place / "manifest.json", manifest)
        storage.write_json(place / "shown_entries.json", {"S2": {"q-ann": [0, 1], "q-bob": [0, 1]}})
    folders.stage("sft", "s0", inputs={}, counts={}, cpu_seconds=1.0)
    folder = folders.run(
        {"base": ("backbone", [], {"greedy": "e0"}), "sft": ("sft", [("sft", "s0")], {"greedy": "e1"})}
    )
    place = folders.stage("attribution", "a0", inputs={}, counts={})
    rows = [
        *(answer(user, UNEDITED, tag=NO_CHAIN) for user in ("ann", "bob")),
        answer("ann", "swap", changed=True, score=-1.0),
        answer("bob", "swap"),
        answer("ann", "paraphrase", changed=True, score=-1.0),
        answer("bob", "paraphrase", why_not="no_paraphrase"),
    ]
    storage.write_parquet(place / "attribution.parquet", rows, AttributedAnswer)
    about = {"questions": 3, "left_out": {"no_spans": 1}, "other_tokens": 0, "unedited_changed": 0, "effects": []}
    storage.write_json(place / "attribution.json", about)
    raw = storage.read_json(folder / "run.json")
    raw["rows"]["sft"]["diagnostics"] = {"attribution": "../../../cache/attribution/a0"}
    storage.write_json(folder / "run.json", raw)
    return folder


def test_process_truth_of_each_row(run):
    (section,) = sections_of([read_run(run)], None)
    base, sft, best = section.process
    assert (base.name, base.why_none, dict(base.figures)) == ("base", "it answers without thinking", {})
    values = {name: one.value for name, one in sft.figures.items()}
    assert values == {
        "chains": 1.0, "rule_match": 0.5, "evidence_f1": 1.0, "application": 0.5, "answer_follows": 1.0,
        "right_wrong_reason": 0.5, "wrong_right_reason": 0.0, "true_examined": 1.0,
    }  # fmt: skip
    assert sft.figures["rule_match"].low is None  # two people
    assert (best.name, best.figures["rule_match"].value) == ("bayes", 1.0)


def test_a_policy_trained_on_span_truth_has_no_process_truth(run, folders):
    """The same row, made by an RL stage that was paid by the truth that these figures measure."""
    place = folders.stage("rl_guided", "t0", inputs={}, counts={}, cpu_seconds=1.0)
    target = "tagpr.rl.rewards.span_truth.SpanTruth"
    manifest = storage.read_json(place / "manifest.json")
    manifest["config"] = {"advantage": {"process": {"_target_": target}}}
    storage.write_json(place / "manifest.json", manifest)
    raw = storage.read_json(run / "run.json")
    raw["rows"]["sft"]["policy_stages"].append(["rl_guided", "t0"])
    storage.write_json(run / "run.json", raw)
    found = {row.name: row for row in sections_of([read_run(run)], None)[0].process}
    assert found["sft"].why_none == "it was trained on the truth that these figures measure"
    assert dict(found["sft"].figures) == {}


def test_attribution_block_by_hand(run):
    (section,) = sections_of([read_run(run)], None)
    (block,) = section.attribution
    assert (block.name, block.why_none) == ("sft", "")
    # step, questions, drop, swap, paraphrase, the three with the rest anew, early answer
    assert attribution_cells(block, "changed", intervals=True) == [
        ("(no step)", "0", *["-"] * 7),
        ("infer_preference", "2", "-", "0.50", "1.00", *["-"] * 4),
    ]
    # only ann has a floor, and it takes all of the swap's effect
    assert attribution_cells(block, "score_beyond", intervals=True)[1] == (
        "infer_preference", "2", "-", "+0.00", "-", "-",
    )  # fmt: skip
    notes = block_notes(block)
    assert notes[0].startswith("3 questions, 1 without a chain to edit; forced unedited, 0 chains")
    assert "infer_preference, paraphrase: 1 questions, not applied to 1 (no_paraphrase)." in notes


def test_files_and_the_terminal(run, tmp_path):
    sections = sections_of([read_run(run)], None)
    write_sections(sections, tmp_path)
    assert "| sft | 1.00 | 0.50 | 1.00 |" in (tmp_path / "process.md").read_text()
    assert "- `base`: no figures, it answers without thinking." in (tmp_path / "process.md").read_text()
    assert "| infer_preference | 2 | - | 0.50 | 1.00 |" in (tmp_path / "attribution.md").read_text()
    with (tmp_path / "process.csv").open() as file:
        assert [row["rule_match"] for row in csv.DictReader(file)] == ["", "0.5", "1.0"]
    with (tmp_path / "attribution.csv").open() as file:
        swap = next(row for row in csv.DictReader(file) if row["edit"] == "swap")
    assert (swap["row"], swap["tag"], swap["changed"], swap["score_beyond"]) == (
        "sft",
        "infer_preference",
        "0.5",
        "0.0",
    )
    console = Console(width=110, record=True, file=(tmp_path / "out").open("w"))
    console.print(TableView(sections))
    text = console.export_text()
    assert "is the reasoning true?" in text
    assert "sft: share of answers that an edit of each step changes" in text


def test_the_plot_is_drawn_where_there_is_something_to_draw(run, tmp_path):
    assert main([str(run), "--out", str(tmp_path), "--plots"]) == 0
    assert (tmp_path / "attribution.png").stat().st_size > 5_000


def test_a_run_without_diagnoses_has_no_such_files(run, tmp_path):
    raw = storage.read_json(run / "run.json")
    del raw["rows"]["sft"]["diagnostics"]
    storage.write_json(run / "run.json", raw)
    for name in ("e0", "e1"):
        (run.parents[2] / "cache" / "evaluate" / name / "shown_entries.json").unlink()
    (section,) = sections_of([read_run(run)], None)
    assert section.attribution == []
    assert {row.why_none for row in section.process} == {"its evaluation did not write which entries it showed"}
    write_sections([section], tmp_path)
    assert not (tmp_path / "attribution.md").exists()


def test_two_replicates_are_pooled_and_a_row_without_one_of_them_is_left_out(run):
    (section,) = sections_of([read_run(run)], None)
    row = next(row for row in section.comparison.rows if row.name == "sft")
    bare = replace(row.by_seed[0], diagnostics={})
    from tagpr.analysis.attribution import attribution_blocks

    with_bare = replace(section.comparison, rows=(replace(row, by_seed={0: row.by_seed[0], 1: bare}),))
    assert attribution_blocks(with_bare) == []
    twice = replace(section.comparison, rows=(replace(row, by_seed={0: row.by_seed[0], 1: row.by_seed[0]}),))
    (block,) = attribution_blocks(twice)
    effect = block.effect("infer_preference", "swap")
    assert (effect.questions, effect.means["changed"].value, effect.means["changed"].people) == (4, 0.5, 4)
