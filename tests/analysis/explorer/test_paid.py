"""tagpr.analysis.explorer.paid: a stage's rollouts, completions written by hand, as a page shows them."""

import pytest

from tagpr.analysis.explorer.paid import read_paid, read_stage
from tagpr.errors import BadInputError, UserError
from tagpr.storage import write_json
from tests.analysis.explorer.conftest import rollout, true_chain, with_answer

ALL = {"number": 30, "seed": 0, "task": None, "only": None}


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
