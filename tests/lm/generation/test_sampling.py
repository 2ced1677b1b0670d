from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tagpr.lm.generation.base import Sampling
from tagpr.lm.generation.sampling import choose, row_keys, uniforms

# p = (1/2, 1/4, 1/8, 1/8)
LOGITS = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()


def settings_with(*, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0) -> Sampling:
    return Sampling(temperature=temperature, top_p=top_p, top_k=top_k, max_new_tokens=1)


def drawn(sampling: Sampling, numbers: list[float], *, banned: int | None = None) -> tuple[list[int], list[float]]:
    uniform = torch.tensor(numbers, dtype=torch.float64)
    tokens, logprobs, _ = choose(LOGITS.expand(len(numbers), -1), uniform, sampling=sampling, banned=banned)
    return tokens.tolist(), logprobs.exp().tolist()


def test_inverse_cdf_by_hand() -> None:
    tokens, probabilities = drawn(settings_with(), [0.0, 0.499, 0.5, 0.74, 0.75, 0.88, 1 - 2**-53])
    assert tokens == [0, 0, 1, 1, 2, 3, 3]
    assert probabilities == pytest.approx([0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125])


def test_temperature_one_half_squares_the_odds() -> None:
    """1/4 : 1/16 : 1/64 : 1/64, so the first has 16/22."""
    tokens, probabilities = drawn(settings_with(temperature=0.5), [0.727, 0.728])
    assert tokens == [0, 1]
    assert probabilities == pytest.approx([16 / 22, 4 / 22])


@pytest.mark.parametrize(
    ("sampling", "numbers", "tokens", "probabilities"),
    [
        (settings_with(top_k=2), [0.66, 0.67], [0, 1], [2 / 3, 1 / 3]),
        (settings_with(top_p=0.7), [0.66, 0.67], [0, 1], [2 / 3, 1 / 3]),
        (settings_with(top_p=0.5), [0.0, 0.999], [0, 0], [1.0, 1.0]),
        (settings_with(top_p=0.51), [0.66, 0.67], [0, 1], [2 / 3, 1 / 3]),
        # After top-k the first two have 2/3 and 1/3: 0.6 of that is the first alone.
        (settings_with(top_k=2, top_p=0.6), [0.0, 0.999], [0, 0], [1.0, 1.0]),
        (settings_with(top_k=9), [0.5, 0.999], [1, 3], [0.25, 0.125]),
    ],
)
def test_cuts_by_hand(sampling: Sampling, numbers: list[float], tokens: list[int], probabilities: list[float]) -> None:
    chosen, given_probabilities = drawn(sampling, numbers)
    assert chosen == tokens
    assert given_probabilities == pytest.approx(probabilities)


def test_a_banned_token_is_never_chosen_and_keeps_its_share_of_the_probability() -> None:
    tokens, probabilities = drawn(settings_with(), [0.0, 0.49, 0.51, 0.999], banned=0)
    assert tokens == [1, 1, 2, 3]
    assert probabilities == pytest.approx([0.25, 0.25, 0.125, 0.125])
    assert drawn(settings_with(temperature=0), [0.0], banned=0)[0] == [1]
    assert drawn(settings_with(top_k=1), [0.999], banned=0) == ([1], [1.0])


def test_greedy_gives_the_policys_own_probability() -> None:
    assert drawn(settings_with(temperature=0), [0.99]) == ([0], [pytest.approx(0.5)])


@given(
    logits=st.lists(st.floats(-30, 30) | st.just(float("-inf")), min_size=2, max_size=8).filter(
        lambda row: sum(math.isfinite(x) for x in row) >= 2
    ),
    number=st.floats(0, 1, exclude_max=True),
    top_p=st.floats(0.05, 1),
    top_k=st.integers(0, 8),
)
def test_an_impossible_token_is_never_chosen(logits: list[float], number: float, top_p: float, top_k: int) -> None:
    sampling = settings_with(top_p=top_p, top_k=top_k)
    token, logprob, _ = choose(
        torch.tensor([logits]), torch.tensor([number], dtype=torch.float64), sampling=sampling, banned=None
    )
    assert math.isfinite(logits[int(token)])
    assert -70 < float(logprob) <= 1e-6


def test_the_policys_own_probability_is_kept_beside_the_cut_one() -> None:
    """Top-k 2 of (1/2, 1/4, 1/8, 1/8) makes 2/3 and 1/3 of 1/2 and 1/4."""
    uniform = torch.tensor([0.1, 0.9], dtype=torch.float64)
    tokens, sampled, policy = choose(LOGITS.expand(2, -1), uniform, sampling=settings_with(top_k=2), banned=None)
    assert tokens.tolist() == [0, 1]
    assert sampled.exp().tolist() == pytest.approx([2 / 3, 1 / 3])
    assert policy.exp().tolist() == pytest.approx([1 / 2, 1 / 4])


def test_a_prompts_own_seed_is_all_that_counts() -> None:
    keys = row_keys([5, 9, 5], 3, 4)
    assert (keys[0] == keys[2]).all()
    assert (keys[1] == row_keys([9], 1, 4)[0]).all()
    assert (keys[1] == row_keys(9, 1, 4)[0]).all()
    with pytest.raises(ValueError, match="2 seeds for 3 prompts"):
        row_keys([1, 2], 3, 4)


def test_frequencies_follow_the_probabilities() -> None:
    """20,000 draws: the standard error of a share of 1/2 is .0035."""
    numbers = uniforms(row_keys(3, 200, 1).flatten(), 100).flatten()
    tokens, *_ = choose(LOGITS.expand(len(numbers), -1), numbers, sampling=settings_with(), banned=None)
    shares = torch.bincount(tokens, minlength=4) / len(tokens)
    torch.testing.assert_close(shares, LOGITS.exp()[0], atol=0.014, rtol=0)


def test_streams_depend_on_seed_prompt_and_sample_alone() -> None:
    keys = row_keys(7, 5, 3)
    assert len(np.unique(keys)) == 15
    assert (keys[:2, :2] == row_keys(7, 2, 2)).all()
    assert not (keys == row_keys(8, 5, 3)).any()
    numbers = uniforms(keys.flatten(), 50)
    assert numbers.equal(uniforms(keys.flatten(), 80)[:, :50])
    assert float(numbers.min()) >= 0
    assert float(numbers.max()) < 1
    assert len(numbers.unique()) == numbers.numel()
    # Neighbouring streams are unrelated: 0 within 3 standard errors of 1/sqrt(5000).
    many = uniforms(row_keys(7, 5000, 1).flatten(), 2)
    for first, second in ((many[:-1, 0], many[1:, 0]), (many[:, 0], many[:, 1])):
        assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 3 / 5000**0.5


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected temperature >= 0"):
        settings_with(**wrong)


@pytest.mark.parametrize("stop", ["</think>", ("",)])
def test_impossible_stop_strings_are_refused(stop: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="expected strings of at least one character"):
        Sampling(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=1, stop=stop)
