import numpy as np
import pytest
import torch

from tagpr.errors import UserError
from tagpr.prmu.pooling import POOLINGS
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import Exchange
from tagpr.prmu.user_encoder import UserEncoder, drop_entries, pad_entries, padded_ages

HISTORY = tuple(Exchange(f"tag : {i}", "quiet") for i in range(10))


def encoder(prior_entries: float = 2.0, buckets: int = 0, pooling: str = "mean_attention") -> UserEncoder:
    torch.manual_seed(0)
    made = UserEncoder(hidden_size=6, dim=4, prior_entries=prior_entries, recency_buckets=buckets, pooling=pooling)
    with torch.no_grad():
        made.generic.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        made.pooling.attention.normal_()
    return made


def ages(*shape: int) -> torch.Tensor:
    return torch.arange(shape[1] - 1, -1, -1).expand(shape)


def test_an_empty_history_is_the_generic_user():
    vectors = encoder()(torch.randn(2, 3, 6), torch.zeros(2, 3, dtype=torch.bool), ages(2, 3))
    torch.testing.assert_close(vectors, torch.tensor([[[1.0, 2.0, 3.0, 4.0]]] * 2))


def test_shrinkage_by_hand():
    # One entry, n0 = 3: a quarter is the person, three quarters everybody.
    made = encoder(prior_entries=3.0)
    entries = torch.randn(1, 1, 6)
    vector = made(entries, torch.ones(1, 1, dtype=torch.bool), ages(1, 1))
    own = made.norm(made.projection(entries))
    torch.testing.assert_close(vector, 0.25 * own + 0.75 * made.generic)


def test_spread_over_users_shrinks_with_the_history():
    made = encoder(prior_entries=1000.0)
    entries = torch.randn(5, 4, 6)
    spread = {
        n: made(entries, (torch.arange(4) < n).expand(5, 4), ages(5, 4)).std(dim=0).mean().item() for n in (0, 1, 4)
    }
    assert spread[0] == 0.0
    assert 0.0 < spread[1] < 2e-3
    assert spread[1] < spread[4] < 8e-3


@pytest.mark.parametrize("pooling", POOLINGS)
def test_masked_entries_do_not_count(pooling):
    made = encoder(buckets=2, pooling=pooling)
    entries, queries = torch.randn(3, 4, 6), torch.randn(2, 6)
    mask = torch.tensor([[True, True, False, False], [True] * 4, [False, True, False, True]])
    spoiled = entries.masked_fill(~mask[..., None], float("nan")).nan_to_num(99.0)
    whole = made(entries, mask, ages(3, 4), queries)
    torch.testing.assert_close(made(spoiled, mask, ages(3, 4), queries), whole)
    alone = made(entries[:1, :2], torch.ones(1, 2, dtype=torch.bool), ages(1, 4)[:, :2], queries)
    torch.testing.assert_close(whole[:1], alone)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_starts_as_the_mean(pooling):
    torch.manual_seed(0)
    made = UserEncoder(hidden_size=6, dim=6, prior_entries=1.0, recency_buckets=4, pooling=pooling)
    entries = torch.randn(1, 5, 6)
    expected = made.norm(made.projection(entries.mean(dim=1))) * 5 / 6
    found = made(entries, torch.ones(1, 5, dtype=torch.bool), ages(1, 5), torch.randn(2, 6))
    torch.testing.assert_close(found, expected[:, None].expand_as(found))


def test_recency_weighs_entries_by_hand():
    """Buckets 0 | 1, 2 | 3 and more; logits 0, log 2, log 3: weights 1, 2, 2, 3, 3 over their sum 11."""
    made = encoder(buckets=3)
    with torch.no_grad():
        made.pooling.attention.zero_()
        made.recency.copy_(torch.tensor([1.0, 2.0, 3.0]).log())
    entries = torch.randn(1, 5, 6)
    ones, given = torch.ones(1, 5, dtype=torch.bool), torch.tensor([[0, 1, 2, 3, 99]])
    pooled = (entries[0] * torch.tensor([1.0, 2.0, 2.0, 3.0, 3.0])[:, None]).sum(dim=0) / 11
    share = 5 / 7
    expected = share * made.norm(made.projection(pooled)) + (1 - share) * made.generic
    torch.testing.assert_close(made(entries, ones, given)[0, 0], expected)
    # The order of the rows says nothing: the ages do.
    torch.testing.assert_close(made(entries.flip(1), ones, given.flip(1)), made(entries, ones, given))
    assert (made(entries, ones, given.flip(1)) - made(entries, ones, given)).abs().max() > 0.01


def test_without_buckets_ages_are_not_read():
    made = encoder(buckets=0)
    entries, ones = torch.randn(1, 5, 6), torch.ones(1, 5, dtype=torch.bool)
    assert torch.equal(made(entries, ones, ages(1, 5)), made(entries, ones, ages(1, 5).flip(1)))
    assert "recency" not in made.state_dict()


def test_recency_is_learned_from_the_first_step():
    made = encoder(buckets=3)
    made(torch.randn(2, 5, 6), torch.ones(2, 5, dtype=torch.bool), ages(2, 5))[..., 0].sum().backward()
    assert made.recency.grad is not None
    assert made.recency.grad.abs().min() > 1e-5


def test_the_query_chooses_entries():
    """Two entries, one along the query: with W_q = W_k = c I the softmax goes from even to all on that one."""
    made = encoder(pooling="query_aware")
    with torch.no_grad():
        made.pooling.attention.zero_()
        made.pooling.key.weight.copy_(torch.eye(6))
        made.pooling.query.weight.copy_(100 * torch.eye(6))
    entries = torch.eye(6)[None, :2]
    ones = torch.ones(1, 2, dtype=torch.bool)
    vectors = made(entries, ones, ages(1, 2), torch.eye(6)[:3])
    assert vectors.shape == (1, 3, 4)
    expected = [made.norm(made.projection(e)) / 2 + made.generic / 2 for e in (*entries[0], entries[0].mean(dim=0))]
    torch.testing.assert_close(vectors[0], torch.stack(expected))
    made.pooling.query.weight.grad = None
    torch.testing.assert_close(made(entries, ones, ages(1, 2))[0, 0], expected[2])


def test_the_query_is_learned_from_the_first_step():
    made = encoder(pooling="query_aware")
    vectors = made(torch.randn(2, 5, 6), torch.ones(2, 5, dtype=torch.bool), ages(2, 5), torch.randn(3, 6))
    vectors[..., 0].sum().backward()
    assert made.pooling.query.weight.grad.abs().max() > 1e-4


def test_the_projection_keeps_dot_products():
    made = UserEncoder(hidden_size=6, dim=6, prior_entries=1.0, recency_buckets=0, pooling="mean_attention")
    a, b = torch.randn(6), torch.randn(6)
    torch.testing.assert_close(made.projection(a) @ made.projection(b), a @ b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"prior_entries": 0}, {"recency_buckets": -1}, {"pooling": "mean"}])
def test_wrong_settings(wrong):
    settings = {"dim": 4, "prior_entries": 1.0, "recency_buckets": 0, "pooling": "mean_attention"} | wrong
    ((name, value),) = wrong.items()
    with pytest.raises(UserError, match=f"prmu.arch.{name}={value!r}, expected"):
        UserEncoder(hidden_size=6, **settings)


def test_padded_ages():
    known = tuple(Exchange("x", "y", age=age) for age in (40, 3))
    assert padded_ages([known, HISTORY[:3], ()], device=torch.device("cpu")).tolist() == [
        [40, 3, 0],
        [2, 1, 0],
        [0, 0, 0],
    ]


CANDIDATES = [Exchange("tag : q", "quiet"), Exchange("tag : r", "cosy")]


def test_vectors_are_remembered_by_history_until_weights_change(bilinear):
    arch = bilinear.arch
    frozen = FrozenEncoder(bilinear.encoder, capacity=3)
    users = [HISTORY[:2], (), HISTORY[:2], HISTORY[4:]]
    made = []
    arch.user_encoder.register_forward_hook(lambda module, args, output: made.append(args[1].sum(dim=1).tolist()))

    def score(users):
        with torch.no_grad():
            rewards = arch.score(frozen, users, CANDIDATES, needed=None)
            torch.testing.assert_close(
                rewards, arch.score(bilinear.encoder, users, CANDIDATES, needed=None), atol=1e-5, rtol=1e-4
            )
        return made.pop(0), made.clear()

    assert score(users)[0] == [2, 0, 6]
    assert score(users)[0] == []
    assert score([*users, HISTORY[:3]])[0] == [3]
    assert len(frozen.users) == 3  # bounded: the longest unused is out
    with torch.no_grad():
        arch.user_encoder.norm.weight.mul_(2.0)
    assert score(users)[0] == [2, 0, 6]
    with torch.no_grad():
        bilinear.encoder.backbone.embed_tokens.weight.mul_(2.0)
    assert score(users)[0] == [2, 0, 6]


def test_entries_of_another_age_are_another_history(bilinear):
    with torch.no_grad():
        bilinear.arch.user_encoder.recency.copy_(torch.tensor([0.0, 3.0, -3.0]))
    frozen = FrozenEncoder(bilinear.encoder, capacity=9)
    first, second = (Exchange("tag : a", "quiet"), Exchange("tag : b", "grand"))
    users = [(first._replace(age=a), second._replace(age=0)) for a in (1, 9)]
    rewards = bilinear.score(users, ["tag : q"], ["quiet"], encode=frozen)
    assert (rewards[0] - rewards[1]).abs() > 1e-4
    assert frozen.num_encoded == 3


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
