"""tagpr.analysis.explorer.groups: what a group of rollouts is, and what each term paid, worked by hand."""

import pytest

from tagpr.analysis.explorer.groups import flags_of, groups_of, pay_of, span_rewards
from tagpr.chains.tags import Span
from tests.analysis.explorer.conftest import rollout


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
