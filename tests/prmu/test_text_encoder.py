import torch

from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import Exchange

SHORT, LONG, OTHER = Exchange("a", "b"), Exchange("a rather long context", "and answer"), Exchange("c", "d")


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
    (ids,) = encoder.token_ids([Exchange("x" * 500, "yes")])
    assert len(ids) == encoder.max_tokens == 64
    assert encoder.tokenizer.decode(ids).endswith(" => yes")
    (ids,) = encoder.token_ids([Exchange("x" * 500, "y" * 500)])
    assert len(ids) == 64
    text = encoder.tokenizer.decode(ids)
    assert text.count("x") == 32
    assert text.count("y") == 32 - len(" => ")
    (ids,) = encoder.token_ids([Exchange("x", "y" * 500)])
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
