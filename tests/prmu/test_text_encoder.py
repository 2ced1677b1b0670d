import pytest
import torch

from tagpr.lm.attention import TWO_PART
from tagpr.prmu.arch import Bilinear
from tagpr.prmu.text_encoder import FrozenEncoder, Remembered, TextEncoder
from tagpr.prmu.texts import Exchange, Pasted

SHORT, LONG, OTHER = Exchange("a", "b"), Exchange("a rather long context", "and answer"), Exchange("c", "d")


def whole(encoder: TextEncoder, text: Exchange | Pasted) -> list[int]:
    ((before, response),) = encoder.token_ids([text])
    return [*before, *response]


def test_rows_do_not_depend_on_company(bilinear):
    encoder = bilinear.encoder
    together = encoder([LONG, SHORT, OTHER, SHORT])
    assert together.shape == (4, 16)
    for row, exchange in zip(together, [LONG, SHORT, OTHER, SHORT], strict=True):
        torch.testing.assert_close(row, encoder([exchange])[0], atol=1e-5, rtol=1e-4)
    encoder.batch_tokens = 1  # a text at a time
    torch.testing.assert_close(encoder([LONG, SHORT, OTHER, SHORT]), together, atol=1e-5, rtol=1e-4)
    assert encoder([]).shape == (0, 16)


def test_a_long_context_never_costs_the_response(bilinear):
    encoder = bilinear.encoder
    ids = whole(encoder, Exchange("x" * 500, "yes"))
    assert len(ids) == encoder.max_tokens == 64
    assert encoder.tokenizer.decode(ids).endswith(" => yes")
    ids = whole(encoder, Exchange("x" * 500, "y" * 500))
    assert len(ids) == 64
    text = encoder.tokenizer.decode(ids)
    assert text.count("x") == 32
    assert text.count("y") == 32 - len(" => ")
    ids = whole(encoder, Exchange("x", "y" * 500))
    assert encoder.tokenizer.decode(ids) == "x => " + "y" * 59


def test_frozen_encoder_reads_once_and_forgets_the_oldest(bilinear):
    frozen = FrozenEncoder(bilinear.encoder, capacity=2)
    torch.testing.assert_close(
        frozen([SHORT, LONG, SHORT]), bilinear.encoder([SHORT, LONG, SHORT]), atol=1e-5, rtol=1e-4
    )
    assert frozen.num_encoded == 2
    frozen([LONG, SHORT])
    assert frozen.num_encoded == 2
    frozen([OTHER])  # pushes out LONG, which was used before SHORT
    frozen([SHORT, OTHER])
    assert frozen.num_encoded == 3
    frozen([LONG])
    assert frozen.num_encoded == 4
    assert not frozen([SHORT]).requires_grad
    assert frozen([]).shape == (0, 16)


def test_ages_are_not_read(bilinear):
    frozen = FrozenEncoder(bilinear.encoder, capacity=9)
    old, new = frozen([SHORT._replace(age=7), SHORT._replace(age=0)])
    assert torch.equal(old, new)
    assert frozen.num_encoded == 1


def test_what_other_weights_made_is_forgotten(bilinear):
    frozen = FrozenEncoder(bilinear.encoder, capacity=9)
    before = frozen([SHORT])
    with torch.no_grad():
        bilinear.encoder.backbone.layers[1].mlp.up_proj.weight.add_(0.5)
    after = frozen([SHORT])
    assert frozen.num_encoded == 2
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(after, bilinear.encoder([SHORT]))
    bilinear.encoder.load_state_dict(bilinear.encoder.state_dict())
    frozen([SHORT])
    assert frozen.num_encoded == 3


def test_remembered_is_bounded_and_holds_no_batch_alive():
    kept = Remembered(capacity=2)
    batch = torch.randn(500, 3, requires_grad=True)
    for i in range(4):
        kept.put(i, batch[i])
    assert len(kept) == 2
    assert [kept.get(i) is None for i in range(4)] == [True, True, False, False]
    row = kept.get(3)
    assert row is not None
    assert row.untyped_storage().nbytes() == 3 * 4
    assert not row.requires_grad


GROUPS = [
    *(Exchange("a rather long context", answer) for answer in ("one", "and two", "3")),
    *(Exchange("another", answer) for answer in ("one", "two of them", "x")),
    *(Exchange("pair", answer) for answer in ("yes", "no")),
    Exchange("alone", "yes"), Exchange("", "yes"), Exchange("", "no"),
    Pasted((SHORT, LONG), Exchange("pair", "yes"), 64), Pasted((SHORT, LONG), Exchange("pair", "not"), 64),
]  # fmt: skip


@pytest.mark.parametrize("batch_tokens", [1, 60, 9999])
def test_a_shared_context_read_once_gives_the_same(make_model, batch_tokens):
    encoder = make_model(Bilinear).encoder
    encoder.batch_tokens = batch_tokens
    weights = torch.randn(len(GROUPS), 16)
    found = []
    for attention in ("sdpa", TWO_PART):
        encoder.backbone.set_attn_implementation(attention)
        encoder.zero_grad()
        hidden = encoder(GROUPS)
        (hidden * weights).sum().backward()
        found.append([hidden.detach(), *(p.grad.clone() for p in encoder.parameters() if p.grad is not None)])
    for plain, shared in zip(*found, strict=True):
        torch.testing.assert_close(shared, plain, atol=2e-5, rtol=1e-4)


def test_a_shared_context_is_read_once(make_model):
    encoder = make_model(Bilinear).encoder
    read = []
    encoder.backbone.embed_tokens.register_forward_hook(lambda module, args, output: read.append(args[0].numel()))
    answers = [Exchange("x" * 40, answer) for answer in ("one", "two", "six")]  # 40 and 3 x (4 + 3) tokens
    encoder.backbone.set_attn_implementation("sdpa")
    encoder(answers)
    encoder.backbone.set_attn_implementation(TWO_PART)
    encoder(answers)
    assert read == [3 * 47, 40 + 3 * 7]


def text(encoder: TextEncoder, history, *, history_tokens: int, response: str = "yes") -> str:
    return encoder.tokenizer.decode(whole(encoder, Pasted(history, Exchange("q", response), history_tokens)))


def test_a_pasted_history_is_what_fits_the_latest_first(bilinear):
    encoder = bilinear.encoder
    history = (Exchange("old", "a"), Exchange("mid", "b"), Exchange("new", "c"))  # 9 tokens each with the line's end
    assert text(encoder, history, history_tokens=99) == "old => a\nmid => b\nnew => c\nq => yes"
    assert text(encoder, history, history_tokens=27).startswith("old")
    assert text(encoder, history, history_tokens=26) == "mid => b\nnew => c\nq => yes"
    assert text(encoder, history, history_tokens=17) == "new => c\nq => yes"
    assert text(encoder, (), history_tokens=17) == "q => yes"
    # The latest is cut rather than left out; its answer stays.
    assert text(encoder, (Exchange("x" * 30, "c"),), history_tokens=12) == "xxxxxx => c\nq => yes"
    # An older one that does not fit ends it: what is read has no holes.
    holes = (Exchange("old", "a"), Exchange("x" * 30, "b"), Exchange("new", "c"))
    assert text(encoder, holes, history_tokens=30) == "new => c\nq => yes"


def test_answers_of_any_length_follow_the_same_history(bilinear):
    history = tuple(Exchange(f"entry {i}", "a") for i in range(9))
    asked = [Pasted(history, Exchange("q", answer), 40) for answer in ("y", "y" * 40)]
    (before, _), (same, _) = bilinear.encoder.token_ids(asked)
    assert before == same
