"""What every architecture owes: one row per user, a generic user without history, and the algebra of the personal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tagpr.errors import UserError
from tagpr.lm.attention import TWO_PART
from tagpr.prmu.arch import ARCHES, Agnostic, Basis, Bilinear, HistoryText, PrmuArch, Similarity
from tagpr.prmu.datamodule import PairData, histories_of
from tagpr.prmu.gate import WarnGate
from tagpr.prmu.judge import best_of_n, judge_pairs, pair_metrics, pick_metrics, swap_wins
from tagpr.prmu.loss import personal_contrast
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.module import PrmuObjective
from tagpr.prmu.pairs import PolicySample, shared_query_pairs
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import Exchange, query_context, user_history
from tagpr.prmu.user_encoder import UserEncoder

WITH_USERS = [kind for kind in ARCHES.values() if kind is not Agnostic]
SHRINKING = [Basis, Bilinear, Similarity]
USERS = [(Exchange("tag : a", "quiet"),), (), tuple(Exchange(f"tag : {i}", "cosy") for i in range(4))]
QUERIES, ANSWERS = ["tag : x", "tag : x", "tag : z"], ["quiet", "cosy", "quiet"]


def trained(model: PrmuModel) -> PrmuModel:
    """Parameters as training might leave them: nothing at its start."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.arch.parameters():
            parameter.add_(torch.randn_like(parameter))
    return model.eval()


def query_aware(model: PrmuModel) -> PrmuModel:
    keywords: dict[str, Any] = model.arch.hyperparameters() | {"pooling": "query_aware"}
    model.arch = type(model.arch)(hidden_size=16, **keywords)
    return model


@pytest.fixture(params=[*ARCHES, "bilinear, query-aware", "basis, query-aware"])
def model(request, make_model) -> PrmuModel:
    name, _, pooling = request.param.partition(", ")
    made = make_model(ARCHES[name])
    return trained(query_aware(made) if pooling else made)


def test_one_answer_for_many_users_equals_many_scorings(model):
    together = model.score(USERS, QUERIES, ANSWERS)
    assert together.shape == (3, 3)
    for u, user in enumerate(USERS):
        for b, (query, answer) in enumerate(zip(QUERIES, ANSWERS, strict=True)):
            alone = model.score([user], [query], [answer])
            torch.testing.assert_close(together[u, b], alone[0, 0], atol=1e-4, rtol=1e-4)
    frozen = FrozenEncoder(model.encoder, capacity=99)
    for _ in range(2):
        torch.testing.assert_close(model.score(USERS, QUERIES, ANSWERS, encode=frozen), together, atol=1e-4, rtol=1e-4)


def test_what_is_needed_is_there(model):
    needed = torch.tensor([[True, False, True], [False, False, True], [False, True, False]])
    whole, part = (model.score(USERS, QUERIES, ANSWERS, needed=n) for n in (None, needed))
    torch.testing.assert_close(part[needed], whole[needed], atol=1e-4, rtol=1e-4)
    if type(model.arch) is HistoryText:
        assert part[~needed].isnan().all()


def test_the_history_is_read_unless_the_arch_is_blind(model):
    rewards = model.score([USERS[0], USERS[2]], QUERIES, ANSWERS)
    differs = bool((rewards[0] - rewards[1]).abs().max() > 1e-3)
    assert differs == (type(model.arch) is not Agnostic)


def test_without_history_everybody_is_the_generic_user(model):
    rewards = model.score([(), (), USERS[0]], QUERIES, ANSWERS)
    torch.testing.assert_close(rewards[0], rewards[1], atol=0, rtol=0)
    generic = model.score([()], QUERIES, ANSWERS)[0]
    torch.testing.assert_close(rewards[0], generic, atol=1e-5, rtol=1e-5)
    if type(model.arch) is Similarity:
        assert generic.tolist() == [0.0] * 3


def test_the_questions_own_entry_is_never_in_its_history(model, make_record):
    """Planted by id and planted by text: both are taken out before any architecture sees them."""
    record = make_record("r", "u", query="a calm hall", gold="quiet", history=(("a pier", "seaside"),))
    (entry,) = record.profile
    by_id = replace(entry, entry_id="r", input="other words", response="quiet")
    by_text = replace(entry, entry_id="e", input=" a calm  hall", response="quiet")
    planted = replace(record, profile=(entry, by_id, by_text))
    expected, found = (
        model.score([user_history(r)], [query_context(r)] * 2, ["quiet", "grand"]) for r in (record, planted)
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize("kind", SHRINKING)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_spread_over_users_goes_to_zero_with_the_history(kind, data):
    """|R(u) - R(generic)| <= n/(n+n0) * what a full history could do, for any entries whatever: bounded by n alone.

    The bound on the user vector is LN's: its length is at most |gamma| sqrt(k) + |beta|. Cosines are at most 1.
    """
    prior = data.draw(st.sampled_from([1.0, 30.0, 1e4]))
    length = data.draw(st.integers(0, 6))
    seed = data.draw(st.integers(0, 99))
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(40, 6, generator=generator) * 5

    def encode(texts: Sequence[Any]) -> torch.Tensor:
        return vectors[[sum(map(ord, text.context + text.response)) % 40 for text in texts]]

    reader = {"dim": 4, "prior_entries": prior, "recency_buckets": 2, "pooling": "query_aware"}
    torch.manual_seed(seed)
    arch = {
        Basis: lambda: Basis(hidden_size=6, num_prototypes=3, **reader),
        Bilinear: lambda: Bilinear(hidden_size=6, **reader),
        Similarity: lambda: Similarity(hidden_size=6, prior_entries=prior),
    }[kind]()
    with torch.no_grad():
        for parameter in arch.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    users = [tuple(Exchange(f"{u} {i}", "y") for i in range(length)) for u in range(3)] + [()]
    candidates = [Exchange("q", answer) for answer in ("a", "b")]
    with torch.no_grad():
        rewards = arch.score(encode, users, candidates, needed=None)
        share = length / (length + prior)
        if isinstance(arch, Similarity):
            bound = torch.full((2,), share)
        else:
            reader_of = arch.user_encoder
            norm = reader_of.norm
            furthest = norm.weight.abs().max() * 4**0.5 + norm.bias.norm() + reader_of.generic.norm()  # of |e_u - e_0|
            c = encode(candidates)
            if isinstance(arch, Bilinear):
                slope = (c @ arch.interaction).norm(dim=1) / 4**0.5
            else:  # softmax is 1-Lipschitz from the 2-norm to the 2-norm
                slope = torch.linalg.matrix_norm(arch.mixture.weight, ord=2) * (c @ arch.prototypes.T).norm(dim=1)
            bound = share * furthest * slope
    assert ((rewards[:3] - rewards[3]).abs() <= bound + 1e-4).all()
    if length == 0:
        assert (rewards == rewards[0]).all()


@pytest.mark.parametrize("attention", ["sdpa", TWO_PART])
@pytest.mark.parametrize("kind", WITH_USERS)
def test_a_texts_forward_is_not_repeated(kind, attention, make_model):
    """Three users, four answers: one reading per text. history_text reads each user's history for each question."""
    model = trained(make_model(kind))
    model.encoder.backbone.set_attn_implementation(attention)
    read = []
    model.encoder.backbone.embed_tokens.register_forward_hook(lambda module, args, output: read.append(args[0].numel()))
    model.encoder.batch_tokens = 1  # every reading its own, nothing is padded
    users = [tuple(Exchange(f"t : {u}{i}", "y") for i in range(2)) for u in range(3)]  # entries of 11 tokens
    model.score(users, ["t : 99"] * 4, ["a", "b", "c", "d"])
    entries, answers = 6 * 11, 4 * 11
    if attention == TWO_PART:
        answers = 6 + 4 * 5  # the question once
    cost = {
        Basis: entries + answers,
        Bilinear: entries + answers,
        Similarity: 4 * 5 + 5,  # "y" is the response of every entry
        HistoryText: 3 * ((24 if attention == TWO_PART else 4 * 24) + answers),
    }
    assert sum(read) == cost[kind]


class Concatenated(PrmuArch):
    """R = w.c + v.e_u: the user stands beside the answer."""

    def __init__(self, *, hidden_size: int) -> None:
        super().__init__()
        self.user_encoder = UserEncoder(
            hidden_size=hidden_size, dim=4, prior_entries=1.0, recency_buckets=2, pooling="mean_attention"
        )
        self.head = nn.Linear(hidden_size + 4, 1, bias=False)

    def hyperparameters(self):
        return {}

    def score(self, encode, users, candidates, *, needed):
        c, e = self.user_encoder.encode(encode, users, candidates)
        both = torch.cat([c.expand(len(users), -1, -1), e.expand(-1, len(candidates), -1)], dim=-1)
        return self.head(both)[..., 0]


class Additive(PrmuArch):
    """R = a(x, y) + b(u, x), each as wild as it likes: it never reads the answer with the user in mind.

    In double precision, so that what is 0 in algebra is far below the tolerance of ties.
    """

    def __init__(self, *, hidden_size: int) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.quality = nn.Sequential(nn.Linear(hidden_size, 9), nn.Tanh(), nn.Linear(9, 1)).double()
        self.person = nn.Sequential(nn.Linear(2 * hidden_size, 9), nn.Tanh(), nn.Linear(9, 1)).double()

    def hyperparameters(self):
        return {}

    def score(self, encode, users, candidates, *, needed):
        a = self.quality(encode(candidates).double())[:, 0]
        x = encode([Exchange(one.context, "") for one in candidates]).double()
        u = torch.stack(
            [encode(history).double().mean(dim=0) if history else x.new_zeros(x.shape[1]) for history in users]
        )
        pairs = torch.cat([u[:, None].expand(-1, len(x), -1), x.expand(len(u), -1, -1)], dim=-1)
        return 5.0 * a + 5.0 * self.person(pairs)[..., 0]


LABELS = ("cosy", "grand", "eerie", "quiet")


@pytest.fixture
def people(make_record):
    return [
        make_record(f"r{i}", f"u{i}", gold=gold, history=((f"x{i}", gold), (f"y{i}", gold)))
        for i, gold in enumerate(LABELS)
    ]


@pytest.fixture
def pairs(people):
    (block,) = shared_query_pairs(people, people_per_query=9, generator=np.random.default_rng(0))
    return block


def of(kind: type[PrmuArch], bilinear: PrmuModel) -> PrmuModel:
    return PrmuModel(encoder=bilinear.encoder, arch=kind(hidden_size=16), max_entries=4).eval()  # pyright: ignore[reportCallIssue]


def test_a_concatenated_user_cancels_in_every_pair_of_one_user(bilinear, people, pairs):
    """Algebra (1): whatever v and e_u are, they get no gradient from pairs, contrasts are 0, and margins are w's."""
    model = of(Concatenated, bilinear)
    arch = model.arch
    assert isinstance(arch, Concatenated)
    histories, contexts = histories_of(pairs, people)
    data = PairData(
        pairs=pairs, histories=histories, contexts=contexts, block_pairs=1, blocks_per_step=1,
        blocks_per_micro_batch=1, max_dropout=0.0, max_entries=9, seed=0,
    )  # fmt: skip
    (batch,) = data.collate([0], np.random.default_rng(0))
    objective = PrmuObjective(margin=0.5, temperature=1.0, contrast_weight=1.0, l2=0.0)
    rewards = model(batch.users, batch.candidates, batch.needed)
    assert (rewards[0] - rewards[1]).abs().min() > 1e-2  # the user does move rewards
    objective(rewards, batch)[0].backward()
    assert arch.head.weight.grad is not None
    assert arch.head.weight.grad[0, 16:].abs().max() < 1e-6
    assert arch.head.weight.grad[0, :16].abs().max() > 1e-3
    for parameter in arch.user_encoder.parameters():
        assert parameter.grad is None or parameter.grad.abs().max() < 1e-6
    judged = judge_pairs(model, pairs, histories, contexts, chunk=5, encode=FrozenEncoder(model.encoder, capacity=99))
    torch.testing.assert_close(judged.margins, judged.other_margins, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [Additive, Agnostic])
def test_what_never_reads_the_answer_with_the_user_in_mind_is_at_chance(kind, bilinear, people, pairs):
    """Algebra (2), through the judge and the gate themselves."""
    model = of(kind, bilinear)
    if kind is Agnostic:
        with torch.no_grad():
            model.arch.head.weight.normal_(0, 5)  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
    encode = FrozenEncoder(model.encoder, capacity=99)
    judged = judge_pairs(model, pairs, *histories_of(pairs, people), chunk=5, encode=encode)
    assert judged.margins.abs().min() > 1e-2  # it has opinions
    metrics = pair_metrics(judged, prefix="p")
    assert {name for name in metrics if "swap" in name or "N1" in name} == set(metrics)
    assert set(metrics.values()) == {0.5}
    contrast = personal_contrast(judged.margins, judged.other_margins)
    assert contrast.abs().max() < (1e-9 if kind is Additive else 1e-4)
    samples = [
        PolicySample(
            record_id=person.record_id, user_id=person.user_id, task="S2", split="dev", with_history=True,
            sample_index=i, answer=answer, parsed=True, score=float(answer == person.gold),
        )
        for person in people
        for i, answer in enumerate(LABELS)
    ]  # fmt: skip
    references = {"S2": [user_history(person) for person in people[:2]]}
    best = best_of_n(model, samples, {person.record_id: person for person in people}, references, encode=encode)
    assert torch.equal(best.picked, best.blind)
    found = pick_metrics(best, prefix="b")
    # One answer is the best for all four people, and right for one of them.
    assert found == {"b/picked": 0.25, "b/blind": 0.25, "b/random": 0.25}
    swaps, *couples = swap_wins(judged)
    report = WarnGate(num_resamples=20).check(swaps, (couples[0], couples[1]), best, seed=0)
    assert not report["met"]
    assert (report["swap"]["accuracy"], report["best_of_n"]["gain_over_blind"]) == (0.5, 0.0)


def test_bilinear_passes_where_those_are_at_chance(bilinear, people, pairs):
    """The same figures are alive for a model that does compare answer and person."""
    encode = FrozenEncoder(bilinear.encoder, capacity=99)
    judged = judge_pairs(bilinear, pairs, *histories_of(pairs, people), chunk=5, encode=encode)
    assert pair_metrics(judged, prefix="p")["p/swap_accuracy"] > 0.6


def test_basis_by_hand(make_model):
    """R = sum_j softmax(M e)_j v_j.c."""
    model = trained(make_model(Basis))
    arch = model.arch
    assert isinstance(arch, Basis)
    c = model.encoder([Exchange(QUERIES[0], ANSWERS[0])])[0]
    weights = (arch.mixture.weight @ arch.user_vectors(model.encoder, [USERS[2]])[0]).exp()
    expected = sum(w * (v @ c) for w, v in zip(weights, arch.prototypes, strict=True)) / weights.sum()
    torch.testing.assert_close(model.score([USERS[2]], QUERIES[:1], ANSWERS[:1])[0, 0], expected)


def test_basis_starts_alive(make_model):
    """What a user is like is liked from step 0, on average over seeds."""
    model = make_model(Basis)
    users = [tuple(Exchange(f"tag : {i}", label) for i in range(4)) for label in LABELS]
    wins = []
    for seed in range(20):
        torch.manual_seed(seed)
        model.arch = Basis(hidden_size=16, **model.arch.hyperparameters())
        rewards = model.score(users, ["tag : x"] * 4, list(LABELS))
        own = rewards - rewards.mean(dim=0, keepdim=True)
        wins.append(float((own - own.mean(dim=1, keepdim=True)).diagonal().mean()))
    assert sum(w > 0 for w in wins) >= 16


def test_similarity_by_hand(make_model):
    """Two of two past responses: cosines, times n/(n+n0) = 2/4, whatever question and inputs are."""
    model = make_model(Similarity)
    y, a, b = model.encoder([Exchange("", text) for text in ("quiet", "cosy", "grand")])
    history = (Exchange("tag : 1", "cosy"), Exchange("tag : 2", "grand"))
    expected = 0.5 * (torch.cosine_similarity(y, a, dim=0) + torch.cosine_similarity(y, b, dim=0)) / 2
    rewards = model.score([history], ["tag : x", "tag : other"], ["quiet", "quiet"])
    torch.testing.assert_close(rewards[0], expected.expand(2))
    # Somebody who always answers `cosy` prefers it to anything else.
    always = model.score([(Exchange("tag : 1", "cosy"),)], ["tag : x"] * 3, ["cosy", "grand", "quiet"])[0]
    assert always.argmax() == 0
    assert always[0].item() == pytest.approx(1 / 3, abs=1e-5)
    assert not list(model.arch.parameters())


def test_history_text_reads_what_fits(make_model):
    """80 tokens hold six entries of 13: the seventh from the end changes nothing, the sixth does."""
    model = make_model(HistoryText)
    model.max_entries = 9
    history = tuple(Exchange(f"tag : {i}", "y", age=8 - i) for i in range(9))
    rewards = [
        model.score([(*history[:at], Exchange("tag : 9", "n"), *history[at + 1 :])], ["tag : x"], ["quiet"]).item()
        for at in (2, 3)
    ]
    plain = model.score([history], ["tag : x"], ["quiet"]).item()
    assert rewards[0] == pytest.approx(plain, abs=1e-6)
    assert rewards[1] != pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(
    "kind, wrong",
    [(Basis, {"num_prototypes": 1}), (HistoryText, {"history_tokens": 0}), (Similarity, {"prior_entries": 0.0})],
)
def test_wrong_settings(kind, wrong, make_model):
    settings = make_model(kind).arch.hyperparameters() | wrong
    ((name, value),) = wrong.items()
    with pytest.raises(UserError, match=f"prmu.arch.{name}={value}, expected"):
        kind(hidden_size=16, **settings)
