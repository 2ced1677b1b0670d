"""The engine on the base that ships with the package: trained weights have an opinion on every token."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.lm.backbone import load_policy, load_tokenizer, tiny_base_path
from tagpr.lm.batches import GroupedBatch
from tagpr.lm.forward import completion_logprobs
from tagpr.lm.generation.base import Sampling
from tagpr.lm.generation.torch_engine import TorchEngine

LENGTHS = [5, 160, 12, 97, 33, 61, 8, 140, 20, 75, 110, 41, 150, 26, 52, 84, 15, 128]


@pytest.fixture(scope="module")
def base_tokenizer() -> PreTrainedTokenizerBase:
    return load_tokenizer(tiny_base_path())


@pytest.fixture(scope="module")
def base() -> PreTrainedModel:
    return load_policy(tiny_base_path(), dtype="float32", attention="two_part")


@pytest.fixture(scope="module")
def prompts(base: PreTrainedModel, base_tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Texts that the base itself makes up, cut at uneven lengths; it may end one and go on with the next."""
    start = base_tokenizer("a").input_ids
    engine = TorchEngine(tokenizer=base_tokenizer, max_tokens=100_000)
    sampling = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=160)
    drawn: list[list[int]] = [[] for _ in LENGTHS]
    for seed in range(20):
        short = [place for place, length in enumerate(LENGTHS) if len(drawn[place]) < length]
        if not short:
            break
        more = engine.generate(
            base, [[*start, *drawn[place]] for place in short], num_samples=1, sampling=sampling, seed=seed
        )
        for place, group in zip(short, more, strict=True):
            drawn[place] += group[0].token_ids
    return [tokens[:length] for tokens, length in zip(drawn, LENGTHS, strict=True)]


@torch.no_grad()
def test_greedy_equals_transformers_token_for_token(
    base: PreTrainedModel, base_tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]]
) -> None:
    """Alone and one prompt after the other there; here all at once, in an order and a padding of the engine's own."""
    assert [len(prompt) for prompt in prompts] == LENGTHS
    greedy = Sampling(temperature=0.0, top_p=1.0, top_k=0, max_new_tokens=40)
    engine = TorchEngine(tokenizer=base_tokenizer, max_tokens=100_000)
    ours = engine.generate(base, prompts, num_samples=1, sampling=greedy, seed=0)
    pad = base_tokenizer.pad_token_id
    for prompt, (one,) in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = base.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=40,
            do_sample=False,
            suppress_tokens=[pad],
            pad_token_id=pad,
        )
        assert list(one.token_ids) == theirs[0, len(prompt) :].tolist()
    assert len({token for (one,) in ours for token in one.token_ids}) > 60, "too few for the comparison to mean much"


def test_sampled_logprobs_equal_recomputed_ones(
    base: PreTrainedModel, base_tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]]
) -> None:
    """By every method, and by transformers' own forward pass, which `padded` is."""
    engine = TorchEngine(tokenizer=base_tokenizer, max_tokens=100_000)
    sampling = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=30)
    groups = engine.generate(base, prompts, num_samples=3, sampling=sampling, seed=1)
    told = torch.tensor([value for group in groups for one in group for value in one.logprobs])
    tokens = [[one.token_ids for one in group] for group in groups]
    batch = GroupedBatch.from_lists(prompts, tokens, pad_id=base_tokenizer.pad_token_id)
    for method in ("two_part", "dense", "padded"):
        with torch.no_grad():
            scores = completion_logprobs(base, batch, temperature=1.0, method=method, chunk_size=512)
        torch.testing.assert_close(told, scores.logprobs[batch.completion_mask], atol=1e-5, rtol=0)
