import numpy as np
import pytest
import torch

from tagpr.prmu.texts import Exchange
from tagpr.prmu.user_encoder import UserEncoder, drop_entries, pad_entries

HISTORY = tuple(Exchange(f"tag : {i}", "quiet") for i in range(10))


def encoder(prior_entries: float = 2.0, buckets: int = 0) -> UserEncoder:
    torch.manual_seed(0)
    made = UserEncoder(
        hidden_size=6, dim=4, prior_entries=prior_entries, recency_buckets=buckets, pooling="mean_attention"
    )
    with torch.no_grad():
        made.generic.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        made.pooling.attention.normal_()
    return made


def test_an_empty_history_is_the_generic_user():
    vectors = encoder()(torch.randn(2, 3, 6), torch.zeros(2, 3, dtype=torch.bool))
    torch.testing.assert_close(vectors, torch.tensor([[1.0, 2.0, 3.0, 4.0]] * 2))


def test_shrinkage_by_hand():
    # One entry, n0 = 3: a quarter is the person, three quarters everybody.
    made = encoder(prior_entries=3.0)
    entries = torch.randn(1, 1, 6)
    vector = made(entries, torch.ones(1, 1, dtype=torch.bool))
    own = made.norm(made.projection(entries[:, 0]))
    torch.testing.assert_close(vector, 0.25 * own + 0.75 * made.generic[None])


def test_spread_over_users_shrinks_with_the_history():
    made = encoder(prior_entries=1000.0)
    entries = torch.randn(5, 4, 6)
    spread = {n: made(entries, (torch.arange(4) < n).expand(5, 4)).std(dim=0).mean().item() for n in (0, 1, 4)}
    assert spread[0] == 0.0
    assert 0.0 < spread[1] < 2e-3
    assert spread[1] < spread[4] < 8e-3


def test_masked_entries_do_not_count():
    made = encoder()
    entries = torch.randn(3, 4, 6)
    mask = torch.tensor([[True, True, False, False], [True] * 4, [False, True, False, True]])
    spoiled = entries.masked_fill(~mask[..., None], float("nan"))
    torch.testing.assert_close(made(spoiled.nan_to_num(99.0), mask), made(entries, mask))
    alone = made(entries[:1, :2], torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(made(entries, mask)[:1], alone)


def test_pooling_starts_as_the_mean():
    torch.manual_seed(0)
    made = UserEncoder(hidden_size=6, dim=6, prior_entries=1.0)
    entries = torch.randn(1, 5, 6)
    expected = made.norm(made.projection(entries.mean(dim=1))) * 5 / 6
    torch.testing.assert_close(made(entries, torch.ones(1, 5, dtype=torch.bool)), expected)


def test_the_projection_keeps_dot_products():
    made = UserEncoder(hidden_size=6, dim=6, prior_entries=1.0)
    a, b = torch.randn(6), torch.randn(6)
    torch.testing.assert_close(made.projection(a) @ made.projection(b), a @ b, atol=1e-5, rtol=1e-5)


def test_prior_must_be_positive():
    with pytest.raises(ValueError, match="prior_entries=0"):
        UserEncoder(hidden_size=6, dim=4, prior_entries=0)


def test_pad_entries():
    hidden = torch.arange(3 * 2, dtype=torch.float32).reshape(3, 2) + 1
    entries, mask = pad_entries(hidden, [HISTORY[:1], (), HISTORY[:2]])
    assert entries.shape == (3, 2, 2)
    assert mask.tolist() == [[True, False], [False, False], [True, True]]
    assert entries[0].tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert entries[2].tolist() == [[3.0, 4.0], [5.0, 6.0]]
    nothing, mask = pad_entries(torch.zeros(0, 2), [()])
    assert nothing.shape == (1, 1, 2)
    assert not mask.any()


def test_drop_entries_keeps_order_and_bounds():
    generator = np.random.default_rng(0)
    lengths = set()
    for _ in range(200):
        kept = drop_entries(HISTORY, max_dropout=0.8, max_entries=6, generator=generator)
        assert list(kept) == sorted(kept)
        assert set(kept) <= set(HISTORY)
        lengths.add(len(kept))
    assert max(lengths) == 6
    assert min(lengths) <= 2
    assert drop_entries(HISTORY, max_dropout=0.0, max_entries=99, generator=generator) == HISTORY
    assert drop_entries((), max_dropout=0.8, max_entries=6, generator=generator) == ()
