"""Answers of a policy that nobody had to sample."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tagpr.prmu.pairs import PolicySample

MakeSample = Callable[..., PolicySample]


@pytest.fixture(scope="session")
def sample() -> MakeSample:
    def make(
        record_id: str, index: int, answer: str, score: float = 0.0, *, history: str = "own", parsed: bool = True,
        task: str = "S2", lender: str = "",
    ) -> PolicySample:  # fmt: skip
        return PolicySample(
            record_id=record_id,
            user_id="u",
            task=task,
            split="train",
            with_history=history == "own",
            sample_index=index,
            answer=answer,
            parsed=parsed,
            score=score,
            lender_id=lender,
        )

    return make
