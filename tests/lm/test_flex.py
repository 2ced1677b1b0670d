"""FlexAttention's masks against their definition; its values and gradients, by formula on CPU, by kernels on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, create_mask, flex_attention
from transformers import PreTrainedModel

from tagpr.errors import UserError
from tagpr.lm.attention import SharedPrefix
from tagpr.lm.batches import GroupedBatch
from tagpr.lm.flex import BLOCK, FlexPrefix, SeenRuns, check_kernel
from tagpr.lm.forward import check_against_padded, completion_logprobs, fast_method, gap_to_padded
from tests.devices import DEVICES, on_gpu
from tests.lm.conftest import token_lists

MakeModel = Callable[..., PreTrainedModel]
CPU = torch.device("cpu")
UNEVEN = ([7, 3], [[5, 1, 4], [2, 9, 3]])  # B = 2, G = 3


def layout_of(prompts: list[int], completions: list[list[int]]) -> SharedPrefix:
    def mask(lengths: Tensor) -> Tensor:
        return torch.arange(int(lengths.max()) if lengths.numel() else 0) < lengths[..., None]

    prompt_mask = mask(torch.tensor(prompts))
    tails = torch.tensor(completions).view(len(prompts), -1)
    return SharedPrefix.of_masks(prompt_mask, mask(tails), dtype=torch.float32)


def batch_of(prompts: list[int], completions: list[list[int]]) -> GroupedBatch:
    groups = [token_lists(lengths, seed=100 + number) for number, lengths in enumerate(completions)]
    return GroupedBatch.from_lists(token_lists(prompts, seed=1), groups, pad_id=257)


def packed_qkv(layout: SharedPrefix, *, heads: int, num_tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return tuple(torch.randn(num_tokens, n, 16, generator=draw) for n in (heads, 2, 2))  # type: ignore[return-value]


def seen_by_definition(prompts: list[int], completions: list[list[int]]) -> list[list[bool]]:
    """Token by token: its sequence, its group, its place; then who sees whom."""
    tokens = [(b, None, t) for b, length in enumerate(prompts) for t in range(length)]
    tokens += [
        (b, g, t) for b, group in enumerate(completions) for g, length in enumerate(group) for t in range(length)
    ]

    def sees(query: tuple[int, int | None, int], key: tuple[int, int | None, int]) -> bool:
        if query[0] != key[0]:
            return False
        if query[1] == key[1]:
            return key[2] <= query[2]
        return key[1] is None

    return [[sees(query, key) for key in tokens] for query in tokens]


def blocks_of(counts: Tensor, indices: Tensor) -> set[tuple[int, int]]:
    return {
        (row, column)
        for row, count in enumerate(counts[0, 0].tolist())
        for column in indices[0, 0, row, :count].tolist()
    }


def listed(mask: BlockMask) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Blocks that hold something, those among them that are full."""
    assert mask.full_kv_num_blocks is not None
    assert mask.full_kv_indices is not None
    full = blocks_of(mask.full_kv_num_blocks, mask.full_kv_indices)
    partial = blocks_of(mask.kv_num_blocks, mask.kv_indices)
    assert not full & partial
    return full | partial, full


@pytest.mark.parametrize(
    ("prompts", "completions"),
    [UNEVEN, ([4], [[6]]), ([2, 6], [[0, 3], [1, 0]]), ([1, 1, 9], [[1], [1], [1]]), ([3, 5], [[], []])],
    ids=["uneven", "one", "empty_completions", "single_tokens", "no_completions"],
)
def test_the_mask_is_its_definition(prompts: list[int], completions: list[list[int]]) -> None:
    expected = torch.tensor(seen_by_definition(prompts, completions))
    mask = FlexPrefix.of_layout(layout_of(prompts, completions), device=CPU).mask
    assert mask.shape == (1, 1, len(expected), len(expected))
    assert create_mask(mask.mask_mod, None, None, len(expected), len(expected), device="cpu")[0, 0].equal(expected)


@settings(max_examples=20, deadline=None)
@given(
    prompts=st.lists(st.integers(1, 400), min_size=1, max_size=3),
    num_completions=st.integers(0, 3),
    data=st.data(),
)
def test_no_block_is_missed(prompts: list[int], num_completions: int, data: st.DataObject) -> None:
    """Against torch's own reading of the mask, which goes through every query and key."""
    lengths = st.lists(st.integers(0, 300), min_size=num_completions, max_size=num_completions)
    layout = layout_of(prompts, [data.draw(lengths) for _ in prompts])
    mask = FlexPrefix.of_layout(layout, device=CPU).mask
    size = mask.shape[-1]
    torchs = create_block_mask(mask.mask_mod, None, None, size, size, device="cpu", BLOCK_SIZE=BLOCK)
    (touched, full), (expected, expected_full) = listed(mask), listed(torchs)
    assert touched == expected
    # A block that two runs fill together counts as partial: its keys are looked at one by one, and all seen.
    assert full <= expected_full
    assert len(expected_full - full) <= -(-size // BLOCK)


def test_blocks_by_hand() -> None:
    """A prompt of 300 and two completions of 200: blocks of 128 tokens, six each way."""
    mask = FlexPrefix.of_layout(layout_of([300], [[200, 200]]), device=CPU).mask
    touched, full = listed(mask)
    assert touched == {
        (0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2), (3, 3),
        (4, 0), (4, 1), (4, 2), (4, 3), (4, 4), (5, 0), (5, 1), (5, 2), (5, 3), (5, 4), (5, 5),
    }  # fmt: skip
    # The last row of blocks is short, and so never full; 300..383 is the first completion's part of block 2.
    assert full == {(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1)}


@pytest.mark.parametrize("heads", [2, 4, 6])
def test_values_on_cpu_equal_two_part_attention(heads: int) -> None:
    prompts, completions = [150, 40], [[30, 1, 90], [60, 7, 0]]
    layout = layout_of(prompts, completions)
    query, key, value = packed_qkv(layout, heads=heads, num_tokens=378)
    flex = FlexPrefix.of_layout(layout, device=CPU)
    expected = layout.attend(0, query, key, value, 0.3)
    torch.testing.assert_close(flex.attend(0, query, key, value, 0.3), expected, atol=1e-5, rtol=0)
    rows = torch.tensor([377, 149, 0, 200, 189])
    asked = flex.attend(0, query[rows], key, value, 0.3, rows)
    torch.testing.assert_close(asked, expected[rows], atol=1e-5, rtol=0)


def test_scores_on_cpu_equal_padded(make_model: MakeModel, llama: PreTrainedModel) -> None:
    for model in (make_model(attention="flex"), make_model(), llama):
        for batch in (batch_of(*UNEVEN), batch_of([7, 1, 4], [[2], [1], [9]])):
            assert gap_to_padded(model, batch, temperature=0.7, method="flex", chunk_size=5) <= 1e-5


def test_new_lengths_are_not_compiled_anew() -> None:
    compiled: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        compiled.append(1)
        return graph.forward

    attend = torch.compile(flex_attention, dynamic=True, backend=backend)
    for first, second in [(300, 100), (200, 3), (140, 500), (31, 77), (150, 128)]:
        layout = layout_of([first, 20], [[second, 5, 9], [1, 40, 0]])
        num_tokens = first + second + 75
        query, key, value = (one.transpose(0, 1)[None] for one in packed_qkv(layout, heads=4, num_tokens=num_tokens))
        mask = FlexPrefix.of_layout(layout, device=CPU).mask
        attend(query, key, value, block_mask=mask, scale=0.3, enable_gqa=True)
    # Twice at most, for five lengths: a first number of blocks that equals the number of heads is taken for that.
    assert len(compiled) <= 2


def test_rooms_that_choose_take_it_on_a_gpu_alone(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(attention="flex")
    assert model.config._attn_implementation == "flex"
    assert fast_method(model) == "two_part"
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    assert fast_method(model) == "flex"
    assert fast_method(make_model(attention="two_part")) == "two_part"
    assert fast_method(make_model(attention="sdpa")) == "padded"


def test_where_it_cannot_be_used_is_said(make_model: MakeModel) -> None:
    with pytest.raises(UserError, match=r"no backward pass on cpu: set rl\.method=two_part"):
        completion_logprobs(make_model(), batch_of(*UNEVEN), temperature=1.0, method="flex", chunk_size=8)
    with pytest.raises(UserError, match=r"heads have 8 dimensions.*16 or more on cuda"):
        check_kernel("cuda", head_dim=8, trains=True)
    check_kernel("cuda", head_dim=16, trains=True)
    check_kernel("cpu", head_dim=8, trains=False)


def test_the_self_check_sees_a_wrong_mask(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = make_model(), batch_of(*UNEVEN)
    check_against_padded(model, batch, temperature=1.0, method="flex", chunk_size=8)
    right = SeenRuns.of_layout

    def without_prompts(layout: SharedPrefix, *, device: torch.device) -> SeenRuns:
        runs = right(layout, device=device)
        return SeenRuns(
            own_first=runs.own_first,
            own_end=runs.own_end,
            shared_first=runs.shared_first,
            shared_end=runs.shared_first,
        )

    monkeypatch.setattr(SeenRuns, "of_layout", without_prompts)
    with pytest.raises(RuntimeError, match="method=flex differ from the padded ones"):
        check_against_padded(model, batch, temperature=1.0, method="flex", chunk_size=8)


# --- with gradients: on a GPU the kernels, on CPU torch's own formulas for them --------------------------------------


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """On CPU torch refuses to train, but has all that it takes apart from a kernel: the refusals are lifted."""
    if request.param == "cpu":
        compiled = torch.compile(flex_attention, dynamic=True, backend="aot_eager")

        def attend(query: Tensor, key: Tensor, value: Tensor, mask: BlockMask, scale: float) -> Tensor:
            return compiled(query, key, value, block_mask=mask, scale=scale, enable_gqa=True)

        monkeypatch.setattr("torch.nn.attention.flex_attention._validate_device", lambda *tensors: None)
        monkeypatch.setattr("tagpr.lm.flex.check_kernel", lambda *args, **kwargs: None)
        monkeypatch.setattr("tagpr.lm.flex.flex_attend", attend)
    return request.param


def assert_gradients_agree(model: PreTrainedModel, batch: GroupedBatch, *, tolerance: float) -> None:
    found = {}
    for method in ("padded", "flex"):
        model.zero_grad()
        scores = completion_logprobs(model, batch, temperature=0.7, method=method, chunk_size=64).logprobs
        (scores * torch.linspace(-1, 1, scores.numel(), device=scores.device).view_as(scores)).sum().backward()
        grads = torch.cat([p.grad.float().flatten() for p in model.parameters() if p.grad is not None])
        found[method] = scores.detach(), grads
    (expected, expected_grads), (scores, grads) = found["padded"], found["flex"]
    assert grads.isfinite().all()
    assert float((scores - expected).abs().max()) <= 2 * tolerance
    assert float((grads - expected_grads).norm() / expected_grads.norm()) <= tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 5e-2)], ids=["full", "half"])
def test_values_and_gradients(make_model: MakeModel, device: str, dtype: torch.dtype, tolerance: float) -> None:
    """Batches of several lengths, so that the kernel compiled for one serves the others."""
    model = make_model(attention="flex").to(device, dtype)
    for prompts, completions in (([150, 40], [[30, 1, 90], [60, 7, 50]]), ([90], [[128, 200]])):
        batch = batch_of(prompts, completions).to(torch.device(device))
        assert_gradients_agree(model, batch, tolerance=tolerance)


def test_three_query_heads_per_key_head(llama: PreTrainedModel, device: str) -> None:
    """Neither the ratio of heads nor their dimension, 24, is a power of two."""
    config = llama.config.__class__(**{**llama.config.to_dict(), "hidden_size": 144, "head_dim": 24})
    model = type(llama)(config).eval()
    model.set_attn_implementation("flex")
    batch = batch_of([150, 40], [[30, 1, 90], [60, 7, 50]]).to(torch.device(device))
    assert_gradients_agree(model.to(device), batch, tolerance=1e-5)


def test_lora_checkpointing_and_autocast(make_model: MakeModel, device: str) -> None:
    adapted = get_peft_model(
        make_model(attention="flex").to(device),
        LoraConfig(r=2, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False),
    )
    adapted.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    adapted.enable_input_require_grads()
    adapted.train()
    batch = batch_of([150, 40], [[30, 1, 90], [60, 7, 50]]).to(torch.device(device))
    assert_gradients_agree(adapted, batch, tolerance=1e-5)
    with torch.autocast(device, dtype=torch.bfloat16):
        assert_gradients_agree(adapted, batch, tolerance=5e-2)


@on_gpu
def test_memory_on_a_gpu_follows_the_tokens(make_model: MakeModel) -> None:
    """A row of 16k tokens: a score matrix of one head alone would be 1 GiB in float32."""
    model = make_model(attention="flex").to("cuda")
    batch = batch_of([8192], [[512] * 16]).to(torch.device("cuda"))
    torch.cuda.reset_peak_memory_stats()
    completion_logprobs(model, batch, temperature=1.0, method="flex", chunk_size=64).logprobs.sum().backward()
    assert torch.cuda.max_memory_allocated() < 2**30
