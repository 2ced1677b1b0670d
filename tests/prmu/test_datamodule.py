from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from tagpr.errors import BadInputError
from tagpr.prmu.datamodule import PairData, bundled, histories_of, hold_out_queries, make_blocks
from tagpr.prmu.module import PrmuObjective
from tagpr.prmu.pairs import label_pairs, shared_query_pairs
from tagpr.prmu.texts import Exchange

OBJECTIVE = PrmuObjective(margin=0.1, temperature=1.0, contrast_weight=0.5, l2=0.01)


@pytest.fixture
def people(make_record):
    """Five people over two shared queries, and a loner with a label pair."""
    golds = {"a": ["quiet", "cosy", "eerie"], "b": ["cosy", "grand"], "c": ["quiet"]}
    return [
        make_record(f"{query}{i}", f"u{i}", query=query, gold=gold, history=((f"x{i}", "quiet"), (f"y{i}", "cosy")))
        for query, given in golds.items()
        for i, gold in enumerate(given)
    ]


@pytest.fixture
def pairs(people):
    generator = np.random.default_rng(0)
    shared = [p for block in shared_query_pairs(people, people_per_query=5, generator=generator) for p in block]
    labels = label_pairs(people[-1:], {"S2": Counter(cosy=1)}, per_record=1, generator=generator)
    assert [len(shared), len(labels)] == [3 * 2 + 2 * 1, 1]
    return [*shared, *labels]


def data(pairs, people, **changes) -> PairData:
    histories, contexts = histories_of(pairs, people)
    settings = {
        "block_pairs": 1, "blocks_per_step": 3, "blocks_per_micro_batch": 3, "max_dropout": 0.0, "max_entries": 9,
        "seed": 0,
    } | changes  # fmt: skip
    return PairData(pairs=pairs, histories=histories, contexts=contexts, **settings)


def test_blocks_hold_what_shares_texts(pairs):
    blocks = make_blocks(pairs)
    assert [len(block.pairs) for block in blocks] == [6, 2, 1]
    # u0 has 2 + 1 + 1 = 4 pairs, u1 2 + 1 = 3, u2 2: 9 pairs, 3 people, each with 3 in weight.
    weights = {(p.user_id, round(w, 6)) for block in blocks for p, w in zip(block.pairs, block.weights, strict=True)}
    assert weights == {("u0", 0.75), ("u1", 1.0), ("u2", 1.5)}


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, [6, 2, 1]),  # nothing is small
        (2, [6, 2, 1]),  # the pair alone finds no company
        (3, [6, 3]),
        (7, [9]),
        (99, [9]),  # what is left over is a block, too
    ],
)
def test_small_blocks_are_bundled(pairs, size, expected):
    blocks = bundled(make_blocks(pairs), size=size, seed=3)
    assert [len(block.pairs) for block in blocks] == expected
    kept = sorted((p.record_id, p.chosen, w) for b in blocks for p, w in zip(b.pairs, b.weights, strict=True))
    plain = sorted(
        (p.record_id, p.chosen, w) for b in make_blocks(pairs) for p, w in zip(b.pairs, b.weights, strict=True)
    )
    assert kept == plain


def test_bundles_follow_the_seed(pairs):
    crumbs = [block for block in make_blocks(pairs) for _ in range(20)]
    drawn = [[b.pairs for b in bundled(crumbs, size=8, seed=seed)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_batch_holds_each_text_once(pairs, people):
    (batch,) = data(pairs, people).collate([0, 1, 2], np.random.default_rng(0))
    assert len(batch.users) == 6  # a record each: two questions of a person may have two histories
    assert len(batch.candidates) == len(set(batch.candidates)) == 3 + 2 + 2
    pair = pairs[0]
    assert batch.candidates[batch.chosen[0]] == Exchange(f"tag : {pair.query}", pair.chosen)
    assert batch.candidates[batch.rejected[0]] == Exchange(f"tag : {pair.query}", pair.rejected)
    assert batch.contrast.tolist() == list(range(8))
    # The whole data set in one step: weights are means.
    assert batch.weights.sum().item() == pytest.approx(1.0)
    assert batch.contrast_weights.sum().item() == pytest.approx(1.0)


def test_contrast_judges_the_other_user(pairs, people):
    (batch,) = data(pairs, people).collate([0, 1, 2], np.random.default_rng(0))
    for i, other in zip(batch.contrast, batch.other, strict=True):
        expected = next(p for p in people if p.record_id == pairs[int(i)].other_record_id)
        assert batch.users[int(other)][0].context == f"tag : {expected.profile[0].input}"


def test_what_a_batch_needs_is_what_its_loss_reads(pairs, people):
    (batch,) = data(pairs, people).collate([0, 1, 2], np.random.default_rng(0))
    assert batch.needed.shape == (6, 7)
    rewards = torch.randn(6, 7)
    loss, _ = OBJECTIVE(rewards, batch)
    spoiled, _ = OBJECTIVE(rewards.masked_fill(~batch.needed, float("nan")), batch)
    assert spoiled == loss
    for cell in batch.needed.nonzero().tolist():
        missing = rewards.clone()
        missing[*cell] = float("nan")
        assert OBJECTIVE(missing, batch)[0].isnan()
    # Query a: 3 people x 3 answers, b: 2 x 2, c: one person, two answers.
    assert batch.needed.sum() == 9 + 4 + 2


def test_where_two_people_agree_there_is_no_contrast(pairs, people):
    same = [replace(p, rejected=p.chosen.upper()) if p.query == "b" else p for p in pairs]
    (batch,) = data(same, people).collate([0, 1, 2], np.random.default_rng(0))
    assert (batch.contrast_weights > 0).tolist() == [True] * 6 + [False] * 2
    assert batch.contrast_weights.sum().item() == pytest.approx(1.0)  # the mean over the six that are left
    rewards = torch.randn(6, len(batch.candidates))
    agreeing = rewards.clone()
    agreeing[batch.user[6:8]] += 5 * torch.randn(2, len(batch.candidates))
    contrasts = [OBJECTIVE(r, batch)[1]["contrast"] for r in (rewards, agreeing)]
    assert contrasts[0] == contrasts[1]
    assert OBJECTIVE(rewards, batch)[1]["swap_wins"] <= 6


def test_micro_batches_add_up(pairs, people, bilinear):
    gradients = []
    for size in (3, 1):
        bilinear.zero_grad()
        made = data(pairs, people, blocks_per_micro_batch=size).collate([0, 1, 2], np.random.default_rng(0))
        assert len(made) == 3 // size
        total = sum(OBJECTIVE(bilinear(b.users, b.candidates, b.needed), b)[0] for b in made)
        total.backward()
        gradients.append([total.detach()] + [p.grad.clone() for p in bilinear.parameters() if p.grad is not None])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, atol=1e-6, rtol=1e-4)


def test_the_step_estimates_the_whole(pairs, people):
    """A third of the blocks a step: over the blocks the weights average to the data set's mean."""
    made = data(pairs, people, blocks_per_step=1)
    sums = [made.collate([i], np.random.default_rng(0))[0] for i in range(3)]
    assert sum(b.weights.sum().item() for b in sums) / 3 == pytest.approx(1.0)
    assert sum(b.contrast_weights.sum().item() for b in sums) / 3 == pytest.approx(1.0)
    made = data(pairs, people, blocks_per_step=1, block_pairs=3)
    sums = [made.collate([i], np.random.default_rng(0))[0] for i in range(2)]
    assert sum(b.weights.sum().item() for b in sums) / 2 == pytest.approx(1.0)


def test_histories_are_thinned_anew(pairs, people):
    made = data(pairs, people, max_dropout=0.8, max_entries=1)
    drawn = {tuple(map(len, made.collate([0], np.random.default_rng(s))[0].users)) for s in range(20)}
    assert len(drawn) > 1
    assert max(max(lengths) for lengths in drawn) == 1
    a, b = (made.collate([0], np.random.default_rng(5))[0].users for _ in range(2))
    assert a == b


def test_a_record_that_is_not_there(pairs, people):
    with pytest.raises(BadInputError, match="same run"):
        histories_of(pairs, people[1:])


def test_held_out_queries_are_held_out_whole(pairs):
    many = [
        p.__class__(**{f: getattr(p, f) for f in p.__slots__} | {"query": f"{p.query}{i}"})
        for i in range(50)
        for p in pairs
    ]
    train, held = hold_out_queries(many, share=0.2)
    assert len(train) + len(held) == len(many)
    assert {p.query for p in train} & {p.query for p in held} == set()
    assert 0.1 < len({p.query for p in held}) / 150 < 0.3
