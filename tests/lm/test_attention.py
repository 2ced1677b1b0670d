from __future__ import annotations

import pytest
import torch

from tagpr.lm.attention import SharedPrefix, packed_attention
from tagpr.lm.padding import Padding


def test_padding_there_and_back() -> None:
    mask = torch.tensor([[True, False, False], [True, True, True]])
    padding = Padding.of_mask(mask)
    packed = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    padded = padding.pad(packed)
    assert padded[mask].flatten().tolist() == [1, 2, 3, 4]
    assert padding.pack(padded).equal(packed)
    assert Padding.of_mask(torch.ones(2, 2, dtype=torch.bool)).slots is None


def test_gradients_by_finite_differences() -> None:
    prompt_mask = torch.tensor([[True, True, True], [True, True, False]])
    completion_mask = torch.tensor([[[True, True], [True, False]], [[False, False], [True, True]]])
    layout = SharedPrefix.of_masks(prompt_mask, completion_mask, dtype=torch.float64)
    torch.manual_seed(0)
    q = torch.randn(10, 4, 3, dtype=torch.float64, requires_grad=True)
    k, v = (torch.randn(10, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda *qkv: layout.attend(0, *qkv, 0.5), (q, k, v))


def test_what_packed_rows_do_not_know_is_refused() -> None:
    layout = SharedPrefix.of_masks(torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 0, 0).bool(), dtype=torch.float32)
    states = torch.randn(1, 2, 2, 4)
    with pytest.raises(ValueError, match="sliding_window=8"):
        packed_attention(torch.nn.Module(), states, states, states, None, scaling=1.0, packed=layout, sliding_window=8)
