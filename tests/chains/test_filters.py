from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tagpr.chains.filters import REASONS, Candidate, ChainFilter
from tagpr.chains.tags import TagVocabulary
from tagpr.errors import UserError
from tagpr.tasks import ALL_TASKS
from tagpr.types import Prompt

VOCABULARY = TagVocabulary(names=("examine_examples", "apply_preference"))
LONG = "one two three four five six seven eight nine ten eleven twelve thirteen"
HISTORY = (("a lamp that flickers", "2"), (LONG, "5"))
SETTINGS = {
    "strictness": 1.0,
    "text_quantile": 0.5,
    "min_words": 4,
    "max_words": 30,
    "max_copied_share": 0.3,
    "duplicate_overlap": 0.9,
}
STRICT = ChainFilter(**SETTINGS)


@pytest.fixture
def candidate(prompt_of: Callable[..., Prompt]) -> Callable[..., Candidate]:
    def make(
        reasoning: str = "<1> lamp flickers => 2",
        *,
        answer: str = "2",
        score: float = 1.0,
        index: int = 0,
        record: str = "r",
        completion: str | None = None,
    ) -> Candidate:
        tagged = f"<think><examine_examples>{reasoning}</examine_examples></think>{answer}"
        return Candidate(
            prompt=prompt_of("LaMP_3", HISTORY, "a weak lamp", "2", record_id=record),
            sample_index=index,
            reasoning=reasoning,
            completion=completion if completion is not None else tagged,
            answer=answer,
            score=score,
        )

    return make


def judge(candidates: list[Candidate], kept_by: ChainFilter = STRICT, bar: float = 1.0) -> list[str]:
    return kept_by.judge(candidates, tasks=ALL_TASKS, bars={"LaMP_3": bar}, vocabulary=VOCABULARY, seed=0)


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("", {}),
        ("ill_formed", {"answer": "two"}),
        ("ill_formed", {"answer": ""}),
        ("ill_formed", {"reasoning": "<1> lamp <verify_fit> flickers => 2"}),
        ("ill_formed", {"completion": "<think><examine_examples><1> lamp => 2</think>2"}),
        ("unknown_entry", {"reasoning": "<3> lamp flickers => 2"}),
        ("unknown_entry", {"reasoning": "<0> lamp flickers => 2"}),
        ("too_short", {"reasoning": "<1> lamp flickers 2"}),
        ("too_long", {"reasoning": "<1> lamp " + "dim " * 30}),
        ("verbatim_paste", {"reasoning": f"<2> {LONG}"}),
        ("wrong_answer", {"score": 0.75}),
    ],
)
def test_each_reason(candidate: Callable[..., Candidate], reason: str, changes: dict) -> None:
    assert judge([candidate(**changes)]) == [reason]
    assert not reason or reason in REASONS


def test_the_same_chain_of_a_record_is_kept_once(candidate: Callable[..., Candidate]) -> None:
    chains = [
        candidate(),
        candidate(index=1),
        candidate(record="other"),
        candidate("<2> three eleven thirteen => 5", answer="5", index=2),
    ]
    assert judge(chains) == ["", "near_duplicate", "", ""]


def test_a_rejected_chain_makes_no_duplicate(candidate: Callable[..., Candidate]) -> None:
    assert judge([candidate(score=0.0), candidate(index=1)]) == ["wrong_answer", ""]


@pytest.mark.parametrize("strictness", [0.0, 0.5, 1.0])
def test_strictness_is_the_chance_that_a_wrong_answer_is_rejected(
    candidate: Callable[..., Candidate], strictness: float
) -> None:
    wrong = [candidate(score=0.0, record=str(number)) for number in range(400)]
    reasons = judge(wrong, ChainFilter(**(SETTINGS | {"strictness": strictness})))
    assert reasons.count("wrong_answer") / 400 == pytest.approx(strictness, abs=0.075)  # 3 standard errors
    assert judge(wrong[:5], ChainFilter(**(SETTINGS | {"strictness": strictness}))) == reasons[:5]


def test_bars_are_exact_for_labels_and_ratings_and_a_quantile_for_texts() -> None:
    scores = {"LaMP_2": [0.0, 1.0], "LaMP_3": [0.5, 0.75], "LaMP_5": [0.1, 0.2, 0.4]}
    assert STRICT.bars(scores, ALL_TASKS) == {"LaMP_2": 1.0, "LaMP_3": 1.0, "LaMP_5": 0.2}


def test_a_score_at_the_bar_is_good(candidate: Callable[..., Candidate]) -> None:
    assert judge([replace(candidate(), score=0.2)], bar=0.2) == [""]


@pytest.mark.parametrize("change", [{"strictness": 1.5}, {"text_quantile": -0.1}, {"min_words": 50}])
def test_settings_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(change))):
        ChainFilter(**(SETTINGS | change))
