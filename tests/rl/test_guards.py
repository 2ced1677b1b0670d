from __future__ import annotations

import pytest

from tagpr.rl.guards import NothingToLearn, WindowGuard


def window(*, tied: float = 0.5, truncated: float = 0.1) -> dict[str, float]:
    return {
        "rl/groups/tied_total": tied,
        "rl/rollout/truncated": truncated,
        "rl/reward/total": 0.25,
        "rl/rollout/parse_failures": 0.75,
    }


def test_stops_when_no_group_varies_for_too_long() -> None:
    guard = WindowGuard(patience=3, max_truncated=0.5)
    for _ in range(2):
        guard.check(window(tied=1.0))
    with pytest.raises(NothingToLearn, match=r"3 windows in a row .* same reward \(0.250 in the last\).*75%"):
        guard.check(window(tied=1.0))


def test_stops_when_completions_are_cut_off_for_too_long() -> None:
    guard = WindowGuard(patience=2, max_truncated=0.5)
    guard.check(window(truncated=0.51))
    with pytest.raises(NothingToLearn, match="max_new_tokens"):
        guard.check(window(truncated=0.98))


def test_one_good_window_starts_the_count_anew() -> None:
    guard = WindowGuard(patience=2, max_truncated=0.5)
    for _ in range(5):
        guard.check(window(tied=1.0, truncated=0.5))
        guard.check(window(tied=0.99, truncated=0.9))


def test_the_count_survives_a_checkpoint() -> None:
    guard = WindowGuard(patience=2, max_truncated=0.5)
    guard.check(window(tied=1.0))
    resumed = WindowGuard(patience=2, max_truncated=0.5)
    resumed.load_state_dict(guard.state_dict())
    with pytest.raises(NothingToLearn):
        resumed.check(window(tied=1.0))
