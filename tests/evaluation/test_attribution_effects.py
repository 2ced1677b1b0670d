"""From answers behind edited chains to effects."""

import math

import pytest

from tagpr.evaluation.attribution import NO_CHAIN, UNEDITED, AttributedAnswer
from tagpr.evaluation.attribution_effects import effects, effects_as_json

TAG = "infer_preference"


def answer(record, edit, *, tag=TAG, task="S2", user="ann", why_not="", changed=False, score=0.0, parsed=True,
           again=False):  # fmt: skip
    return 0, AttributedAnswer(
        record_id=record, user_id=user, task=task, tag=tag, edit=edit, why_not=why_not, completion="", answer="",
        parsed=parsed, changed=changed, score_change=score, written_again=again,
    )  # fmt: skip


def test_effects_and_what_is_beyond_the_floor_by_hand():
    rows = [
        # S2: the swap changes two of three answers, the paraphrase one of the two that it applies to
        answer("a", "swap", changed=True, score=-1.0),
        answer("b", "swap", changed=True, score=-1.0, parsed=False),
        answer("c", "swap"),
        answer("a", "paraphrase", changed=True, score=-0.5),
        answer("b", "paraphrase"),
        answer("c", "paraphrase", why_not="no_paraphrase"),
        # S3: one answer, not changed; no gold
        answer("d", "swap", task="S3", score=math.nan),
        answer("a", "swap_rewrite", changed=True, again=True),
        answer("b", "swap_rewrite"),
        answer("a", UNEDITED, tag=NO_CHAIN),
    ]
    found = {(one.tag, one.edit): one for one in effects(rows, nested=True)}
    swap = found[TAG, "swap"]
    assert swap.means["changed"].value == pytest.approx((2 / 3 + 0) / 2)
    assert swap.means["score"].value == pytest.approx(-2 / 3)
    # a: 1 - 1, b: 1 - 0; the others have no floor
    assert swap.means["changed_beyond"].value == pytest.approx(0.5)
    assert swap.means["score_beyond"].value == pytest.approx((-0.5 - 1.0) / 2)
    assert (swap.questions, swap.parse_failures, swap.written_again) == (4, 0.25, None)
    floor = found[TAG, "paraphrase"]
    assert (floor.questions, dict(floor.not_applied)) == (2, {"no_paraphrase": 1})
    assert "changed_beyond" not in floor.means
    assert found[TAG, "swap_rewrite"].written_again == 0.5
    assert "changed_beyond" not in found[TAG, "swap_rewrite"].means  # its floor was not asked
    assert found[NO_CHAIN, UNEDITED].means["changed"].value == 0.0


def test_an_edit_that_applies_nowhere_has_a_reason_and_no_figures():
    (one,) = effects([answer("a", "drop_rewrite", why_not="nothing_follows")], nested=True)
    assert (one.questions, dict(one.not_applied), dict(one.means)) == (0, {"nothing_follows": 1}, {})
    assert effects_as_json([one]) == [
        {"tag": TAG, "edit": "drop_rewrite", "questions": 0, "not_applied": {"nothing_follows": 1}}
    ]
