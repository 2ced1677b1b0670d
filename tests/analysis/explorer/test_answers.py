"""tagpr.analysis.explorer.answers: what is said of a run's questions, worked by hand on completions written by hand."""

from collections import Counter
from dataclasses import replace

import pytest

from tagpr.analysis.explorer.answers import read_answers
from tagpr.analysis.runs import read_run
from tagpr.data.simulated.clauses import rule_text
from tagpr.data.simulated.logic import RULES
from tagpr.errors import UserError
from tagpr.evaluation.shown import ShownHistory
from tagpr.storage import read_json, write_json, write_parquet, write_records
from tagpr.types import ProfileEntry, Record
from tests.analysis.explorer.conftest import true_chain, with_answer, with_rule

ALL = {"rows": None, "decoding": "greedy", "number": 30, "seed": 0, "task": None, "only": None}


def other_rule(record):
    own = rule_text("S2", next(rule for rule in RULES["S2"] if rule.as_json() == record.truth["rule"]))
    return next(text for text in (rule_text("S2", rule) for rule in RULES["S2"]) if text != own)


def other_label(record):
    return "cosy" if record.gold != "cosy" else "eerie"


@pytest.fixture
def run_folder(made, world):
    """Four questions of four people.

    0: both right. 1: sft wrong, rl right for a wrong reason. 2: sft right, rl unreadable. 3: both the same wrong label.
    """
    chains = [true_chain(record) for record in world[:4]]
    wrong = [with_answer(chain, other_label(record)) for chain, record in zip(chains, world, strict=False)]
    return made.run(
        world[:4],
        {
            "sft": [chains[0], wrong[1], chains[2], wrong[3]],
            "rl_guided": [chains[0], with_rule(chains[1], other_rule(world[1])), "<think>no end", wrong[3]],
        },
    )


def flags_of(exhibit):
    return {one.record_id: set(one.flags) for one in exhibit.candidates}


def test_every_question_is_flagged_as_worked_by_hand(run_folder, world):
    exhibit = read_answers(read_run(run_folder), **ALL)
    assert flags_of(exhibit) == {
        world[0].record_id: {"right"},
        world[1].record_id: {"wrong", "disagree", "gained", "wrong_reason"},
        world[2].record_id: {"wrong", "disagree", "lost", "unreadable"},
        world[3].record_id: {"wrong"},
    }
    assert set(exhibit.filters) == {
        "right", "wrong", "unreadable", "disagree", "gained", "lost", "wrong_reason", "slip",
    }  # fmt: skip
    assert exhibit.facts["rows"] == "sft, rl_guided"
    assert exhibit.facts["people"] == "4 test"
    # sft: 1, 0, 1, 0; rl_guided: 1, 1, 0, 0
    assert exhibit.facts["mean score of all questions (of those here)"] == "sft 0.50 (0.50), rl_guided 0.50 (0.50)"
    assert len(exhibit.cards) == exhibit.num_fitting == 4
    assert not exhibit.warnings


def test_a_filter_draws_from_its_own_and_counts_from_all(run_folder, world):
    exhibit = read_answers(read_run(run_folder), **ALL | {"only": "lost"})
    assert [card.chosen.record_id for card in exhibit.cards] == [world[2].record_id]
    assert (len(exhibit.candidates), exhibit.num_fitting) == (4, 1)
    assert exhibit.facts["mean score of all questions (of those here)"] == "sft 0.50 (1.00), rl_guided 0.50 (0.00)"
    assert Counter(flag for one in exhibit.candidates for flag in one.flags)["wrong"] == 3


def test_a_card_holds_what_was_shown_what_is_true_and_what_was_said(run_folder, world):
    exhibit = read_answers(read_run(run_folder), **ALL)
    (card,) = (one for one in exhibit.cards if one.chosen.record_id == world[1].record_id)
    assert (card.query, card.gold) == (world[1].query, world[1].gold)
    assert card.truth["the rule says"] == world[1].gold
    (scene,) = card.scenes
    assert [entry.entry_id for entry in scene.history] == [entry.entry_id for entry in world[1].profile]
    slips = {place for place, (_, kind) in enumerate(scene.notes) if kind == "bad"}
    assert slips == set(range(len(world[1].profile))) - set(world[1].truth["evidence"])
    assert scene.beside == [("profile_mode", "the usual")]
    sft, rl = scene.replies
    assert ("✗ 0.00", "bad") in sft.chips
    assert ("the person's rule", "good") in sft.chips
    assert ("answers otherwise than the chain concludes", "bad") in sft.chips
    assert ("✓ 1.00", "good") in rl.chips
    assert (f"another rule: {other_rule(world[1])}", "bad") in rl.chips
    assert ("right answer, wrong reason", "bad") in rl.chips
    of = {span.tag: truth for span, truth in zip(rl.parsed.spans, rl.truths, strict=True)}
    assert of["infer_preference"] is False
    assert of["analyze_query"] is True
    assert all(truth is not False for truth in sft.truths)
    assert sft.tag is not None
    assert sft.tag.coverage == 1.0


def test_a_slip_is_no_wrong_answer_of_the_rule(made, world):
    slip = replace(world[0], gold=other_label(world[0]))
    folder = made.run([slip], {"sft": [true_chain(slip)]})
    exhibit = read_answers(read_run(folder), **ALL)
    assert flags_of(exhibit) == {slip.record_id: {"wrong", "slip"}}
    assert "disagree" not in exhibit.filters  # one row has nothing to differ from
    assert exhibit.cards[0].truth["the rule says"] == f"{world[0].gold} (the gold is a slip of the person's)"


def test_rows_with_other_histories_stand_apart_and_untrained_ones_on_demand(made, world):
    chain = true_chain(world[0])
    folder = made.run(
        world[:1], {"base": [world[0].gold], "sft": [chain], "rl_guided": [chain]},
        styles={"base": {"thinking": False}}, entries={"base": 0, "rl_guided": 2},
    )  # fmt: skip
    run = read_run(folder)
    assert read_answers(run, **ALL).facts["rows"] == "sft, rl_guided"
    exhibit = read_answers(run, **ALL | {"rows": ["base", "sft", "rl_guided"]})
    scenes = exhibit.cards[0].scenes
    assert [(len(one.history), [reply.name for reply in one.replies]) for one in scenes] == [
        (0, ["base"]), (len(world[0].profile), ["sft"]), (2, ["rl_guided"]),
    ]  # fmt: skip
    (base,) = scenes[0].replies
    assert (base.parsed.answer, base.parsed.chain, base.tag) == (world[0].gold, "", None)
    assert base.chips == [("✓ 1.00", "good")]


def test_a_borrowed_row_is_shown_what_its_own_records_retrieved(made, world):
    chain = true_chain(world[0])
    folder = made.run(world[:1], {"sft": [chain], "rl_guided": [chain]})
    write_records(made.root / "cache" / "records" / "r2", [replace(world[0], retrieved=(2, 4))])
    path = made.root / "cache" / "evaluate" / "rl_guided" / "manifest.json"
    write_json(path, read_json(path) | {"inputs": {"records": "r2"}})
    own, borrowed = read_answers(read_run(folder), **ALL).cards[0].scenes
    assert len(own.history) == len(world[0].profile)
    assert [one.entry_id for one in borrowed.history] == [world[0].profile[place].entry_id for place in (2, 4)]


def person(number, **fields):
    return Record(
        **{
            "record_id": f"q{number}", "user_id": f"u{number}", "task": "LaMP_3", "split": "test", "purpose": "test",
            "question": "rate: fine", "query": "fine", "gold": "4", "profile": (), "retrieved": (),
        } | fields
    )  # fmt: skip


def test_real_people_have_no_truth_and_some_no_history_or_gold(made):
    entry = ProfileEntry(entry_id="e", input="كتاب جيد <3> <b>bold</b>", response="5")
    records = [person(0), person(1, gold=None), person(2, profile=(entry,), retrieved=(0,))]
    chains = ["<think>the first <1>\nand so</think>4", "</think>maybe", "<think>it is</think>5"]
    folder = made.run(records, {"sft": chains}, tags=())
    exhibit = read_answers(read_run(folder), **ALL)
    assert flags_of(exhibit) == {"q0": {"right"}, "q1": {"unreadable"}, "q2": {"wrong"}}
    assert not exhibit.simulated
    assert set(exhibit.filters) == {"right", "wrong", "unreadable"}
    assert exhibit.facts["mean score of all questions (of those here)"] == "sft 0.88 (0.88)"  # 1 and 1 - 1/4
    of = {card.chosen.record_id: card for card in exhibit.cards}
    assert of["q0"].truth == {}
    assert of["q1"].scenes[0].replies[0].chips[0] == ("no gold", "plain")
    assert of["q2"].scenes[0].history[0].input == "كتاب جيد ‹3> ‹b>bold‹/b>"  # as the prompt shows it
    assert not exhibit.tags


def test_what_only_some_rows_answered_and_what_has_changed_is_said(made, world):
    chains = [true_chain(record) for record in world[:3]]
    folder = made.run(world[:3], {"sft": [chains[0], chains[1], None], "rl_guided": [chains[0], None, chains[2]]})
    shown = ShownHistory(
        record_id=world[0].record_id, user_id=world[0].user_id, task="S2", entries_in_profile=6, entries_retrieved=6,
        entries_shown=1, entries_cut=0, entries_dropped=5,
    )  # fmt: skip
    write_parquet(made.root / "cache" / "evaluate" / "sft" / "shown.parquet", [shown], ShownHistory)
    exhibit = read_answers(read_run(folder), **ALL)
    assert [one.record_id for one in exhibit.candidates] == [world[0].record_id]
    left_out, changed = exhibit.warnings
    assert left_out.startswith("2 questions that only some of these rows answered")
    assert changed.startswith("1 of the prompts show another number of entries")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"rows": ["stf"]}, "--rows stf: there is no such one here, only sft, rl_guided. Did you mean sft?"),
        ({"decoding": "gredy"}, "--decoding gredy: .* Did you mean greedy?"),
        ({"task": "S3"}, "--task S3: there is no such one here, only S2."),
        ({"only": "wrnog"}, "--only wrnog: .* Did you mean wrong?"),
        ({"only": "slip"}, "None of 4 fits --only slip"),
    ],
)
def test_what_is_not_there_is_told(run_folder, asked, said):
    with pytest.raises(UserError, match=said):
        read_answers(read_run(run_folder), **ALL | asked)
