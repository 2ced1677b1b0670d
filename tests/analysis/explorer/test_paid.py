"""tagpr.analysis.explorer.paid: what a group of rollouts is, and what each term paid, worked by hand."""

import pytest

from tagpr.analysis.explorer.paid import flags_of, groups_of, pay_of, read_paid, read_stage, span_rewards
from tagpr.chains.tags import Span
from tagpr.errors import BadInputError, UserError
from tagpr.storage import write_json
from tagpr.types import Rollout
from tests.analysis.explorer.conftest import true_chain, with_answer

ALL = {"number": 30, "seed": 0, "task": None, "only": None}
WEIGHTS = {"task": 1.0, "tag": 0.5}


def rollout(index, *, task=1.0, tag=1.0, gate=1.0, reward=None, **fields):
    return Rollout(
        **{
            "record_id": "q", "user_id": "u", "task": "S2", "stage": "rl_guided", "step": 0, "sample_index": index,
            "completion": "", "answer": "", "num_tokens": 7, "truncated": False, "weights": WEIGHTS, "advantage": 0.0,
            "reward_terms": {"task": task, "tag": tag, "g_answer": gate},
            "reward": gate * (task + 0.5 * tag) if reward is None else reward,
        } | fields
    )  # fmt: skip


def group(*rollouts):
    return [rollout(index, **one) for index, one in enumerate(rollouts)]


@pytest.mark.parametrize(
    ("rollouts", "flags"),
    [
        ([{}, {}], {"right", "tied"}),
        ([{}, {"tag": 0.0}], {"right"}),
        ([{"task": 0.0}, {"task": 0.5}], {"wrong"}),
        ([{"task": 1.0}, {"task": 0.5}], {"mixed"}),
        # .5 + .5 x 0 = .5 against .25 + .5 x 1 = .75
        ([{"task": 0.5, "tag": 0.0}, {"task": 0.25, "tag": 1.0}], {"wrong", "misled"}),
        # What the gate shuts out was not better for the task: 1 x 0 < .5
        ([{"task": 1.0, "gate": 0.0}, {"task": 0.5}], {"mixed", "unreadable"}),
        ([{"truncated": True}, {"tag": 0.5}], {"right", "truncated"}),
    ],
)
def test_a_group_is_what_its_rewards_say(rollouts, flags):
    assert flags_of(group(*rollouts)) == flags


def test_a_stage_that_pays_no_task_has_no_right_and_wrong():
    rollouts = [rollout(0, reward_terms={"tag": 1.0, "g_answer": 1.0}), rollout(1, reward_terms={"tag": 0.5})]
    assert flags_of(rollouts) == {"tied"}  # both rewards are 1.5 as made


def test_groups_begin_with_their_first_sample():
    rollouts = [*group({}, {}, {}), *group({}, {}), *group({})]
    assert [len(one) for one in groups_of(rollouts)] == [3, 2, 1]
    assert groups_of([]) == []


def test_what_a_term_paid_and_what_the_gate_took():
    pay = pay_of(rollout(0, task=0.75, tag=0.5, reward=1.0))
    assert pay.terms == {"task": (0.75, 1.0), "tag": (0.5, 0.5)}
    assert pay.rest == pytest.approx(0.0)
    shut = pay_of(rollout(0, task=0.75, tag=0.5, gate=0.0))
    assert (shut.total, shut.rest) == (0.0, pytest.approx(-1.0))


def test_span_rewards_find_their_spans_by_tag_and_turn():
    spans = [Span(tag=tag, text="", start=0, end=0) for tag in ("a", "b", "a", "c", "c")]
    process = [
        {"tag": "a", "first": 0, "end": 1, "reward": 0.1}, {"tag": "a", "first": 2, "end": 3, "reward": 0.2},
        {"tag": "c", "first": 3, "end": 4, "reward": 0.3},
    ]  # fmt: skip
    # Nobody judged b; of the two c one was left out, and it is not known which.
    assert span_rewards(spans, process) == [0.1, None, 0.2, None, None]
    assert span_rewards(spans, None) == [None] * 5


@pytest.fixture
def stage(made, world):
    """Two windows of two groups with three rollouts each; the second question of step 1 is answered wrongly."""
    windows = []
    for step in range(2):
        window = []
        for place, record in enumerate(world[2 * step : 2 * step + 2]):
            chain = true_chain(record)
            for index in range(3):
                is_wrong = (step, place) == (1, 1) and index > 0
                text = with_answer(chain, "city" if record.gold != "city" else "cosy") if is_wrong else chain
                process = [{"tag": "infer_preference", "first": 3, "end": 9, "reward": 0.125}]
                window.append(
                    rollout(
                        index, record_id=record.record_id, user_id=record.user_id, step=step, completion=text,
                        task=float(not is_wrong), tag=1.0 if index else 0.25, advantage=0.5 - index, process=process,
                    )
                )  # fmt: skip
        windows.append(window)
    return made.rl_stage(world[:4], windows)


def test_a_stage_as_a_page(stage, world):
    exhibit = read_paid(read_stage(stage), **ALL)
    assert exhibit.facts == {"rollouts": "12 in 4 groups", "steps": "0 to 1", "people": "4 train"}
    assert {one.record_id: set(one.flags) for one in exhibit.candidates} == {
        **{world[place].record_id: {"right"} for place in range(3)},
        world[3].record_id: {"mixed"},
    }
    (card,) = (one for one in exhibit.cards if one.chosen.record_id == world[3].record_id)
    assert card.said == "step 1"
    (scene,) = card.scenes
    assert [name for name, _ in scene.beside] == ["blind", "bayes"]
    assert [reply.pay.total for reply in scene.replies] == [1.125, 0.5, 0.5]
    assert [reply.chips[0] for reply in scene.replies] == [("✓ task 1.00", "good"), *[("task 0.00", "bad")] * 2]
    first = scene.replies[0]
    rewards = {span.tag: reward for span, reward in zip(first.parsed.spans, first.span_rewards, strict=True)}
    assert rewards["infer_preference"] == 0.125
    assert rewards["analyze_query"] is None


def test_a_tag_reward_that_comes_out_otherwise_is_said(stage):
    (warning,) = read_paid(read_stage(stage), **ALL).warnings
    # By the chains written here R_tag is not the .25 of every first rollout.
    assert warning.startswith("The tag reward of ")
    assert "of 12 rollouts comes out otherwise than it was paid" in warning


@pytest.mark.parametrize(
    ("asked", "said"), [({"only": "mixt"}, "--only mixt: .* Did you mean mixed?"), ({"task": "S3"}, "only S2.")]
)
def test_what_is_not_there_is_told(stage, asked, said):
    with pytest.raises(UserError, match=said):
        read_paid(read_stage(stage), **ALL | asked)


def test_other_stages_and_damaged_ones_are_told(stage, made):
    other = made.root / "cache" / "sft" / "f0"
    write_json(other / "manifest.json", {"stage": "sft", "config": {"prompt": {}}})
    with pytest.raises(BadInputError, match="is of the stage sft, expected a run's folder"):
        read_stage(other)
    for path in (stage / "rollouts").glob("*.parquet"):
        path.unlink()
    with pytest.raises(BadInputError, match="holds no rollouts"):
        read_stage(stage)
    (made.root / "cache" / "records" / "r1").rename(made.root / "gone")
    with pytest.raises(BadInputError, match="is gone, but"):
        read_stage(stage)
